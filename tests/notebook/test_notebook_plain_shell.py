"""A shell without a front end: what is different there, without starting a program or an engine."""

import pytest

from pydockmagic.commands import Result
from pydockmagic.notebook.errors import DockerError


def test_what_the_cell_has_shown_is_its_value_but_no_empty_output(shell, capsys):
    session = shell.magics_manager.registry["DockMagic"].session

    def command(result):
        session.shown = result
        return result

    shell.user_ns["command"] = command
    shell.user_ns["results"] = [Result(stdout="out\n"), Result(stdout="out\n", exit_code=3), Result()]
    done = shell.run_cell("command(results[0])", store_history=True)
    assert done.result is shell.user_ns["_"] is shell.user_ns["results"][0]
    assert capsys.readouterr().out == ""
    shell.run_cell("command(results[1])")
    assert capsys.readouterr().out.endswith("exit code 3\n")
    shell.run_cell("results[2]")
    assert capsys.readouterr().out == ""
    shell.run_cell("results[0]")
    assert capsys.readouterr().out.endswith("out\n")


def test_ipythons_own_way_to_show_values_is_back_after_unloading(shell):
    hook = shell.display_trap.hook
    assert hook is not shell.displayhook
    shell.run_line_magic("unload_ext", "pydockmagic")
    assert shell.display_trap.hook is shell.displayhook
    shell.run_line_magic("load_ext", "pydockmagic")


def test_who_asks_for_a_terminal_where_there_is_none_is_told_what_to_do(shell):
    with pytest.raises(DockerError, match="the input device is not a TTY") as caught:
        shell.run_line_magic("container", "run -it --rm busybox sh")
    assert "%%container run -i" in caught.value.hint


def test_errors_have_colours_only_where_ipython_has(shell):
    error = DockerError("no", hint="next")
    assert error._render_traceback_() == ["\x1b[31mno\x1b[0m", "\x1b[2mnext\x1b[0m"]
    before, shell.colors = shell.colors, "nocolor"
    assert error._render_traceback_() == ["no", "next"]
    shell.colors = before
