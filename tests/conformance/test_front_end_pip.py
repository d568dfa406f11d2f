"""What pip installs: the wheel that is built from this tree, in an environment that has never heard of it."""

import email
import json
import re
import tarfile
import zipfile

import nbformat
import pytest
from support.venvs import ROOT, Venv, project

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

COMPOSE = "services:\n  web:\n    image: busybox\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the source distribution, and from it alone the wheel."""
    folder = tmp_path_factory.mktemp("built")
    tools = Venv(folder / "tools")
    tools.pip("install", "build", "twine")
    done = tools.run("-m", "build", "--outdir", str(folder / "dist"), str(ROOT))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    [wheel], [source] = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return tools, wheel, source


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """An environment with the wheel in it, and nothing that its dependencies do not bring."""
    _, wheel, _ = built
    venv = Venv(tmp_path_factory.mktemp("installed"))
    venv.pip("install", wheel)
    environ = venv.environ(PYDOCK_ROOT=str(venv.folder / "engine"), PYDOCK_HUB="off")
    yield venv, environ
    stopped = venv.run("-m", "pydockmagic.cli", "engine", "stop", environ=environ)
    assert stopped.returncode == 0, stopped.stderr


def ours():
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pydockmagic").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_what_jupyter_finds_and_nothing_else(built):
    _, wheel, _ = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    version = wheel.name.split("-")[1]
    info, data = f"pydockmagic-{version}.dist-info", f"pydockmagic-{version}.data/data/share/jupyter"
    spec = {f"{data}/kernels/pydockmagic/{path.name}" for path in (ROOT / "kernelspec").iterdir()}
    extension = {
        f"{data}/labextensions/pydockmagic/{path.relative_to(ROOT / 'labextension')}"
        for path in (ROOT / "labextension").rglob("*")
        if path.is_file()
    }
    about = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert {f"{data}/kernels/pydockmagic/logo-{name}" for name in ("32x32.png", "64x64.png", "svg.svg")} <= spec
    assert f"{data}/labextensions/pydockmagic/package.json" in extension
    assert names == ours() | spec | extension | about
    assert {"css", "js", "txt", "typed"} <= {name.rpartition(".")[2] for name in names}


def test_the_source_distribution_has_what_tests_it(built):
    _, _, source = built
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert ours() <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "kernelspec/kernel.json", "tests/conftest.py", "Makefile"} <= names
    assert not {name for name in names if name.startswith((".venv", "build/", "dist/"))}


def test_indexes_can_show_what_the_distributions_say_of_themselves(built):
    tools, wheel, source = built
    done = tools.run("-m", "twine", "check", "--strict", str(wheel), str(source))
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        told = email.message_from_bytes(archive.read(name))
    assert told["License-Expression"] == project()["license"]
    assert told["Requires-Python"] == project()["requires-python"]
    assert set(told.get_all("Classifier")) == set(project()["classifiers"])
    assert told["Description-Content-Type"] == "text/markdown"
    assert "real containers" in told.get_payload()


def test_jupyter_finds_the_kernel(installed):
    venv, environ = installed
    listed = json.loads(venv.run("-m", "jupyter", "kernelspec", "list", "--json", environ=environ).stdout)
    found = listed["kernelspecs"]["pydockmagic"]
    assert found["resource_dir"] == str(venv.folder / "share/jupyter/kernels/pydockmagic")
    assert found["spec"]["display_name"] == "Docker (pydockmagic)"
    assert found["spec"]["argv"][:3] == ["python", "-m", "pydockmagic.kernel"]


def test_the_kernel_of_the_spec_runs_containers_builds_images_and_says_what_it_does_not_run(installed):
    venv, environ = installed
    told = venv.cells(
        "pydockmagic",
        [
            "run --rm busybox echo from a container",
            "# docker build -t made\nFROM busybox\nRUN echo built > /built\nCMD cat /built",
            "run --rm made",
            COMPOSE,
            "%%python\n6 * 7",
        ],
        environ,
    )
    run, build, made, compose, python = told["cells"]
    assert told["language"] == "dockerfile"
    assert "from a container\n" in run["text"]
    assert "Built made" in build["text"]
    assert made["text"] == "built\n"
    assert (compose["status"], "Compose file" in compose["error"]) == ("error", True)
    assert python["text"] == "42"
    assert [cell["status"] for cell in (run, build, made, python)] == ["ok"] * 4
    assert "stderr" not in {name for cell in told["cells"] for name in cell["streams"]}


def test_the_magics_work_in_the_python_kernel(installed):
    venv, environ = installed
    cells = ["%load_ext pydockmagic", "%container run --rm busybox echo hello", "%layers busybox"]
    told = venv.cells("python3", cells, environ)
    assert [cell["status"] for cell in told["cells"]] == ["ok"] * 3
    assert "hello\n" in told["cells"][1]["text"]
    assert "1 layer" in told["cells"][2]["text"]


def test_the_command_works(installed):
    venv, environ = installed
    code = (
        "import subprocess; subprocess.run(['pydock', 'run', '--rm', 'busybox', 'echo', 'in a terminal'], check=True)"
    )
    done = venv.run("-c", code, environ=environ)
    assert done.stdout.endswith("in a terminal\n"), done.stderr


def test_papermill_gives_parameters_to_a_notebook_of_the_docker_kernel(installed):
    venv, environ = installed
    venv.pip("install", "papermill")
    code = [("%%python\nsaid = 'default'  # what to say", ["parameters"]), ("run --rm busybox echo {said} {times}", [])]
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, tags in code]
    spec = {"name": "pydockmagic", "display_name": "Docker (pydockmagic)", "language": "dockerfile"}
    meta = {"kernelspec": spec, "language_info": {"name": "dockerfile"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=meta), venv.folder / "docker.ipynb")
    told = venv.run("-m", "papermill", "--help-notebook", "docker.ipynb", environ=environ)
    assert re.search(r"said: Unknown type \(default 'default'\)\s+what to say", told.stdout), told
    options = ("--no-progress-bar", "-p", "said", "it's two words", "-p", "times", "3")
    done = venv.run("-m", "papermill", *options, "docker.ipynb", "given.ipynb", environ=environ)
    assert done.returncode == 0, done.stderr[-4000:]
    made = nbformat.read(venv.folder / "given.ipynb", as_version=4)
    assert [cell.metadata.tags for cell in made.cells] == [["parameters"], ["injected-parameters"], []]
    assert "it's two words 3\n" in [output.get("text") for output in made.cells[2].outputs]


def test_nothing_is_left_when_it_is_uninstalled(built, tmp_path):
    _, wheel, _ = built
    venv = Venv(tmp_path / "venv")
    before = venv.files()
    venv.pip("install", "--no-deps", wheel)
    assert len(venv.files() - before) > len(ours())
    venv.pip("uninstall", "--yes", "pydockmagic")
    assert venv.files() == before
    assert not list((venv.folder / "share").rglob("pydock*"))
