"""What front ends hear from a kernel: threads tell their own cell, views are told later, no widget is an output."""

import os

import pytest
from support.engine import engine
from support.kernels import kernel

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("default"),  # what Jupyter's own client warns of is not ours to fix
]
_COMMS = ("comm_open", "comm_msg", "comm_close", "status", "execute_input")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with engine(tmp_path_factory.mktemp("engine")) as address:
        yield address


@pytest.fixture(scope="module", params=["python", "docker"])
def running(request, tmp_path_factory, address):
    """A kernel with our magics; both kernels have the same."""
    environ = {**os.environ, "PYDOCK_HOST": address}
    with kernel(tmp_path_factory.mktemp(request.param), environ, docker=request.param == "docker") as running:
        running.python = "%%python\n" if request.param == "docker" else ""
        if not running.python:
            running.good("%load_ext pydockmagic")
        yield running
        running.run("%docker rm -f board left")
        assert running.strays() == []


def contents(cell, *kinds):
    return [each["content"] for each in cell.messages if each["msg_type"] in kinds]


def shown(cell):
    """The kinds of its outputs; what its views are told is none."""
    return {each["msg_type"] for each in cell.messages if each["msg_type"] not in _COMMS}


def test_progress_belongs_to_the_cell_that_began_it(running):
    pull = running.good("%docker pull busybox", live=True)
    assert shown(pull) == {"display_data", "update_display_data", "stream"}
    # Most updates come from a timer's thread, while the cell itself waits for the build.
    code = "%%dockerfile --no-cache\nFROM busybox\nRUN sleep 0.5; echo one; sleep 0.5\nRUN sleep 0.3"
    build = running.good(code, live=True)
    assert len(contents(build, "update_display_data")) > 2
    assert shown(build) == {"display_data", "update_display_data"}
    assert "Built" in build.last


def test_where_nobody_looks_progress_is_drawn_once_and_nothing_is_made_live(running):
    build = running.good("%%dockerfile --no-cache\nFROM busybox\nRUN sleep 0.2; echo one")
    assert shown(build) == {"display_data"}
    assert "Built" in build.last
    board = running.good("%container board")
    running.good(f"{running.python}1")
    assert shown(board) == {"execute_result"}
    assert not contents(board, "comm_open")


def test_displays_are_text_and_html_and_never_a_widget(running):
    for code in ("%layers busybox", "%volume map", "%network map", "%engine"):
        cell = running.good(code, live=True)
        bundles = contents(cell, "display_data", "execute_result", "update_display_data")
        assert [set(content["data"]) for content in bundles] == [{"text/plain", "text/html"}]


def test_a_live_view_is_told_of_what_happens_after_its_cell_and_says_nothing_elsewhere(running):
    board = running.good("%container board", live=True)
    board.until(lambda cell: contents(cell, "comm_open"))
    later = running.good("%container run -d --name board busybox sleep 1000", live=True)
    board.until(lambda cell: any("board" in str(content["data"]) for content in contents(cell, "comm_msg")))
    assert shown(later) == {"display_data"}
    assert shown(board) == {"execute_result"}


def test_the_end_of_a_terminal_is_told_where_it_began(running):
    begun = running.good("%container run -it --name left busybox sh", live=True)
    code = """import gc
from pydockmagic.notebook.terminals import TerminalSession
[session] = [each for each in gc.get_objects() if isinstance(each, TerminalSession)]
session.send('echo $((6*7)); exit 3\\n')
print(session.wait(30).exit_code)"""
    cell = running.good(running.python + code, live=True)
    begun.until(lambda cell: "exit code 3" in cell.last)
    first, last = contents(begun, "display_data")[0], contents(begun, "update_display_data")[-1]
    assert last["transient"]["display_id"] == first["transient"]["display_id"]
    assert "42" in begun.last
    assert (shown(cell), cell.text) == ({"stream"}, "3\n")
