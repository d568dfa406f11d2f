"""``-it`` in JupyterLab: a terminal in the cell."""

import pytest
from playwright.sync_api import expect
from support.notebooks import shoot, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CELLS = (
    "%load_ext pydockmagic",
    "%container run -d --rm --name web busybox sleep 1000",
    "shell = %container exec -it web sh",
)


@pytest.fixture
def opened(notebook, tmp_path):
    page = notebook.open(write_notebook(tmp_path, CELLS))
    notebook.run_all()
    yield page
    notebook.execute("%container rm -f web")


def type_line(page, text):
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_a_shell_is_typed_into_and_its_last_screen_is_kept(notebook, opened, screenshots):
    page = opened
    view = page.locator(".pydock-live")
    screen = view.locator(".pydock-screen")
    expect(screen).to_contain_text("/ #")
    view.locator(".pydock-terminal").click()
    type_line(page, r"printf '\033[1;32mgreen\033[0m %s\n' $((6*7))")
    expect(screen).to_contain_text("green 42")
    assert notebook.evaluate("'42' in shell.text") == "True"
    type_line(page, "echo now; sleep 100")
    expect(screen).to_contain_text("\nnow")  # a key that comes before the program runs is the shell's
    page.keyboard.press("Control+c")
    expect(screen).to_contain_text("^C\n/ #")
    type_line(page, "echo code $?")
    expect(screen).to_contain_text("code 130")
    type_line(page, "ls --color=always /; stty size")
    shoot(notebook, screenshots, terminal=view)
    view.locator(".pydock-terminal").click()
    type_line(page, "exit 3")
    expect(view).to_contain_text("ended with exit code 3")
    assert notebook.evaluate("shell.wait(5).exit_code") == "3"
    shoot(notebook, screenshots, terminal_ended=view)
    saved = notebook.evaluate("shell.view().html()")
    assert "green" in saved
    assert "ended with exit code 3" in saved


def test_the_program_knows_the_size_of_the_page_and_keys_reach_it_and_not_the_notebook(notebook, opened):
    page = opened
    view = page.locator(".pydock-live")
    screen = view.locator(".pydock-screen")
    expect(screen).to_contain_text("/ #")
    view.locator(".pydock-terminal").click()
    page.wait_for_function("() => document.querySelector('.pydock-screen').children.length > 10")
    type_line(page, "stty size")
    rows, columns = notebook.evaluate("shell._emulator.size").strip("()").split(", ")
    expect(screen).to_contain_text(f"{rows} {columns}")
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    type_line(page, "echo bbddaaxx")  # each a shortcut of the notebook, outside of an input
    expect(screen).to_contain_text("\nbbddaaxx")
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.pydock-screen').textContent.split('bbddaaxx').length > 4")
    page.keyboard.press("Shift+Tab")
    expect(view.locator("textarea")).not_to_be_focused()


def test_a_command_that_cannot_start_fails_its_cell(notebook, tmp_path):
    page = notebook.open(write_notebook(tmp_path, ("%load_ext pydockmagic", "%container exec -it nosuch sh")))
    notebook.run_all()
    expect(page.locator(".jp-OutputArea-output", has_text="No such container: nosuch").last).to_be_visible()
