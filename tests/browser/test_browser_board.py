"""``%container board`` in JupyterLab: buttons, keys, and states that change by themselves."""

import re

import pytest
from playwright.sync_api import expect
from support.notebooks import shoot, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CELLS = (
    "%load_ext pydockmagic",
    "%container run -d --name spinner --memory 32m busybox sh -c 'while :; do :; done'",
    "%container run -d --name sleeper -p 127.0.0.1::80 busybox sleep 1000",
    "%container create --name fresh busybox true",
    "%container board",
)

MANY = re.compile(r"\S+ \S+ \S+")


@pytest.fixture
def app():
    return "lab/tree"


@pytest.fixture
def board(notebook, tmp_path, app):
    page = notebook.open(write_notebook(tmp_path, CELLS), app=app)
    notebook.run_all()
    live = page.locator(".pydock-live")
    expect(live.locator(".pydock-card")).to_have_count(3)
    yield live
    notebook.execute("%container rm -f spinner sleeper fresh other")


def card(board, name):
    return board.locator(f".pydock-card:has(b:text-is('{name}'))")


def button(board, name, action):
    return card(board, name).locator(f"button[data-action={action}]")


def test_buttons_do_what_the_life_cycle_allows_and_no_more(notebook, board, screenshots):
    sleeper = card(board, "sleeper")
    expect(sleeper).to_have_attribute("data-state", "running")
    expect(button(board, "sleeper", "rm")).to_be_disabled()
    expect(button(board, "fresh", "stop")).to_be_disabled()
    button(board, "sleeper", "pause").click()
    expect(sleeper).to_have_attribute("data-state", "paused")
    expect(button(board, "sleeper", "pause")).to_be_disabled()
    button(board, "sleeper", "unpause").click()
    expect(sleeper).to_have_attribute("data-state", "running")
    expect(card(board, "spinner").locator(".pydock-spark-text").first).to_contain_text("%")
    expect(card(board, "spinner").locator(".pydock-spark-line").first).to_have_attribute("points", MANY)
    shoot(notebook, screenshots, board=board)
    button(board, "spinner", "kill").click()
    expect(card(board, "spinner")).to_have_attribute("data-state", "exited")
    expect(card(board, "spinner")).to_contain_text("exit code 137")
    button(board, "spinner", "rm").click()
    expect(board.locator(".pydock-card")).to_have_count(2)


def test_what_happens_elsewhere_shows_by_itself(notebook, board):
    notebook.execute("%container run -d --name other busybox sleep 1000")
    expect(card(board, "other")).to_have_attribute("data-state", "running")
    notebook.execute("%container rm -f other")
    expect(board.locator(".pydock-card")).to_have_count(3)


def test_what_the_daemon_refuses_is_said_at_its_container(notebook, board):
    notebook.execute(
        "from pydockmagic.client import connect\n"
        "views = get_ipython().magics_manager.registry['DockMagic'].views._views\n"
        "widget = next(reversed(views.values()))\n"
        "widget.perform('rm', next(row.id for row in widget.view.rows if row.name == 'sleeper'))"
    )
    expect(card(board, "sleeper").locator("[role=alert]")).to_contain_text("cannot remove container")


@pytest.mark.parametrize("app", ["lab/tree", "notebooks"])
def test_the_keyboard_is_enough(notebook, board):
    page = notebook.page
    button(board, "sleeper", "stop").focus()
    page.keyboard.press("ArrowRight")
    expect(button(board, "sleeper", "restart")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(button(board, "sleeper", "pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(card(board, "sleeper")).to_have_attribute("data-state", "paused")
    expect(button(board, "sleeper", "stop")).to_be_focused()
    page.keyboard.press("ArrowDown")
    focused = "() => document.activeElement.closest('.pydock-card')?.innerText"
    assert "fresh" in page.evaluate(focused)
