"""Notebooks executed without a person, by the programs for it: nbclient, nbconvert, papermill, nbval."""

import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from support.engine import engine
from support.markup_check import check_static
from support.venvs import ROOT

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # what Jupyter's own client warns of is not ours to fix
]

SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
LOAD = "%load_ext pydockmagic"
BUILD = "%%dockerfile -t made\nFROM busybox\nRUN echo built > /built\nCMD cat /built"
MOMENT = {
    "%inside on", "%container board", "%network map", "%builder graph", "%engine", "%system df",
    "%container inspect on",
}  # fmt: skip
FAMILIES = [
    LOAD,
    "%docker pull busybox",
    BUILD,
    "box = %container create --name box made",
    "%container start -a box",
    "%%container run -i --rm busybox cat\nthe cell is the input",
    "%%docker\nnetwork create shop\nvolume create pages",
    "%container run -d --name on --network shop -v pages:/pages busybox sleep 1000",
    "%container ls -a",
    "%container ls --format '{{.Names}} {{.Image}}'",
    "%image ls made",
    "%layers made",
    "%layers made busybox",
    "%layers on",
    "%states box",
    "%volume map",
    "%image tree",
    "%context ls",
    *sorted(MOMENT),
    "%docker run --rm made",
    "%%docker\nrm -f on box\nnetwork rm shop\nvolume rm pages",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder to work in, and an engine that everything started here finds."""
    folder = tmp_path_factory.mktemp("executed")
    with engine(folder) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYDOCK_HOST", address)
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        (folder / "work").mkdir()
        yield folder / "work"


def notebook(*cells):
    made = [nbformat.v4.new_code_cell(code) for code in cells]
    for cell in made:
        if cell.source in MOMENT:
            cell.metadata["tags"] = ["nbval-ignore-output"]
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": SPEC, "language_info": {"name": "python"}})


def executed(folder, *cells):
    made = notebook(*cells)
    NotebookClient(made, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return made


def run(folder, *words, path=None):
    program = [sys.executable, "-m", *words]
    return subprocess.run(
        program, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **(path or {})}
    )


def outputs(made):
    return [output for cell in made.cells for output in cell.get("outputs", ())]


@pytest.fixture(scope="module")
def families(folder):
    """A notebook with every family of magics, executed by nbclient."""
    executed(folder, LOAD, "%docker pull -q busybox", BUILD)  # later runs find what the first one made
    return executed(folder, *FAMILIES)


def test_every_magic_is_static_output_where_nobody_looks(families):
    assert "widgets" not in families.metadata
    for output in outputs(families):
        assert output.get("name") != "stderr"
        if output.output_type != "stream":
            assert set(output.data) <= {"text/plain", "text/html"}
            check_static(output.data.get("text/html", ""))


def test_no_output_names_a_place_in_memory(families):
    for output in outputs(families):
        text = str(output.get("text", output.get("data")))
        assert not re.search(r"object at 0x|\b0x[0-9a-f]{6,}", text)


def test_nbval_finds_the_same_outputs_in_another_run(folder, families):
    nbformat.write(families, folder / "families.ipynb")
    done = run(
        folder, "pytest", "--nbval", "families.ipynb", "--nbval-sanitize-with", str(ROOT / "docs/nbval.cfg"),
        "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider", "-q",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"{len(FAMILIES)} passed" in done.stdout


FAILURES = {
    "a command": ("%docker nosuch", "docker: unknown command: docker nosuch"),
    "a build": (
        "%%dockerfile\nFROM busybox\nRUN exit 3",
        "The command '/bin/sh -c exit 3' returned a non-zero code: 3",
    ),
    "a docker cell": ("%%docker\nrun --rm busybox true\nrun --rm busybox sh -c 'exit 4'\nps", "exit code 4"),
    "a stub": ("%%dockerfile\n# YOUR CODE HERE\nraise NotImplementedError()", "not answered yet"),
}


@pytest.mark.parametrize(("code", "told"), FAILURES.values(), ids=FAILURES)
def test_a_failing_cell_fails_the_run(folder, code, told):
    with pytest.raises(CellExecutionError, match=re.escape(told)) as caught:
        executed(folder, LOAD, code, "never = 1")
    assert caught.value.ename == "DockerError"


def test_nbconvert_fails_with_the_cell_and_converts_what_passes(folder):
    nbformat.write(notebook(LOAD, "%docker nosuch"), folder / "fails.ipynb")
    failed = run(folder, "nbconvert", "--execute", "--to", "html", "fails.ipynb")
    assert failed.returncode == 1
    assert "docker: unknown command: docker nosuch" in failed.stderr
    nbformat.write(notebook(LOAD, "%container run --rm busybox echo seen"), folder / "passes.ipynb")
    passed = run(folder, "nbconvert", "--execute", "--to", "html", "passes.ipynb")
    assert passed.returncode == 0, passed.stderr
    assert "seen\n" in (folder / "passes.html").read_text()


def test_papermill_runs_the_first_notebook(folder):
    first = ROOT / "notebooks/01-first-container.ipynb"
    done = run(folder, "papermill", "--no-progress-bar", str(first), "first.ipynb")
    assert done.returncode == 0, done.stderr[-4000:]
    made = nbformat.read(folder / "first.ipynb", as_version=4)
    assert not [output for output in outputs(made) if output.get("name") == "stderr"]
    run(folder, "pydockmagic.cli", "container", "prune", "--force")


def test_papermills_parameters_go_into_docker_lines(folder):
    made = notebook(LOAD, "said = 'default'", "%container run --rm busybox echo {said} {times}")
    made.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(made, folder / "parameters.ipynb")
    options = ("--no-progress-bar", "-p", "said", "two words", "-p", "times", "3")
    done = run(folder, "papermill", *options, "parameters.ipynb", "given.ipynb")
    assert done.returncode == 0, done.stderr[-4000:]
    assert outputs(nbformat.read(folder / "given.ipynb", as_version=4))[-1].text == "two words 3\n"


def test_papermill_fails_with_the_cell(folder):
    nbformat.write(notebook(LOAD, "%docker nosuch"), folder / "fails.ipynb")
    done = run(folder, "papermill", "--no-progress-bar", "fails.ipynb", "failed.ipynb")
    assert done.returncode == 1
    assert "docker: unknown command: docker nosuch" in done.stderr
