import pytest

from pydockmagic.kernel.cells import build_options, kind_of, translated


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("FROM busybox\nRUN true", "dockerfile"),
        ("from busybox", "dockerfile"),
        ("# a comment\nARG VERSION=1\nFROM busybox:$VERSION", "dockerfile"),
        ("# syntax=docker/dockerfile:1\nFROM busybox", "dockerfile"),
        ("# escape=`\nFROM busybox", "dockerfile"),
        ("run --rm busybox true", "commands"),
        ("docker ps", "commands"),
        ("# first\nimage ls\nps -a", "commands"),
        ("volume ls", "commands"),
        ("services:\n  web:\n    image: busybox\n", "compose"),
        ("# the lab\nversion: '3'\nservices: {}\n", "compose"),
        ("x-common: &common\n  image: busybox\n", "compose"),
        ("%%python\nprint(1)", "python"),
        ("%layers busybox", "magic"),
        ("!ls", "magic"),
        ("%docker ps\n%container ls", "magic"),
        ("%docker ps\nimage ls", "commands"),
    ],
)
def test_the_first_line_says_what_a_cell_is(code, kind):
    assert kind_of(code) == kind


def test_a_python_cell_is_run_as_it_stands():
    assert translated("%%python\nx = 1\nx") == "x = 1\nx"


def test_a_command_keeps_every_quote_and_backslash_in_its_translation():
    code = "run --rm busybox sh -c 'echo \"a\\tb\" {{x}} $HOME'\n"
    seen = []

    class Shell:
        def run_cell_magic(self, name, line, cell):
            seen.append((name, line, cell))

    eval(translated(code), {"get_ipython": Shell})
    assert seen == [("docker", "", code)]


def test_options_of_a_build_stand_in_a_comment():
    assert build_options("# docker build -t web:1 --no-cache\nFROM busybox") == "-t web:1 --no-cache"
    assert build_options("FROM busybox") == ""
