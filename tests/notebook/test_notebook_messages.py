"""What front ends hear from a kernel: threads tell their own cell, interrupts end what runs, no widget is an output."""

import pytest
from support.engine import engine
from support.messages import kernel

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("default"),  # what Jupyter's own client warns of is not ours to fix
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with engine(tmp_path_factory.mktemp("engine")) as address:
        yield address


@pytest.fixture(scope="module", params=["python3", "pydockmagic"])
def running(request, tmp_path_factory, address):
    """A kernel with our magics; both kernels have the same."""
    folder = tmp_path_factory.mktemp(request.param)
    with kernel(folder, request.param, {"PYDOCK_HOST": address}) as running:
        if request.param == "python3":
            assert not running.run("%load_ext pydockmagic").error
        yield running
        running.run("%docker rm -f board left")


def python(running, code):
    name = running.manager.kernel_name
    cell = running.run(f"%%python\n{code}" if name == "pydockmagic" else code)
    assert not cell.error
    return cell


def test_progress_belongs_to_the_cell_that_began_it(running):
    cell = running.run("%docker pull busybox")
    assert cell.kinds == {"display_data", "update_display_data", "stream"}
    # Six updates a second come from a timer's thread, while the cell itself waits for the build.
    build = running.run("%%dockerfile --no-cache\nFROM busybox\nRUN sleep 0.5; echo one; sleep 0.5\nRUN sleep 0.3")
    assert len(build.contents("update_display_data")) > 2
    assert build.kinds == {"display_data", "update_display_data"}
    assert "Built" in build.contents("update_display_data")[-1]["data"]["text/plain"]


def test_displays_are_text_and_html_and_never_a_widget(running):
    for code in ("%layers busybox", "%volume map", "%network map", "%engine"):
        cell = running.run(code)
        for content in cell.contents("display_data", "execute_result", "update_display_data"):
            assert set(content["data"]) == {"text/plain", "text/html"}
        assert cell.contents("display_data", "execute_result")


def test_a_live_view_is_told_of_what_happens_after_its_cell_and_says_nothing_elsewhere(running):
    board = running.run("%container board")
    running.until(lambda: board.contents("comm_open"))
    later = running.run("%container run -d --name board busybox sh -c 'echo begun; exec sleep 1000'")
    running.until(lambda: any("board" in str(content["data"]) for content in board.contents("comm_msg")))
    assert later.kinds == {"display_data"}
    assert not board.error


def test_where_nobody_looks_nothing_is_made_live(running):
    cell = running.run("%container board", person=False)
    python(running, "1")
    assert not cell.contents("comm_open")


def test_the_end_of_a_terminal_is_told_where_it_began(running):
    begun = running.run("%container run -it --name left busybox sh")
    view = begun.contents("display_data")[0]
    cell = python(running, "import gc\nfrom pydockmagic.notebook.terminals import TerminalSession\n"
                  "[session] = [each for each in gc.get_objects() if isinstance(each, TerminalSession)]\n"
                  "session.send('echo $((6*7)); exit 3\\n')\nprint(session.wait(30).exit_code)")  # fmt: skip
    running.until(lambda: "exit code 3" in str(begun.contents("update_display_data")[-1:]))
    last = begun.contents("update_display_data")[-1]
    assert last["transient"]["display_id"] == view["transient"]["display_id"]
    assert "42" in last["data"]["text/plain"]
    assert (cell.kinds, cell.text) == ({"stream"}, "3\n")


@pytest.mark.parametrize(
    "code",
    [
        "%container run --rm busybox sh -c 'trap \"exit 7\" INT; echo begun; while :; do :; done'",
        "%%dockerfile\nFROM busybox\nRUN echo begun; sleep 1000",
        "%container logs -f board",
    ],
    ids=["a run", "a build", "a followed log"],
)
def test_an_interrupt_ends_what_runs_and_the_next_cell_runs(running, code):
    cell = running.begin(code)
    running.until(lambda: "begun\n" in cell.text or "begun" in str(cell.contents("update_display_data")))
    running.manager.interrupt_kernel()
    running.end(cell)
    assert cell.error.startswith("DockerError: interrupted")
    assert running.run("%docker ps -q --filter name=board").contents("display_data")


def test_nothing_was_written_to_standard_error(running):
    assert [content for cell in running.cells.values() for content in cell.contents("stream")
            if content["name"] == "stderr"] == []  # fmt: skip
    assert [message for message in running.others if message["msg_type"] in ("stream", "error", "display_data")] == []
