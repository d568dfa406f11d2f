"""The magics on the real engine: what a cell runs, shows, returns and leaves."""

import os
import signal
import sys

import pytest
from support.engine import engine
from support.markup_check import check_static

from pydockmagic.notebook.errors import DockerError

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with engine(tmp_path_factory.mktemp("engine")) as address:
        yield address


@pytest.fixture
def dock(shell, address, tmp_path, monkeypatch):
    """The shell, with the engine of this module, in a folder of its own; leaves no container."""
    monkeypatch.chdir(tmp_path)
    magics = shell.magics_manager.registry["DockMagic"]
    magics.engine = address
    shell.kernel = object()  # what makes a notebook of a shell: progress is drawn
    yield shell
    del shell.kernel
    client = magics.session.client
    for container in client.containers(all=True):
        client.container_remove(container["Id"], force=True)


def run(shell, code):
    result = shell.run_cell(code)
    result.raise_error()
    return result.result


def test_a_run_streams_what_its_program_prints_and_returns_the_result(dock, capsys):
    dock.run_line_magic("docker", "pull busybox")
    capsys.readouterr()
    result = run(dock, "%container run --rm busybox sh -c 'echo out; echo err >&2; exit 3'")
    out, err = capsys.readouterr()
    assert set(out.splitlines()) >= {"out", "stderr | err"}
    assert err == ""
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)


def test_both_streams_of_a_program_are_told_apart_in_the_cell_in_its_logs_and_later(dock, capsys, capture):
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    result = run(dock, f"x = %container run --name both busybox sh -c '{script}'")
    expected = {*(f"out {number}" for number in (1, 2, 3)), *(f"stderr | err {number}" for number in (1, 2, 3))}
    assert set(capsys.readouterr().out.splitlines()) >= expected
    run(dock, "%container logs both")
    assert set(capsys.readouterr().out.splitlines()) >= expected
    with capture as captured:
        run(dock, "x")
    assert set(captured.texts()[0].splitlines()) == expected
    result = dock.user_ns["x"]
    assert result.stderr.endswith("err 1\nerr 2\nerr 3\n")
    assert result.stdout == "out 1\nout 2\nout 3\n"


def test_a_program_that_fails_fails_the_cell_where_that_is_asked_for(dock):
    run(dock, "%config DockMagic.check = True")
    with pytest.raises(DockerError, match="exit code 3") as caught:
        run(dock, "%container run --rm busybox sh -c 'exit 3'")
    run(dock, "%config DockMagic.check = False")
    assert caught.value.exit_code == 3


def test_a_cell_is_the_standard_input_of_a_container(dock):
    result = run(dock, "%%container run --rm -i busybox cat\nfirst {{line}}\n$HOME {name}\n")
    assert result.stdout == "first {{line}}\n$HOME {name}\n"


def test_the_id_of_a_container_goes_into_a_variable_and_back_into_a_line(dock):
    run(dock, "box = %container run -d busybox sleep 100")
    assert run(dock, "%container inspect --format '{{.State.Status}}' {box}").stdout == "running\n"


def test_what_a_course_asks_of_lists_can_be_calculated(dock):
    import pandas as pd

    run(dock, "%container run -d --name one --label lab=1 busybox sleep 100")
    run(dock, "%container run -d --name two busybox sleep 100")
    run(dock, "%volume create made")
    images = run(dock, "%image ls").to_pandas()
    assert images["Size"].sum() == run(dock, "%image inspect busybox")["Size"]
    boxes = run(dock, "%container ls -a -s").to_pandas().sort_values(["CreatedAt", "Names"])
    assert set(boxes["Names"]) == {"one", "two"}
    assert boxes["CreatedAt"].max() - boxes["CreatedAt"].min() < pd.Timedelta(minutes=5)
    assert list(boxes["SizeRootFs"] >= boxes["Size"]) == [True, True]
    assert boxes["Labels"][boxes["Names"] == "one"].iloc[0]["lab"] == "1"
    usage = run(dock, "%container stats --no-stream").to_pandas().set_index("Name")
    assert usage["PIDs"].sum() == 2
    assert usage["MemUsage"].dtype.kind in "iuf"
    history = run(dock, "%image history busybox").to_pandas()
    assert history["Size"].sum() == images["Size"].sum()
    space = run(dock, "%system df").to_pandas().set_index("Type")
    assert space.loc["Images", "Size"] >= space.loc["Images", "Reclaimable"]
    assert (space.loc["Containers", "TotalCount"], space.loc["Local Volumes", "Active"]) == (2, 0)
    assert run(dock, "%network ls").to_pandas().set_index("Name").loc["bridge", "Internal"] == False  # noqa: E712
    assert "made" in list(run(dock, "%volume ls").to_pandas()["Name"])
    dock.user_ns["ids"] = run(dock, "%container ls -aq --no-trunc")
    assert sorted(run(dock, "%container inspect {ids}").to_pandas()["Name"]) == ["/one", "/two"]
    run(dock, "%container rm -f {ids}")
    assert len(run(dock, "%container ls -aq")) == 0
    run(dock, "%volume rm made")


def test_names_of_what_there_is_are_completed(dock):
    from IPython.core.completer import provisionalcompleter

    run(dock, "%container run -d --name running busybox sleep 100")
    run(dock, "%container create --name resting busybox")
    run(dock, "%%docker\nnetwork create lab\nvolume create keeps\n")

    def completed(text):
        with provisionalcompleter():
            return {each.text for each in dock.Completer.completions(text, len(text))}

    for text, expected in (
        ("%container rm r", {"running", "resting"}),
        ("%container rm running r", {"resting"}),
        ("%container exec r", {"running"}),
        ("%container start r", {"resting"}),
        ("%container run --network l", {"lab"}),
        ("%container run --network=l", {"lab"}),
        ("%container run -v k", {"keeps:"}),
        ("%container run --pid container:r", {"container:running"}),
        ("%container cp r", {"running:", "resting:"}),
        ("%container run bu", {"busybox"}),
        ("%image history bu", {"busybox"}),
        ("%network connect lab r", {"running", "resting"}),
        ("%volume rm k", {"keeps"}),
        ("%layers r", {"running", "resting"}),
        ("%states res", {"resting"}),
        ("%inside run", {"running"}),
        ("%%docker\nps\nstop r", {"running"}),
        ("x = %container logs res", {"resting"}),
    ):
        assert completed(text) == expected, text
    run(dock, "%%docker\nrm -f running resting\nnetwork rm lab\nvolume rm keeps\n")


def test_what_docker_refuses_is_dockers_sentence(dock, capsys):
    run(dock, "%container create --name taken busybox")
    with pytest.raises(DockerError, match="is already in use by container") as caught:
        run(dock, "%container create --name taken busybox")
    assert caught.value.exit_code == 1
    assert "Traceback" not in capsys.readouterr().out


def test_an_interrupt_stops_the_container_in_the_foreground(dock, monkeypatch):
    class Interrupting:
        """Interrupts as soon as the container says that it listens."""

        def __init__(self, stream):
            self._stream = stream

        def write(self, text):
            if "ready" in text:
                os.kill(os.getpid(), signal.SIGINT)
            return self._stream.write(text)

        def __getattr__(self, name):
            return getattr(self._stream, name)

    command = "trap 'echo caught; exit 5' INT; echo ready; while true; do sleep 1 & wait; done"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Interrupting(sys.stdout))
        result = dock.run_cell(f"%container run --name box busybox sh -c {command!r}")
    assert isinstance(result.error_in_exec, DockerError)
    assert "interrupted" in str(result.error_in_exec)
    assert result.error_in_exec.result.stdout == "ready\ncaught\n"
    assert run(dock, "%container inspect --format '{{.State.Status}} {{.State.ExitCode}}' box").stdout == "exited 5\n"


def test_a_dockerfile_cell_builds_with_the_notebooks_folder_as_context(dock, capture, tmp_path):
    (tmp_path / "greeting.txt").write_text("Hello\n")
    with capture as captured:
        result = run(dock, "%%dockerfile -t greeting\nFROM busybox\nCOPY greeting.txt /\nCMD cat /greeting.txt\n")
    assert result.tags == ["greeting:latest"]
    last = captured.displays[-1]["data"]
    assert last["text/plain"].startswith("Built greeting:latest (")
    assert "COPY greeting.txt /" in check_static(last["text/html"])
    assert run(dock, "%container run --rm greeting").stdout == "Hello\n"


def test_the_context_may_be_another_folder(dock, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("x")
    run(dock, "%%dockerfile -t site --context site\nFROM busybox\nCOPY index.html /index.html\n")
    assert run(dock, "%container run --rm site cat /index.html").stdout == "x"


def test_a_second_build_says_what_came_from_the_cache_and_why_the_rest_did_not(dock, capture):
    cell = "%%dockerfile -t cached\nFROM busybox\nRUN echo same > /a\nRUN echo {}\n"
    run(dock, cell.format("one"))
    with capture as captured:
        run(dock, cell.format("two"))
    text = captured.displays[-1]["data"]["text/plain"]
    assert "RUN echo same > /a  [from the cache" in text
    assert "RUN echo two  [built: instruction changed" in text


def test_a_step_that_fails_shows_its_line_its_output_and_its_exit_code(dock, capture):
    with capture as captured, pytest.raises(DockerError, match="returned a non-zero code: 7") as caught:
        run(dock, "%%dockerfile -t broken\nFROM busybox\n\nRUN echo working; exit 7\nCMD true\n")
    text = check_static(captured.displays[-1]["data"]["text/html"])
    assert "failed, exit code 7" in text
    assert "working" in text
    assert "> 3 | RUN echo working; exit 7" in text
    assert len(str(caught.value).splitlines()) == 1


def test_a_misspelt_instruction_shows_its_line(dock, capture):
    with capture as captured, pytest.raises(DockerError, match="unknown instruction: RUNN"):
        run(dock, "%%dockerfile -t broken\nFROM busybox\nRUNN true\n")
    assert "> 2 | RUNN true" in captured.displays[-1]["data"]["text/plain"]


def test_layers_of_an_image_and_of_a_container_of_it(dock):
    run(dock, "%%dockerfile -t layered\nFROM busybox\nRUN echo one > /one\nENV A=1\nRUN rm /one\n")
    shown = run(dock, "%layers layered")
    lines = repr(shown).splitlines()
    assert lines[0].startswith("layered:latest: 3 layers")
    assert "4B wasted" in lines[0]
    assert [line.split()[-2:] for line in lines[1:4]] == [["line", "4"], ["line", "3"], ["4B", "wasted"]]
    assert "/one" in check_static(shown.view.html())
    run(dock, "%container run --name box layered sh -c 'echo four > /two'")
    top = run(dock, "%layers box").view.layers[0]
    assert (top.writable, top.size) == (True, 5)
    assert run(dock, "%layers --type image layered").view.layers[0].writable is False


def test_layers_of_nothing_are_dockers_sentence_and_the_next_step(dock):
    with pytest.raises(DockerError, match="No such object: nosuch") as caught:
        run(dock, "%layers nosuch")
    assert "%image ls" in caught.value.hint


def test_states_tell_the_whole_life_of_a_container(dock):
    run(dock, "%container run -d --name box busybox sleep 100")
    run(dock, "%%docker\npause box\nunpause box\nkill box\nwait box")
    shown = run(dock, "%states box")
    assert repr(shown).splitlines()[0] == "box is exited (exit code 137, SIGKILL)"
    assert ("running", "paused") in shown.view.taken()
    check_static(shown.view.html())


def test_a_live_diagram_hears_of_what_happens_elsewhere(dock, address):
    from pydockmagic.client import connect

    magics = dock.magics_manager.registry["DockMagic"]
    magics.live = "always"
    run(dock, "%container run -d --name box busybox sleep 100")
    widget = run(dock, "%states box").widget
    changed = wait_for(widget, "exited")
    with connect(address) as other:
        other.container_kill("box")
        assert changed.wait(10)
        gone = wait_for(widget, "gone")
        other.container_remove("box")
        assert gone.wait(10)
    assert widget.problem == ""
    magics.live = "auto"


def test_the_same_image_is_sent_to_the_page_once(dock):
    magics = dock.magics_manager.registry["DockMagic"]
    magics.live = "always"
    run(dock, "%container create busybox")
    first, again = run(dock, "%layers busybox").widget, run(dock, "%layers busybox").widget
    assert first is again
    assert first.complete.wait(10)
    assert first.files
    magics.live = "auto"


def wait_for(widget, state):
    from threading import Event

    reached = Event()

    def look(_change):
        if widget.state == state:
            reached.set()

    widget.observe(look, "title")
    return reached


def test_a_live_view_says_that_it_is_no_longer_live_when_the_engine_goes(shell, tmp_path):
    from threading import Event

    magics = shell.magics_manager.registry["DockMagic"]
    said = Event()
    with engine(tmp_path) as address:
        magics.engine, magics.live = address, "always"
        run(shell, "%container create --name box busybox")
        widget = run(shell, "%states box").widget
        widget.observe(lambda _change: said.set(), "problem")
        run(shell, "%container rm box")
    assert said.wait(10)
    assert widget.problem.startswith("No longer live: the connection to ")
    magics.live = "auto"


def test_the_doctor_is_a_table(dock):
    rows = run(dock, "%engine doctor").rows
    assert {"Capability", "Available", "Reason", "Consequence"} <= set(rows[0])


def test_the_engine_in_use_is_named_when_it_is_not_the_embedded_one(dock, address):
    report = run(dock, "%engine")
    assert report.facts["Engine"] == address
    from pydockmagic.notebook.results import represent

    magics = dock.magics_manager.registry["DockMagic"]
    result = run(dock, "%image ls")
    assert address in represent(result, magics.session.engine(), embedded=magics.session.is_embedded())["text/html"]
