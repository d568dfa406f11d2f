"""The versions around us: Binder's of today, and the lowest that pyproject.toml allows (`make test`: the newest)."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from support.venvs import ROOT, Venv, lowest, project

pytestmark = [pytest.mark.conformance, pytest.mark.root, pytest.mark.timeout(1800)]

# What a notebook meets: the rest of Binder's lock is its server's own business.
_MET = re.compile(
    r"/(anyio|comm|h11|httpx|ipykernel|ipython|ipywidgets|jupyter_client|jupyter_server|jupyterlab|jupyterlab_server"
    r"|jupyterlab_widgets|nbclient|nbformat|notebook|platformdirs|pyyaml|pyzmq|tornado|traitlets)-(\d[^-]*)-"
)
_NEEDS_NO_BROWSER = ("playwright", "pillow", "nbval")
_LOCK = "import repo2docker.buildpacks.conda as it, pathlib; print(pathlib.Path(it.__file__).parent)"


@pytest.fixture(scope="module")
def repo2docker(tmp_path_factory):
    venv = Venv(tmp_path_factory.mktemp("repo2docker"))
    venv.pip("install", "jupyter-repo2docker")
    return venv


@pytest.fixture(scope="module")
def recipe(repo2docker):
    """The Dockerfile that Binder would build of this tree."""
    done = repo2docker.run("-m", "repo2docker", "--no-build", "--debug", ".", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def binder(repo2docker, recipe):
    """The versions that Binder has before it installs ours."""
    [lock] = set(re.findall(r"environment-2epy-2d(3-2e\d+)-2dlinux-2d64-2elock", recipe))
    name = f"environment.py-{lock.replace('-2e', '.')}-linux-64.lock"
    folder = repo2docker.run("-c", _LOCK).stdout.strip()
    text = Path(folder, name).read_text()
    pins = [f"{package}=={version}" for package, version in _MET.findall(text)]
    assert {"ipykernel", "ipywidgets", "jupyterlab"} <= {pin.partition("==")[0] for pin in pins}
    return re.search(r"/python-(\d+\.\d+)", text)[1], pins


def test_binder_takes_what_we_ask_for(recipe, binder):
    version, _ = binder
    least = project()["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, least.split(".")))
    for package in (ROOT / "binder/apt.txt").read_text().split():
        assert re.search(rf"apt-get install .*\b{re.escape(package)}\b", recipe)
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in recipe
    assert "ipykernel>=7.4" in (ROOT / "binder/requirements.txt").read_text().split()


@pytest.fixture
def short():
    """A folder with a short name: the path of a socket has at most 107 bytes, and those of pytest are long already."""
    with tempfile.TemporaryDirectory(prefix="pydock-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("which", ["binder", "lowest"])
def test_the_notebook_side_works_with_other_versions(which, request, tmp_path, short):
    pins = request.getfixturevalue("binder")[1] if which == "binder" else lowest()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tools = [tool for tool in groups["test"] if not tool.startswith(_NEEDS_NO_BROWSER)]
    venv = Venv(tmp_path / "venv")
    venv.pip("install", f"{ROOT}[fast]", *pins, *tools)
    environ = venv.environ(PYTHONPATH=str(ROOT), PYDOCK_HUB="off", HYPOTHESIS_STORAGE_DIRECTORY=str(tmp_path))
    found = venv.run("-c", "import ipykernel; print(ipykernel.__version__)").stdout.strip()
    print(f"{which}: Python {sys.version.split()[0]}, ipykernel {found}, {', '.join(pins)}")
    # ipykernel says welcome on its public channel from 7.1 on.
    done = subprocess.run(
        [venv.python, "-m", "pytest", "-q", "tests/notebook", "tests/kernel", "-k", "not welcome", "-p",
         "no:cacheprovider", "--basetemp", str(short / "tests"), "--timeout", "300"],
        cwd=ROOT, env={**environ, "HOME": os.environ["HOME"]}, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(r"\b\d{3,} passed", done.stdout)
    assert "skipped" not in done.stdout.splitlines()[-1]
