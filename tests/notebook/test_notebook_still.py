"""Where nobody watches, progress is one output, drawn once: programs that compare outputs know of no updates."""

from pydockmagic.commands import BuildProgress, PullProgress
from pydockmagic.notebook.capture import NotebookOutput


def test_a_pull_is_drawn_once_it_is_over_and_before_what_comes_next(capture, capsys):
    output = NotebookOutput(still=True)
    with capture as captured:
        for at in range(3):
            output.pull(PullProgress("7030a4eeb58c", "Downloading", at, 3))
        assert captured.displays == []
        output.pull(PullProgress("7030a4eeb58c", "Pull complete"))
        output.write("stdout", "from the program\n")
        assert [("Pull complete" in text) for text in captured.texts()] == [True]
        output.finish()
    assert len(captured.displays) == 1
    assert capsys.readouterr().out == "from the program\n"


def test_a_build_is_drawn_once_it_is_over(capture):
    output = NotebookOutput(still=True, source="FROM busybox\nRUN true\n")
    with capture as captured:
        for state in ("started", "done"):
            output.step(BuildProgress(1, 1, "FROM busybox", state, 1, 1))
        assert captured.displays == []
        output.finish()
    assert [each["update"] for each in captured.displays] == [False]


def test_where_somebody_watches_it_is_drawn_as_it_comes(capture):
    output = NotebookOutput()
    with capture as captured:
        output.pull(PullProgress("7030a4eeb58c", "Downloading", 1, 3))
        assert len(captured.displays) == 1
        output.finish()
    assert [each["update"] for each in captured.displays] == [False, True]
