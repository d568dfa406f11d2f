"""A container's standard error in a cell: told apart by a word, in its place, apart in the result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.notebook.capture import NotebookOutput
from pydockmagic.notebook.marks import MARK, Marks, marked

STREAMS = st.sampled_from(["stdout", "stderr"])
PIECES = st.lists(st.tuples(STREAMS, st.text(alphabet="ab \n", max_size=6)), max_size=8)


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([("stdout", "one\n"), ("stderr", "bad\n"), ("stdout", "two\n")], "one\nstderr | bad\ntwo\n"),
        ([("stderr", "a\nb\n\nc")], "stderr | a\nstderr | b\nstderr | \nstderr | c"),
        ([("stdout", "Name? "), ("stderr", "none\n")], "Name? \nstderr | none\n"),
        ([("stderr", "half"), ("stderr", " line\n"), ("stdout", "out\n")], "stderr | half line\nout\n"),
        ([("stderr", "half"), ("stdout", "out\n")], "stderr | half\nout\n"),
        ([("stderr", "1%\r2%\r"), ("stderr", "3%\n")], "stderr | 1%\rstderr | 2%\rstderr | 3%\n"),
        ([("stderr", "a\r\nb\r"), ("stderr", "\nc\r\n")], "stderr | a\r\nstderr | b\r\nstderr | c\r\n"),
        ([("stderr", "\r\n\n")], "stderr | \r\nstderr | \n"),
        ([("stdout", "no marks \r here\n\n")], "no marks \r here\n\n"),
    ],
)
def test_lines_of_standard_error_begin_with_a_word(pieces, shown):
    assert marked(pieces) == shown


@given(PIECES)
def test_every_line_shows_the_stream_that_it_came_on_and_nothing_is_lost(pieces):
    shown = marked(pieces)
    complaints = [line.removeprefix(MARK) for line in shown.split("\n") if line.startswith(MARK)]
    others = [line for line in shown.split("\n") if not line.startswith(MARK)]
    for stream, lines in (("stderr", complaints), ("stdout", others)):
        wrote = "".join(text for name, text in pieces if name == stream)
        assert "".join(lines) == wrote.replace("\n", "")


@given(st.lists(st.tuples(STREAMS, st.text(alphabet="ab\n\r", min_size=1, max_size=9)), max_size=6), st.data())
def test_how_the_output_is_cut_into_pieces_changes_nothing(pieces, data):
    cut = []
    for stream, text in pieces:
        at = data.draw(st.integers(0, len(text)))
        cut += [(stream, text[:at]), (stream, text[at:])]
    assert marked(cut) == marked(pieces)


def test_a_flood_keeps_its_marks_in_the_cell_its_tail_and_its_log(shell, capture, capsys, tmp_path):
    log = tmp_path / "cell.log"
    output = NotebookOutput(lines=4, log=lambda: log)
    with capture as captured:
        for number in range(100):
            output.program("stdout", f"out {number}\n")
            output.program("stderr", f"err {number}\n")
        output.finish()
    assert capsys.readouterr().out == "out 0\nstderr | err 0\nout 1\nstderr | err 1\n"
    assert captured.texts()[-1].endswith("out 99\nstderr | err 99")
    assert log.read_text().splitlines()[150:152] == ["out 75", "stderr | err 75"]


def test_standard_output_alone_is_handed_on_as_it_is():
    marks, text = Marks(), "line\n" * 1000
    assert marks.take("stdout", text) is text
