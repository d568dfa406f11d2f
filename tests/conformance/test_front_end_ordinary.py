"""The first steps of the README taken by an ordinary user: nothing is installed for them, and no root is needed."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nbformat
import pytest
from support.ordinary import identity

pytestmark = [pytest.mark.conformance, pytest.mark.root, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
NOT_KEPT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "dist")
KEPT = re.compile(r"PATH|LANG|PIP_.*|(https?|no)_proxy|SSL_CERT_.*", re.IGNORECASE)


@pytest.fixture
def copy():
    """A copy of the tree in a folder that belongs to somebody without privileges, home included."""
    folder = Path(tempfile.mkdtemp(prefix="pydock-ordinary-"))
    shutil.copytree(ROOT, folder / "tree", ignore=NOT_KEPT, copy_function=shutil.copy)
    user = identity().get("user", os.getuid())
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)
    yield folder / "tree"
    shutil.rmtree(folder)


def texts(notebook):
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_the_notebooks_run_for_somebody_who_may_do_nothing_special(copy):
    environ = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    environ |= {"HOME": str(copy.parent), "PYDOCK_HUB": "off"}
    run = subprocess.run(
        ["make", "demo"], cwd=copy, env=environ, **identity(), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    sources = sorted((copy / "notebooks").glob("*.ipynb"))
    assert sources
    for source in sources:
        assert f"{source.name}: passed" in run.stdout
        notebook = nbformat.read(copy / "build/demo" / source.name, as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    first = texts(nbformat.read(copy / "build/demo" / sources[0].name, as_version=4))
    assert "Hello from Docker!" in first
    assert "I am process 1\n" in first
    assert "running -> exited      die        exit code 0" in first
    assert "engine stopped" in run.stdout
