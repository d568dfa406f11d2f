"""A terminal in a cell, without a browser: what its screen holds, what is typed, how it ends and is saved."""

from __future__ import annotations

import pytest
from support.engine import engine
from support.markup_check import check_static

from pydockmagic.commands import wants_terminal
from pydockmagic.notebook.emulator import Emulator
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.widgets.terminal import TerminalView


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("container run -it busybox", True),
        ("container exec -ti web sh", True),
        ("run -i -t --rm busybox sh", True),
        ("container run -itd busybox", False),
        ("container run -t busybox", False),
        ("container run busybox sh -it", False),
        ("container ls", False),
        ("container run --nosuch", False),
        ("container run --help", False),
        ("container", False),
    ],
)
def test_a_terminal_is_for_who_asks_for_one_and_is_there(line, wanted):
    assert wants_terminal(line.split()) == wanted


def test_colours_become_runs_and_blanks_at_the_end_go():
    emulator = Emulator(3, 20)
    emulator.feed(b"\x1b[1;31mred\x1b[0m plain  \r\n\x1b[44m  \x1b[0m\r\n\x1b[7mx\x1b[0m")
    assert emulator.rows() == [
        [["red", "red", "", "b"], [" plain", "", "", ""]],
        [["  ", "", "blue", ""]],
        [["x", "", "", "r"]],
    ]
    assert emulator.cursor == (2, 1)


def test_only_rows_that_changed_are_told():
    emulator = Emulator(3, 20)
    emulator.changed()
    emulator.feed(b"\r\nhello")
    assert 1 in emulator.changed()
    emulator.feed(b"!")
    assert emulator.changed() == {1: [["hello!", "", "", ""]]}


def test_what_scrolled_away_is_remembered():
    emulator = Emulator(2, 20)
    emulator.feed(b"".join(b"line %d\r\n" % number for number in range(10)))
    assert emulator.text() == "\n".join(f"line {number}" for number in range(10))


def test_fewer_rows_keep_what_is_around_the_cursor():
    emulator = Emulator(6, 20)
    emulator.feed(b"one\r\ntwo")
    emulator.resize(3, 20)
    assert emulator.rows() == [[["one", "", "", ""]], [["two", "", "", ""]], []]
    emulator.feed(b"\r\nthree")
    emulator.resize(2, 20)
    assert emulator.rows() == [[["two", "", "", ""]], [["three", "", "", ""]]]
    assert emulator.cursor == (1, 5)
    assert emulator.text() == "one\ntwo\nthree"
    emulator.resize(5, 10)
    emulator.feed(b"!\r\n\r\n\r\nlast")
    assert emulator.text() == "one\ntwo\nthree!\n\n\nlast"


def test_the_terminal_answers_where_its_cursor_is():
    answers = []
    emulator = Emulator(5, 20, answer=answers.append)
    emulator.feed(b"\r\n\x1b[6n")
    assert answers == [b"\x1b[2;1R"]


def test_a_screen_is_saved_with_its_colours_and_what_was_above_it():
    rows = [[["<b>", "red", "", "b"]], []]
    view = TerminalView("t", "docker exec -it web sh", rows, "above\n<b>", "ended with exit code 0", "embedded engine")
    text = check_static(view.html())
    assert "docker exec -it web sh" in text
    assert "above" in text
    assert "font-weight:700" in view.html()
    assert str(view) == "docker exec -it web sh (ended with exit code 0)\nabove\n<b>"


def test_keys_that_overtake_each_other_are_put_in_order():
    from pydockmagic.notebook.widgets.terminal_live import TerminalWidget

    emulator, typed = Emulator(5, 20), []
    widget = TerminalWidget(TerminalView("t", "title", []), emulator)
    widget.typed = typed.append
    for view, number, text in [("a", 1, "s"), ("b", 0, "x"), ("a", 0, "l"), ("a", 3, "\r"), ("a", 2, " ")]:
        widget._heard({"kind": "keys", "view": view, "number": number, "text": text})
    assert b"".join(typed) == b"xls \r"
    widget.close()


@pytest.fixture
def running(shell, tmp_path):
    with engine(tmp_path) as address:
        shell.run_line_magic("engine", f"use {address}")
        shell.run_line_magic("config", "DockMagic.live = 'always'")
        shell.run_line_magic("image", "pull -q busybox")
        yield shell
        shell.run_line_magic("config", "DockMagic.live = 'auto'")


@pytest.mark.root
def test_a_shell_goes_on_after_its_cell_and_ends_with_its_exit_code(running, capture):
    with capture as captured:
        session = running.run_line_magic("container", "run -it --rm busybox sh")
        session.send("echo $((6*7)); tty\nexit 3\n")
        assert session.wait(30).exit_code == 3
    assert "42" in session.text
    assert "42" in session.widget._repr_mimebundle_()[0]["text/html"]
    assert "/dev/pts/0" in session.text
    assert "ended with exit code 3" in captured.displays[-1]["data"]["text/html"]


@pytest.mark.root
def test_detach_keys_leave_the_program_running(running, capture):
    with capture:
        session = running.run_line_magic("container", "run -it --name left busybox sh")
    session.send("\x10\x11")
    session.wait(30)
    assert running.run_line_magic("docker", "ps --format {{.Names}}").stdout == "left\n"
    running.run_line_magic("docker", "rm -f left")


@pytest.mark.root
def test_what_cannot_start_fails_the_cell(running):
    with pytest.raises(DockerError, match="No such container: nosuch"):
        running.run_line_magic("container", "exec -it nosuch sh")
