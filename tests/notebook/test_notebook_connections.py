"""A daemon that goes away in the middle of things: the engine killed or stopped, the connection cut or fallen silent.

What a person sees is one sentence that says what is left and what comes next, in the cell that was at work or in the
display that was live. The next cell works as soon as there is a daemon; the embedded engine starts again by itself.
"""

from __future__ import annotations

import os
import random
import signal
from contextlib import contextmanager

import pytest
from support.engine import engine
from support.kernels import home, kernel, running
from support.registry import fake_registry
from support.wire import wire

from pydockmagic.client import connect, embedded

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(90),
    pytest.mark.filterwarnings("default"),  # what Jupyter's own client warns of is not ours to fix
]

VIEWS = {
    "%container board web": "1 container",
    "%states web": "web is",
    "%inside web": "Inside web",
    "%network map": "Networks",
}
PATIENCE = 1.5


class Place:
    """A notebook and its daemon: how it is lost, how it comes back, and what is said of that."""

    def __init__(self, kernel, lost, again, ways):
        self.kernel = kernel
        self.lost = lost
        self.again = again
        self.ways = ways

    @contextmanager
    def without(self, way):
        """Lose the daemon in one of the ways; afterwards it is there again."""
        self.ways[way]()
        try:
            yield
        finally:
            self.ways["mended"]()

    def furnish(self):
        """Prepare what the stories work with."""
        self.kernel.good("%load_ext pydockmagic")
        self.kernel.good("%image pull -q busybox")
        self.kernel.good("%container run -d --name web busybox sleep 1000")

    def look(self):
        """Open each kind of live view, and two terminals: a program of its own, and one in a container that runs."""
        kernel = self.kernel
        for code in VIEWS:
            kernel.good(code, live=True)
        kernel.good("%container rm -f shell")  # of a story that failed
        terminals = [
            kernel.good("shell = %container run -it --name shell busybox sh", live=True),
            kernel.good("extra = %container exec -it web sh", live=True),
        ]
        kernel.until(lambda: all(kernel.view(title) for title in VIEWS.values()))
        return terminals

    def check_views_are_dead(self, terminals, reason=""):
        kernel, lost = self.kernel, f"{self.lost}{reason}"
        for title in VIEWS.values():
            kernel.until(
                lambda title=title: kernel.view(title)["problem"].startswith(f"No longer live: {self.lost}"),
                lambda title=title: kernel.view(title)["problem"],
            )
        for cell, left in zip(
            terminals,
            (
                "container shell may go on: docker attach shell joins it again",
                "the command may go on in container web; docker top web shows it",
            ),
            strict=True,
        ):
            cell.until(lambda cell, left=left: left in cell.last)
            assert f"({lost}; {left})" in cell.last.splitlines()[0]

    def check_views_live_again(self):
        """A cell that succeeds is all that it takes; then the views show what happens, and the terminal is joined."""
        kernel = self.kernel
        kernel.good("%container pause web")
        for title in VIEWS.values():
            kernel.until(lambda title=title: not kernel.view(title)["problem"], lambda title=title: title)
        kernel.until(lambda: any(row["state"] == "paused" for row in kernel.view("1 container")["rows"]))
        kernel.until(lambda: kernel.view("web is")["title"].startswith("web is paused"))
        kernel.good("%container unpause web")
        joined = kernel.good("shell = %container attach shell", live=True)
        kernel.good("shell.send('echo said-$((40+2))\\nexit 4\\n')")
        assert kernel.good("print(shell.wait(30).exit_code)").text == "4\n"
        assert "said-42" in joined.until(lambda cell: "ended with exit code 4" in cell.last).last
        kernel.good("%container rm shell")


@pytest.fixture(scope="module")
def registry():
    with fake_registry() as registry:
        yield registry


@pytest.fixture(scope="module")
def embedded_place(tmp_path_factory):
    """A notebook with its own engine."""
    environ = home(tmp_path_factory.mktemp("home"))

    def kill():
        os.kill(embedded.status(environ).pid, signal.SIGKILL)

    def stop():
        embedded.stop(environ)

    with kernel(tmp_path_factory.mktemp("kernel"), environ) as started:
        place = Place(
            started,
            "the connection to the embedded engine was lost",
            "The engine starts again with the next command.",
            {"killed": kill, "stopped": stop},
        )
        place.furnish()
        yield place
        assert started.strays() == []
    with connect("embedded", environ=environ) as client:
        for container in client.containers(all=True):
            client.container_remove(container["Id"], force=True)
    embedded.stop(environ)


@pytest.fixture(scope="module")
def remote_place(tmp_path_factory):
    """A notebook whose daemon is at the other end of a wire."""
    with engine(tmp_path_factory.mktemp("engine")) as address, wire(address) as way:
        environ = home(tmp_path_factory.mktemp("elsewhere")) | {"PYDOCK_HOST": way.url}
        with kernel(tmp_path_factory.mktemp("remote"), environ) as started:
            place = Place(
                started,
                f"the connection to the Docker daemon at {way.url} was lost",
                "The next command connects again, once the daemon is back; %engine shows which one is in use.",
                {"cut": way.cut, "silent": way.silence, "mended": way.mend},
            )
            place.furnish()
            yield place
            assert started.strays() == []
        with connect(address) as client:
            for container in client.containers(all=True):
                client.container_remove(container["Id"], force=True)


def building(kernel, token):
    file = f"FROM busybox\nRUN echo {token} > /kept\nRUN echo said-{token}; sleep {token}\n"
    cell = kernel.begin(f"%%dockerfile -t built{token}\n{file}", live=True)
    return cell.until(lambda cell: "3/3" in cell.last and running(token))


def following(kernel, token):
    program = f"echo said-{token}; exec sleep {token}"
    kernel.good(f"%container run -d --name log{token} busybox sh -c '{program}'")
    return kernel.begin(f"%container logs -f log{token}").until(lambda cell: f"said-{token}" in cell.text)


def talking(kernel, token):
    program = f"echo said-{token}; exec sleep {token}"
    cell = kernel.begin(f"%container run --name front{token} busybox sh -c '{program}'")
    return cell.until(lambda cell: f"said-{token}" in cell.text)


def executing(kernel, token):
    cell = kernel.begin(f"%container exec web sh -c 'echo said-{token}; exec sleep {token}'")
    return cell.until(lambda cell: f"said-{token}" in cell.text)


def pulling(kernel, registry, name):
    registry.image(name, {"a": name}, {"b": random.Random(name).randbytes(300_000)})
    stalled = registry.stall(name)
    cell = kernel.begin(f"%image pull {registry.host}/{name}", live=True)
    return cell.until(lambda cell: stalled.begun.is_set() and "Downloading" in cell.last), stalled


LEFT = {
    building: "; the build was at step 3 of 3: the 2 steps done are in the cache",
    following: "; docker logs -f log{0} follows container log{0} again",
    talking: "; container front{0} may go on: docker attach front{0} joins it again",
    executing: "; the command may go on in container web; docker top web shows it",
}


def only_there(cell, kernel, said):
    """Whether what a cell's program said is in that cell alone; what is live shows names, and is not asked."""
    kinds = ("stream", "display_data", "update_display_data", "execute_result", "error")
    shown = [each for each in kernel.messages() if each["msg_type"] in kinds and said in str(each["content"])]
    return {each["parent_header"]["msg_id"] for each in shown} == {cell.id}


# --- the embedded engine --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "token"), [(following, "91001"), (talking, "91002"), (executing, "91003")], ids=["logs", "run", "exec"]
)
def test_an_engine_that_is_killed_is_told_and_the_next_cell_starts_it_again(embedded_place, begin, token):
    place = embedded_place
    cell = begin(place.kernel, token)
    place.ways["killed"]()
    cell.end()
    assert cell.error == f"{place.lost}{LEFT[begin].format(token)}\n{place.again}"
    # What ran goes on: containers outlive their engine, and the next one knows them.
    assert running(token)
    assert "web" in place.kernel.good("%container ls --format '{{.Names}}'").last.split()
    assert only_there(cell, place.kernel, f"said-{token}")


def test_a_build_views_and_terminals_survive_an_engine_that_is_killed(embedded_place):
    place = embedded_place
    terminals = place.look()
    cell = building(place.kernel, "91011")
    place.ways["killed"]()
    cell.end()
    assert cell.error == f"{place.lost}{LEFT[building]}\n{place.again}"
    assert cell.last.startswith("Build stopped")
    place.check_views_are_dead(terminals)
    place.check_views_live_again()
    place.kernel.until(lambda: not running("91011"))  # the new engine has cleaned up after the old one
    again = place.kernel.good("%%dockerfile -t again\nFROM busybox\nRUN echo 91011 > /kept\nRUN true\n")
    assert "2/3 RUN echo 91011 > /kept  [from the cache" in again.last


def test_a_pull_survives_an_engine_that_is_killed(embedded_place, registry):
    place = embedded_place
    cell, stalled = pulling(place.kernel, registry, "killed:1")
    place.ways["killed"]()
    cell.end()
    assert cell.error == f"{place.lost}; the pull was stopped, and what was here before is as it was\n{place.again}"
    stalled.over.set()
    assert "Downloaded newer image" in place.kernel.good(f"%image pull {registry.host}/killed:1").last


def test_a_log_views_and_terminals_survive_an_engine_that_is_stopped(embedded_place):
    place = embedded_place
    terminals = place.look()
    cell = following(place.kernel, "91031")
    place.ways["stopped"]()
    cell.end()
    assert cell.error == f"{place.lost}{LEFT[following].format('91031')}\n{place.again}"
    place.check_views_are_dead(terminals)
    place.check_views_live_again()


def test_stopping_the_engine_from_the_notebook_is_told_in_what_was_live(embedded_place):
    place = embedded_place
    kernel = place.kernel
    kernel.good("%container board web", live=True)
    kernel.until(lambda: kernel.view("1 container") and not kernel.view("1 container")["problem"])
    kernel.good("%engine stop")
    kernel.until(lambda: kernel.view("1 container")["problem"] == "No longer live: the engine was stopped")
    kernel.good("%container ls")
    kernel.until(lambda: not kernel.view("1 container")["problem"])


# --- a daemon elsewhere ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "token"), [(following, "92001"), (talking, "92002"), (executing, "92003")], ids=["logs", "run", "exec"]
)
def test_a_connection_that_is_cut_is_told_and_the_next_cell_connects_again(remote_place, begin, token):
    place = remote_place
    cell = begin(place.kernel, token)
    with place.without("cut"):
        cell.end()
        assert cell.error == f"{place.lost}{LEFT[begin].format(token)}\n{place.again}"
        meanwhile = place.kernel.run("%container ls")
        assert meanwhile.error == f"{place.lost}\n{place.again}"
    assert "web" in place.kernel.good("%container ls --format '{{.Names}}'").last.split()
    assert only_there(cell, place.kernel, f"said-{token}")


@pytest.mark.parametrize("way", ["cut", "silent"])
def test_a_build_views_and_terminals_survive_a_connection_that_is_lost(remote_place, way):
    place, token = remote_place, {"cut": "92011", "silent": "92012"}[way]
    kernel = place.kernel
    kernel.good(f"%config DockMagic.patience = {PATIENCE}")
    terminals = place.look()
    cell = building(kernel, token)
    reason = f": it has not answered for {2 * PATIENCE:.0f} seconds" if way == "silent" else ""
    with place.without(way):
        cell.end()
        assert cell.error == f"{place.lost}{reason}{LEFT[building]}\n{place.again}"
        place.check_views_are_dead(terminals, reason)
        assert "web" not in kernel.complete("%container stop w")  # and who presses Tab is not made to wait
    kernel.good("%config DockMagic.patience = 15")
    place.check_views_live_again()
    kernel.until(lambda: not running(token))
    assert only_there(cell, kernel, f"said-{token}")


def test_a_followed_log_is_not_followed_for_ever_where_nobody_is(remote_place):
    place = remote_place
    place.kernel.good(f"%config DockMagic.patience = {PATIENCE}")
    cell = following(place.kernel, "92021")
    with place.without("silent"):
        cell.end()
    reason = f": it has not answered for {2 * PATIENCE:.0f} seconds"
    assert cell.error == f"{place.lost}{reason}{LEFT[following].format('92021')}\n{place.again}"
    place.kernel.good("%config DockMagic.patience = 15")


def test_a_pull_survives_a_connection_that_is_cut(remote_place, registry):
    place = remote_place
    cell, stalled = pulling(place.kernel, registry, "cut:1")
    with place.without("cut"):
        cell.end()
    assert cell.error == f"{place.lost}; the pull was stopped, and what was here before is as it was\n{place.again}"
    assert stalled.gone.wait(20)  # the daemon does not pull for a client that is gone
    stalled.over.set()
    assert "Downloaded newer image" in place.kernel.good(f"%image pull {registry.host}/cut:1").last
