"""Interrupts and lost connections in the middle of things, with a real dockerd at the other end of the wire.

The same stories as with our engine (``tests/notebook/test_notebook_interrupted.py``, ``..._connections.py``): what is
said, what has ended and what goes on. Only for the command of an ``exec`` Docker's API has no signal.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest
from support import dockerd as real
from support.engine import engine
from support.kernels import Cell, Kernel, home, kernel, running
from support.registry import FakeRegistry, Stalled, fake_registry
from support.wire import Wire, wire

from pydockmagic.client import Client, parse_address

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("default"),  # what Jupyter's own client warns of is not ours to fix
    pytest.mark.skipif(not real.available() and not os.environ.get("CI"), reason="needs dockerd"),
]

AGAIN = "The next command connects again, once the daemon is back; %engine shows which one is in use."
WAYS = ["interrupted", "cut", "silent"]


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A wire to a dockerd that has busybox."""
    folder = tmp_path_factory.mktemp("dockerd")
    with real.dockerd(folder) as address:
        with (
            engine(tmp_path_factory.mktemp("engine")) as ours,
            Client(parse_address(ours)) as source,
            Client(parse_address(address)) as target,
        ):
            list(source.image_pull("busybox"))
            with source.image_save(["busybox"]) as archive:
                list(target.image_load(archive))
        with wire(address) as laid:
            yield laid
        with Client(parse_address(address)) as client:
            for container in client.containers(all=True):
                client.container_remove(container["Id"], force=True)


@pytest.fixture(scope="module")
def notebook(way: Wire, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A notebook at the other end; nothing that it shows may stray from its cell."""
    environ = home(tmp_path_factory.mktemp("home")) | {"PYDOCK_HOST": way.url}
    with kernel(tmp_path_factory.mktemp("kernel"), environ) as started:
        started.good("%load_ext pydockmagic")
        started.good("%config DockMagic.patience = 2")
        started.good("%container run -d --name web busybox sleep 1000")
        yield started
        assert started.strays() == []


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as made:
        yield made


@pytest.fixture(params=WAYS)
def ended(request: pytest.FixtureRequest, notebook: Kernel, way: Wire) -> Iterator[Callable[[Cell], tuple[str, str]]]:
    """Break a cell off in one of the ways; give its error apart: how it begins, and what it says is left."""

    def end(cell: Cell) -> tuple[str, str]:
        {"interrupted": notebook.interrupt, "cut": way.cut, "silent": way.silence}[request.param]()
        cell.end()
        way.mend()
        if request.param == "interrupted":
            head, _, left = cell.error.partition(": ")
            assert head == "interrupted"
            return request.param, left
        lost = f"the connection to the Docker daemon at {way.url} was lost"
        reason = ": it has not answered for 4 seconds" if request.param == "silent" else ""
        assert cell.error.startswith(f"{lost}{reason}; ")
        assert cell.error.endswith(f"\n{AGAIN}")
        return request.param, cell.error.removeprefix(f"{lost}{reason}; ").removesuffix(f"\n{AGAIN}")

    yield end
    way.mend()


def states(notebook: Kernel, name: str) -> list[str]:
    """List containers in a cell of its own, which must succeed."""
    line = f"%container ls -a --filter name={name} --format '{{{{.Names}}}} {{{{.State}}}}'"
    return notebook.good(line).last.splitlines()


def test_a_build(notebook: Kernel, ended: Callable[[Cell], tuple[str, str]]) -> None:
    token = str(random.randrange(95_000_000, 96_000_000))
    file = f"FROM busybox\nRUN echo {token} > /kept\nRUN echo said-{token}; sleep {token}\n"
    cell = notebook.begin(f"%%dockerfile -t built{token}\n{file}", live=True)
    cell.until(lambda cell: "3/3" in cell.last and running(token))
    how, left = ended(cell)
    begin = "the build was stopped, it was" if how == "interrupted" else "the build was"
    assert left == f"{begin} at step 3 of 3: the 2 steps done are in the cache"
    notebook.until(lambda: not running(token))
    again = notebook.good(f"%%dockerfile -t built{token}\nFROM busybox\nRUN echo {token} > /kept\nRUN true\n")
    assert f"2/3 RUN echo {token} > /kept  [from the cache" in again.last


def test_a_pull(notebook: Kernel, registry: FakeRegistry, ended: Callable[[Cell], tuple[str, str]]) -> None:
    name = f"slow{random.randrange(1_000_000)}:1"
    registry.image(name, {"a": name}, {"b": random.Random(name).randbytes(300_000)})
    stalled: Stalled = registry.stall(name)
    cell = notebook.begin(f"%image pull {registry.host}/{name}", live=True).until(lambda _: stalled.begun.is_set())
    how, left = ended(cell)
    stopped = f"the pull of {registry.host}/{name} was stopped" if how == "interrupted" else "the pull was stopped"
    assert left == f"{stopped}, and what was here before is as it was"
    assert name.partition(":")[0] not in notebook.good("%image ls").last
    stalled.over.set()  # dockerd 20 leaves a connection to the registry that stands still, ours does not
    assert "Downloaded newer image" in notebook.good(f"%image pull {registry.host}/{name}").last


def test_a_followed_log(notebook: Kernel, ended: Callable[[Cell], tuple[str, str]]) -> None:
    token = str(random.randrange(95_000_000, 96_000_000))
    notebook.good(f"%container run -d --name log{token} busybox sh -c 'echo said-{token}; exec sleep {token}'")
    cell = notebook.begin(f"%container logs -f log{token}").until(lambda cell: f"said-{token}" in cell.text)
    how, left = ended(cell)
    follows = f"docker logs -f log{token} follows"
    said = {"interrupted": f"container log{token} goes on; {follows} it again"}
    assert left == said.get(how, f"{follows} container log{token} again")
    assert states(notebook, token) == [f"log{token} running"]


def test_a_container_in_the_foreground(notebook: Kernel, ended: Callable[[Cell], tuple[str, str]]) -> None:
    token = str(random.randrange(95_000_000, 96_000_000))
    program = f"trap 'exit 7' INT; echo said-{token}; sleep {token} & wait"
    cell = notebook.begin(f'%container run --name front{token} busybox sh -c "{program}"')
    cell.until(lambda cell: f"said-{token}" in cell.text)
    how, left = ended(cell)
    if how == "interrupted":
        ends = f"container front{token} ended with exit code 7 and is still there; docker rm front{token} removes it"
        assert left == ends
        assert states(notebook, token) == [f"front{token} exited"]
    else:
        assert left == f"container front{token} may go on: docker attach front{token} joins it again"
        assert states(notebook, token) == [f"front{token} running"]


def test_a_command_in_a_container(notebook: Kernel, ended: Callable[[Cell], tuple[str, str]]) -> None:
    token = str(random.randrange(95_000_000, 96_000_000))
    cell = notebook.begin(f"%container exec web sh -c 'echo said-{token}; exec sleep {token}'")
    cell.until(lambda cell: f"said-{token}" in cell.text)
    _, left = ended(cell)
    assert left == "the command may go on in container web; docker top web shows it"
    assert token in notebook.good("%container top web").last


def test_a_container_that_was_joined(notebook: Kernel, ended: Callable[[Cell], tuple[str, str]]) -> None:
    name = f"joined{random.randrange(1_000_000)}"
    notebook.good(
        f"%container run -d --name {name} busybox sh -c 'trap : INT; while true; do echo on; sleep 0.1; done'"
    )
    cell = notebook.begin(f"%container attach {name}").until(lambda cell: "on\n" in cell.text)
    how, left = ended(cell)
    if how == "interrupted":
        ends = f"docker stop {name} ends it"
        assert left == f"container {name} goes on; docker attach {name} joins it again, {ends}"
    else:
        assert left == f"container {name} may go on: docker attach {name} joins it again"
    assert states(notebook, name) == [f"{name} running"]


def test_live_views_and_terminals(notebook: Kernel, way: Wire) -> None:
    name = f"shell{random.randrange(1_000_000)}"
    notebook.good("%container board web", live=True)
    notebook.good("%states web", live=True)
    notebook.good("%inside web", live=True)
    terminal = notebook.good(f"shell = %container run -it --name {name} busybox sh", live=True)
    titles = ("1 container", "web is", "Inside web")
    notebook.until(lambda: all(notebook.view(title) for title in titles))
    way.cut()
    for title in titles:
        notebook.until(
            lambda title=title: notebook.view(title)["problem"].startswith("No longer live: "),  # type: ignore[misc]
            lambda title=title: str(notebook.view(title)),  # type: ignore[misc]
        )
    terminal.until(lambda cell: f"docker attach {name} joins it again" in cell.last)
    way.mend()
    notebook.good("%container pause web")
    for title in titles:
        notebook.until(lambda title=title: not notebook.view(title)["problem"])  # type: ignore[misc]
    notebook.until(lambda: notebook.view("web is")["title"].startswith("web is paused"))
    notebook.good("%container unpause web")
    notebook.good(f"shell = %container attach {name}", live=True)
    notebook.good("shell.send('exit 4\\n')")
    assert notebook.good("print(shell.wait(30).exit_code)").text == "4\n"
