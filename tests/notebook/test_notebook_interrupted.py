"""The stop button in the middle of things: a real kernel, a real SIGINT, a real engine.

What a person sees is one sentence that says what is left; what ran for the cell has ended; the next cell works; and
nothing of a cell is shown in another one.
"""

from __future__ import annotations

import itertools
import os
import random
import signal

import pytest
from support.kernels import home, kernel, running
from support.registry import fake_registry

from pydockmagic.client import connect, embedded

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("default"),  # what Jupyter's own client warns of is not ours to fix
]


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    """An embedded engine with busybox, and two detached containers; it is gone afterwards."""
    environ = home(tmp_path_factory.mktemp("home"))
    yield environ
    with connect("embedded", environ=environ) as client:
        for container in client.containers(all=True):
            client.container_remove(container["Id"], force=True)
    embedded.stop(environ)


@pytest.fixture(scope="module")
def python(environ, tmp_path_factory):
    """A Python kernel; nothing that it shows may stray from its cell, whenever it comes."""
    with kernel(tmp_path_factory.mktemp("python"), environ) as started:
        started.good("%load_ext pydockmagic")
        started.good("%image pull -q busybox")
        yield started
        assert started.strays() == []


@pytest.fixture(scope="module")
def docker(python, environ, tmp_path_factory):
    """The Docker kernel, at the same engine."""
    with kernel(tmp_path_factory.mktemp("docker"), environ, docker=True) as started:
        yield started
        assert started.strays() == []


@pytest.fixture(scope="module")
def registry():
    with fake_registry() as registry:
        yield registry


def names(kernel, part=""):
    """List containers in a cell of its own, which must succeed."""
    return kernel.good(
        f"%container ls -a --filter name={part} --format '{{{{.Names}}}} {{{{.State}}}}'"
    ).last.splitlines()


def elsewhere(kernel, cell, said):
    """Whether something that a cell's program said is shown in another cell."""
    shown = ("stream", "display_data", "update_display_data", "execute_result", "error")
    found = [each for each in kernel.messages() if each["msg_type"] in shown and said in str(each["content"])]
    assert found, f"nobody said {said}"
    return [each for each in found if each["parent_header"].get("msg_id") != cell.id]


# --- what runs in the foreground ------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["python", "docker"])
def test_a_build_stops_with_its_step_and_says_what_is_in_the_cache(which, request):
    kernel, token = request.getfixturevalue(which), "90001" if which == "python" else "90002"
    file = f"FROM busybox\nRUN echo {token} > /kept\nRUN echo said-{token}; sleep {token}\n"
    head = {"python": f"%%dockerfile -t built{token}\n", "docker": f"# docker build -t built{token}\n"}[which]
    cell = kernel.begin(head + file, live=True).until(lambda cell: "3/3" in cell.last and running(token))
    kernel.interrupt()
    cell.end()
    assert cell.error == (
        "interrupted: the build was stopped, it was at step 3 of 3: the 2 steps done are in the cache"
    )
    assert "3/3 RUN echo said" in cell.last
    assert cell.last.startswith("Build stopped")
    kernel.until(lambda: not running(token))
    again = kernel.good(f"%%dockerfile -t built{token}\nFROM busybox\nRUN echo {token} > /kept\nRUN true\n")
    assert f"2/3 RUN echo {token} > /kept  [from the cache" in again.last
    assert elsewhere(kernel, cell, f"said-{token}") == []


@pytest.mark.parametrize("which", ["python", "docker"])
def test_a_pull_stops_at_the_registry_too(which, request, registry):
    kernel = request.getfixturevalue(which)
    name = f"slow-{which}:1"
    registry.image(name, {"a": "one"}, {"b": random.Random(which).randbytes(300_000)})
    stalled = registry.stall(name)
    line = f"image pull {registry.host}/{name}"
    cell = kernel.begin(f"%{line}" if which == "python" else line, live=True)
    cell.until(lambda cell: stalled.begun.is_set() and "Downloading" in cell.last)
    kernel.interrupt()
    cell.end()
    assert (
        cell.error
        == f"interrupted: the pull of {registry.host}/{name} was stopped, and what was here before is as it was"
    )
    assert stalled.gone.wait(20)
    assert name.partition(":")[0] not in kernel.good("%image ls").last
    stalled.over.set()
    assert "Downloaded newer image" in kernel.good(f"%{line}").last


@pytest.mark.parametrize("which", ["python", "docker"])
def test_a_container_in_the_foreground_ends_and_is_still_there(which, request):
    kernel, token = request.getfixturevalue(which), "90011" if which == "python" else "90012"
    # Whoever is the first process is not ended by a signal that it has no handler for: this one has.
    program = f"trap 'exit 7' INT; echo said-{token}; sleep {token} & wait"
    line = f'container run --name front{token} busybox sh -c "{program}"'
    cell = kernel.begin(f"%{line}" if which == "python" else line).until(lambda cell: f"said-{token}" in cell.text)
    kernel.interrupt()
    cell.end()
    assert cell.error == (
        f"interrupted: container front{token} ended with exit code 7 and is still there; "
        f"docker rm front{token} removes it"
    )
    assert not running(token)
    assert names(kernel, token) == [f"front{token} exited"]
    assert elsewhere(kernel, cell, f"said-{token}") == []
    kernel.good(f"%container rm front{token}")


def test_a_command_in_a_running_container_ends_with_its_cell(python):
    python.good("%container run -d --name web busybox sleep 1000")
    cell = python.begin("%container exec web sh -c 'echo said-90021; exec sleep 90021'")
    cell.until(lambda cell: "said-90021" in cell.text and running("90021"))
    python.interrupt()
    cell.end()
    assert cell.error == "interrupted: the command in container web ended with exit code 130"
    assert not running("90021")
    assert python.good("%container exec web echo yes").text == "yes\n"


def test_waiting_for_an_answer_is_given_up_and_the_container_goes_on(python):
    cell = python.begin("print('asking')\n%container wait web").until(lambda cell: cell.text)
    python.interrupt()
    cell.end()
    assert cell.error == "interrupted: docker wait web waits again"
    assert names(python, "web") == ["web running"]


def test_an_interrupt_before_the_engine_has_started_leaves_none_in_the_way(python, environ):
    socket = embedded.places(environ).socket
    for reached in (lambda _: running(environ["PYDOCK_ROOT"]), lambda _: socket.exists()):
        embedded.stop(environ)
        begun = python.begin("%container run --rm busybox echo started").until(reached)
        python.interrupt()
        begun.end()
        assert begun.error in ("", "interrupted") or begun.error.startswith("interrupted: ")
        assert python.good("%container run --rm busybox echo yes").text == "yes\n"


# --- a detached container, followed from later cells ----------------------------------------------------------------

TALKS = "i=0; while true; do i=$((i+1)); echo talk-$i; sleep 0.05; done"


def test_a_detached_container_is_followed_left_and_followed_again(python):
    python.good(f"%container run -d --name talker busybox sh -c 'trap : INT; {TALKS}'")
    followed = []
    for line in ("logs -f --tail 0 talker", "attach talker", "logs -f --tail 0 talker"):
        cell = python.begin(f"%container {line}").until(lambda cell: cell.text.count("talk-") > 2)
        python.interrupt()
        cell.end()
        if line.startswith("logs"):
            assert cell.error == "interrupted: container talker goes on; docker logs -f talker follows it again"
        else:  # its program was told, has a handler for it, and goes on
            assert cell.error == (
                "interrupted: container talker goes on; docker attach talker joins it again, docker stop talker ends it"
            )
        assert names(python, "talker") == ["talker running"]
        followed.append([int(each.partition("-")[2]) for each in cell.text.split() if each.startswith("talk-")])
    # Each cell shows what was said while it followed: in order, nothing twice, nothing of the cell before.
    for before, after in itertools.pairwise(followed):
        assert before == list(range(before[0], before[0] + len(before)))
        assert after[0] > before[-1]


# --- terminals and live views ---------------------------------------------------------------------------------------


def test_two_terminals_at_the_same_time_each_write_to_their_own_cell(python):
    first = python.good("one = %container exec -it web sh", live=True)
    second = python.good("two = %container exec -it web sh", live=True)
    python.good("one.send('echo first-$((40+2))\\n'); two.send('echo second-$((40+2))\\n')")
    python.good("print('between')\none.send('exit\\n'); two.send('exit 3\\n')")
    waited = python.good("print(one.wait(30).exit_code, two.wait(30).exit_code)")
    assert waited.text == "0 3\n"
    first.until(lambda cell: "ended with exit code 0" in cell.last)
    second.until(lambda cell: "ended with exit code 3" in cell.last)
    assert elsewhere(python, first, "first-42") == elsewhere(python, second, "second-42") == []


def test_an_interrupt_leaves_a_terminal_and_live_views_alone(python):
    """They belong to cells that are over."""
    python.good("term = %container exec -it web sh", live=True)
    board = python.good("%container board web talker", live=True).last.splitlines()[0]
    python.until(lambda: python.view(board))
    cell = python.begin("%container logs -f talker").until(lambda cell: "talk-" in cell.text)
    python.interrupt()
    assert "follows it again" in cell.end().error
    python.good("%container pause talker")
    python.until(lambda: any(row["state"] == "paused" for row in python.view("2 containers")["rows"]))
    python.good("%container unpause talker")
    assert python.view("2 containers")["problem"] == ""
    python.good("term.send('exit 5\\n')")
    assert python.good("print(term.wait(30).exit_code)").text == "5\n"


def test_a_terminal_that_waits_for_its_image_is_given_up(python, registry):
    registry.image("late:1", {"a": "two"}, {"b": random.Random(2).randbytes(300_000)})
    stalled = registry.stall("late:1")
    cell = python.begin(f"%container run -it --name late {registry.host}/late:1 sh", live=True)
    cell.until(lambda _: stalled.begun.wait(0))
    python.interrupt()
    cell.end()
    assert cell.error == "interrupted: no container was started"
    assert stalled.gone.wait(20)
    stalled.over.set()
    assert names(python, "late") == []


# --- the kernel itself ----------------------------------------------------------------------------------------------


def test_a_kernel_that_is_restarted_in_the_middle_ends_by_itself_and_leaves_no_child(python):
    python.good("term = %container exec -it web sh", live=True)
    python.good("%inside web", live=True)
    python.begin("%container logs -f talker").until(lambda cell: "talk-" in cell.text)
    before = python.manager.provisioner.process
    python.restart()
    assert before.returncode == 0, "it had to be killed"
    python.good("%load_ext pydockmagic")
    assert names(python, "talker") == ["talker running"]


def test_a_kernel_that_is_shut_down_in_the_middle_of_a_build_takes_the_build_along(docker):
    docker.begin("FROM busybox\nRUN sleep 90031\n").until(lambda _: running("90031"))
    assert docker.shut_down() == 0, "it had to be killed"
    docker.until(lambda: not running("90031"))


def test_a_kernel_that_is_killed_takes_its_build_along(python):
    python.begin("%%dockerfile -t x\nFROM busybox\nRUN sleep 90041\n").until(lambda _: running("90041"))
    os.kill(python.pid, signal.SIGKILL)
    python.until(lambda: not running("90041"))
