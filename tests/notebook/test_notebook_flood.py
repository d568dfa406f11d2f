"""Output without end in a cell."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.markup_check import check_static

from pydockmagic.notebook.capture import NotebookOutput
from pydockmagic.notebook.flood import Flood


class Canvas:
    def __init__(self):
        self.drawn = 0

    def changed(self):
        pass

    def draw(self):
        self.drawn += 1


def flood(lines, log=None):
    canvas = Canvas()
    made = Flood(lines, lambda: log, lambda _board: canvas)
    return made, canvas


def test_the_beginning_is_shown_and_then_the_tail(tmp_path):
    made, canvas = flood(3, tmp_path / "logs" / "cell-1.log")
    shown = [made.take(f"line {number}\n") for number in range(1000)]
    made.finish()
    assert "".join(shown) == "line 0\nline 1\nline 2\n"
    assert made.board.hidden == 997
    assert list(made.board.tail) == [f"line {number}" for number in range(900, 1000)]
    assert (tmp_path / "logs" / "cell-1.log").read_text() == "".join(f"line {number}\n" for number in range(1000))
    assert canvas.drawn == 1
    assert "897 more lines" in made.board.plain()
    assert "whole log" in check_static(made.board.html())


def test_little_output_leaves_no_trace(tmp_path):
    made, canvas = flood(3, tmp_path / "x.log")
    assert made.take("a\nb\nc\n") == "a\nb\nc\n"
    made.finish()
    assert canvas.drawn == 0
    assert not (tmp_path / "x.log").exists()


def test_one_endless_line_is_cut_too():
    made, _ = flood(1)
    assert len(made.take("x" * 10_000)) == 200
    made.finish()
    assert made.board.hidden == 1


def test_a_folder_that_cannot_be_written_costs_the_log_only(tmp_path):
    (tmp_path / "file").touch()
    made, canvas = flood(1, tmp_path / "file" / "x.log")
    made.take("a\nb\n")
    made.finish()
    assert (canvas.drawn, made.board.log, list(made.board.tail)) == (1, "", ["b"])


@given(pieces=st.lists(st.text(alphabet="ab\n\r\u2028", max_size=8), max_size=40), lines=st.integers(1, 5))
def test_what_is_shown_and_what_is_counted_is_everything(pieces, lines):
    made, _ = flood(lines)
    shown = "".join(made.take(piece) for piece in pieces)
    made.finish()
    whole = "".join(pieces)
    assert whole.startswith(shown)
    rest = whole[len(shown) :]
    assert made.board.hidden == rest.count("\n") + bool(rest and not rest.endswith("\n"))
    assert shown.count("\n") <= lines


@pytest.mark.root
def test_a_cell_with_very_many_lines_stays_small(shell, capture, capsys, tmp_path, monkeypatch):
    from support.engine import engine

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    with engine(tmp_path) as address:
        shell.run_line_magic("engine", f"use {address}")
        shell.run_line_magic("image", "pull -q busybox")
        capsys.readouterr()
        with capture as captured:
            result = shell.run_line_magic("container", "run --rm busybox seq 100000")
        shown = capsys.readouterr().out
    assert shown.splitlines() == [str(number) for number in range(1, 5001)]
    assert result.stdout.count("\n") == 100_000
    assert "94,900 more lines" in captured.displays[-1]["data"]["text/plain"]
    assert (tmp_path / "docker-logs").is_dir()
    (log,) = (tmp_path / "docker-logs").iterdir()
    assert log.read_text() == result.stdout


def test_the_board_comes_below_the_lines_that_are_shown(capture, monkeypatch):
    order = []
    monkeypatch.setattr("sys.stdout", SimpleNamespace(write=order.append, flush=lambda: None))
    with capture as captured:
        output = NotebookOutput(lines=2)
        output.write("stdout", "1\n2\n3\n4\n")
        assert order == ["1\n2\n"]
        assert len(captured.displays) == 1
        seen = order.copy()
        output.write("stdout", "5\n")
        output.finish()
    assert [each for each in order if each] == seen
    assert captured.texts()[-1].splitlines()[1:] == ["3", "4", "5"]
