from support.markup_check import check_static

from pydockmagic.commands import BuildProgress, BuildResult, PullProgress
from pydockmagic.notebook.boards import BuildBoard, PullBoard, offending
from pydockmagic.notebook.capture import NotebookOutput

DOCKERFILE = "FROM busybox\n\nRUN echo one \\\n && false\nCMD x\n"


def progress(index, state, **more):
    words = {1: "FROM busybox", 2: "RUN echo one && false", 3: "CMD x"}
    lines = {1: (1, 1), 2: (3, 4), 3: (5, 5)}[index]
    return BuildProgress(index, 3, words[index], state, *lines, **more)


def board(*messages, source=""):
    made = BuildBoard(source)
    for message in messages:
        made.take(message)
    return made


def test_a_running_build_shows_the_end_of_what_its_step_prints():
    made = board(
        progress(1, "done", seconds=0.1),
        progress(2, "started"),
        *(progress(2, "output", text=f"line {at}\n") for at in range(20)),
    )
    text = check_static(made.html())
    assert made.headline() == "Building: step 2 of 3"
    assert "line 19" in text
    assert "line 3\n" not in text


def test_a_finished_step_tells_its_time_size_and_why_it_came_from_the_cache():
    made = board(
        progress(1, "cached", reason="same base image", seconds=0.0), progress(2, "done", seconds=1.5, size=1200)
    )
    text = check_static(made.html())
    assert "from the cache: same base image" in text
    assert "1.50 s" in text
    assert "1.2kB" in text


def test_a_failure_shows_the_lines_their_numbers_the_output_and_the_exit_code():
    made = board(
        progress(1, "done"),
        progress(2, "started"),
        progress(2, "output", text="one\n"),
        progress(2, "failed", exit_code=1),
        source=DOCKERFILE,
    )
    text = check_static(made.html())
    assert "failed, exit code 1" in text
    assert "Dockerfile, lines 3-4" in text
    assert "> 3 | RUN echo one \\\n> 4 |  && false" in text
    assert "one" in made.plain()
    assert "> 3 | RUN" in made.plain()


def test_output_is_escaped():
    made = board(progress(2, "output", text="<script>alert(1)</script>\n"), progress(2, "done"))
    assert "<script>" not in made.html()


def test_of_very_much_output_the_end_is_kept():
    made = board(progress(2, "output", text="x\n" * 5000 + "last\n"), progress(2, "done"))
    assert made.steps[2].text().startswith("(3,001 lines above are left out)")
    assert made.steps[2].text().endswith("last")


def test_offending_lines_stand_between_their_neighbours():
    assert offending(DOCKERFILE, 1, 1) == "> 1 | FROM busybox\n  2 |"
    assert offending("FROM x\nRUNN y", 2, 2) == "  1 | FROM x\n> 2 | RUNN y"


def test_a_line_outside_the_file_shows_what_there_is():
    assert offending("FROM x", 7, 7) == ""


def test_a_pull_shows_each_layer_and_what_was_said_of_the_whole():
    made = PullBoard()
    made.take(PullProgress("abc", "Downloading", 500, 1000))
    made.take(PullProgress("abc", "Pull complete"))
    made.take(PullProgress("", "Status: Downloaded newer image for x:latest"))
    assert made.plain() == "abc: Pull complete\nStatus: Downloaded newer image for x:latest"
    check_static(made.html())


def test_a_starter_is_announced_without_paths_of_this_machine():
    made = PullBoard()
    made.take(PullProgress("", "Starter image, no registry was asked: BusyBox 1.35 (/usr/bin/busybox, static)"))
    assert made.plain() == "Starter image, no registry was asked: BusyBox 1.35"


def test_a_build_ends_as_one_output_that_says_what_was_built(capture):
    output = NotebookOutput(rate=8)
    with capture as captured:
        for at in (1, 2, 3):
            output.step(progress(at, "started"))
            output.step(progress(at, "done", seconds=0.5))
        output.finish(BuildResult(id="sha256:" + "f" * 64, tags=["web:latest"]))
    assert len({each["transient"]["display_id"] for each in captured.displays}) == 1
    last = captured.displays[-1]["data"]
    assert last["text/plain"].splitlines()[0] == "Built web:latest (ffffffffffff): 3 steps, 0 from the cache, 1.50 s"


def test_a_build_that_was_interrupted_shows_where(capture):
    output = NotebookOutput()
    with capture as captured:
        output.step(progress(1, "done"))
        output.step(progress(2, "started"))
        output.finish()
    assert " ■ 2/3 RUN echo one && false  [stopped" in captured.displays[-1]["data"]["text/plain"]


def test_updates_are_throttled(capture):
    output = NotebookOutput(rate=8)
    with capture as captured:
        for _ in range(1000):
            output.step(progress(2, "output", text="x\n"))
        output.finish()
    assert len(captured.displays) < 20
    assert "Build stopped" in captured.displays[-1]["data"]["text/plain"]


def test_nothing_is_written_to_the_error_stream(capsys):
    output = NotebookOutput()
    output.write("stdout", "one\n")
    output.write("stderr", "two\n")
    assert capsys.readouterr() == ("one\ntwo\n", "")
