"""One notebook, several daemons: ours and a real dockerd, over a unix socket, tcp with TLS, and ssh."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from support import dockerd as real
from support import sshd as ssh
from support.certificates import make_certificates
from support.engine import engine
from support.markup_check import check_static

from pydockmagic.client import Client, parse_address
from pydockmagic.client.contexts import ContextStore, DockerContext
from pydockmagic.client.tls import TlsFiles

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # what Jupyter's own client warns of is not ours to fix
    pytest.mark.skipif(
        not (real.available() and ssh.available()) and not os.environ.get("CI"), reason="needs dockerd and sshd"
    ),
]

SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
LAYERS, STATES = "%layers made", "%states box"
CELLS = [
    "%load_ext pydockmagic",
    "%container run --rm busybox sh -c 'echo out; sleep 0.3; echo err >&2'",
    '%%dockerfile -t made\nFROM busybox\nRUN echo hello > /hello && rm /etc/group\nCMD ["cat", "/hello"]',
    "%container run --rm made",
    "%container run -d --name box made sleep 1000",
    "%container exec box sh -c 'echo new > /new; cat /hello'",
    "%container ls --format '{{.Names}} {{.Image}} {{.State}}'",
    LAYERS,
    "%layers box",
    "%container diff box",
    STATES,
    "%container stop -t 0 box",
    "%container inspect -f '{{.State.Status}} {{.State.ExitCode}}' box",
    "%container rm box",
    "%image rm made",
    "%container ls -a",
]


def run(folder: Path) -> nbformat.NotebookNode:
    """Execute the cells; each must succeed."""
    cells = [nbformat.v4.new_code_cell(each) for each in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": SPEC})
    folder.mkdir()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def shown(cell: nbformat.NotebookNode) -> str:
    """Return what a reader sees of a cell, without what is another in each run."""
    parts = [each.text if each.output_type == "stream" else each.data["text/plain"] for each in cell.outputs]
    text = re.sub(r"\b(sha256:)?[0-9a-f]{12,64}\b", "<ID>", "".join(parts))
    return re.sub(r"\d+(\.\d+)?\s?m?s\b", "<DUR>", text)


def told(notebook: nbformat.NotebookNode, source: str) -> str:
    """Return the html of one cell's display."""
    (cell,) = (cell for cell in notebook.cells if cell.source == source)
    (output,) = cell.outputs
    return str(output.data["text/html"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    found = {}
    for name in ("dockerd", "engine"):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            found[name] = probe.getsockname()[1]
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, certificates: Path, ports: dict[str, int]) -> Iterator[str]:
    options = ["--host", f"tcp://127.0.0.1:{ports['engine']}"]
    options += [f"--tls{name}={certificates}/{name.removeprefix('ca')}.pem" for name in ("cert", "key")]
    options += [f"--tlscacert={certificates}/ca.pem"]
    with engine(tmp_path_factory.mktemp("engine"), options) as address:
        yield address


@pytest.fixture(scope="module")
def theirs(
    tmp_path_factory: pytest.TempPathFactory, certificates: Path, ports: dict[str, int], ours: str
) -> Iterator[str]:
    options = ["-H", f"tcp://127.0.0.1:{ports['dockerd']}", "--tlsverify"]
    options += [f"--tls{name}={certificates}/{name}.pem" for name in ("cert", "key")]
    options += [f"--tlscacert={certificates}/ca.pem"]
    with real.dockerd(tmp_path_factory.mktemp("dockerd"), options) as address:
        with Client(parse_address(ours)) as source, Client(parse_address(address)) as target:
            list(source.image_pull("busybox"))
            with source.image_save(["busybox"]) as archive:
                list(target.image_load(archive))
        yield address


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssh.Sshd]:
    with ssh.sshd(tmp_path_factory.mktemp("ssh") / "d") as made:
        yield made


@pytest.fixture(scope="module")
def reached(
    ours: str,
    theirs: str,
    server: ssh.Sshd,
    certificates: Path,
    ports: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, pytest.MonkeyPatch], None]:
    """Set the environment so that the notebook reaches a daemon in one of the ways."""
    config = tmp_path_factory.mktemp("config")
    for name, port in ports.items():
        context = DockerContext(f"{name}-tls", f"tcp://127.0.0.1:{port}", tls=TlsFiles.inside(certificates))
        ContextStore(config).put(context)
    program = f"{sys.executable} -c 'from pydockmagic.cli import main; exit(main())' \"$@\""
    addresses = {
        "engine-unix": ours, "engine-tls": "engine-tls", "engine-ssh": server.url,
        "dockerd-unix": theirs, "dockerd-tls": "dockerd-tls", "dockerd-ssh": server.url,
    }  # fmt: skip

    def choose(way: str, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("PYDOCK_HOST", addresses[way])
        patch.setenv("DOCKER_CONFIG", str(config))
        patch.setenv("PATH", server.path)
        if way == "engine-ssh":
            server.program("pydock", f"DOCKER_HOST={ours} exec {program}")
        if way == "dockerd-ssh":
            server.program("docker", f'DOCKER_HOST={theirs} exec {shutil.which("docker")} "$@"')

    return choose


@pytest.fixture(scope="module")
def first(
    reached: Callable[[str, pytest.MonkeyPatch], None], tmp_path_factory: pytest.TempPathFactory
) -> nbformat.NotebookNode:
    """The notebook as it runs on the mini-engine at its socket."""
    with pytest.MonkeyPatch.context() as patch:
        reached("engine-unix", patch)
        return run(tmp_path_factory.mktemp("first") / "work")


@pytest.mark.parametrize("way", ["engine-tls", "engine-ssh", "dockerd-unix", "dockerd-tls", "dockerd-ssh"])
def test_the_same_notebook_has_the_same_visible_outcome(
    way: str,
    reached: Callable[[str, pytest.MonkeyPatch], None],
    first: nbformat.NotebookNode,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    reached(way, monkeypatch)
    notebook = run(tmp_path / "work")
    for mine, other in zip(first.cells, notebook.cells, strict=True):
        if not mine.source.startswith(("%layers", "%states", "%%dockerfile")):
            assert shown(other) == shown(mine), mine.source
    layers = check_static(told(notebook, LAYERS))
    for file in ("hello", "etc/group", "bin/["):
        assert file in layers
        assert file in check_static(told(first, LAYERS))
    assert "new" in check_static(told(notebook, "%layers box"))
    assert "running" in check_static(told(notebook, STATES))
