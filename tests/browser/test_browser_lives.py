"""Whose view is whose, and for how long: reloads, second pages, cells run again, kernels that start anew."""

import re

import pytest
from playwright.sync_api import expect
from support.lab import Notebook
from support.notebooks import write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
RUN = "get_ipython().run_line_magic('container', 'run -d --name lived -v livedin:/in busybox sleep 1000')"
CELLS = (
    "%load_ext pydockmagic",
    f"from contextlib import suppress\nwith suppress(Exception):\n    {RUN}",
    "%container board lived",
    "%states lived",
    "%inside lived",
    "%network map bridge",
    "%volume map livedin",
    "%image tree busybox",
    "%layers busybox",
)
VIEWS = 7
RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
END = "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
CURRENT = ".jp-NotebookPanel:not(.lm-mod-hidden)"


@pytest.fixture(scope="module")
def opened(browser, lab, tmp_path_factory):
    page = browser.new_page()
    page.set_default_timeout(30_000)
    page.set_viewport_size({"width": 1280, "height": 6000})  # nothing is out of sight
    notebook = Notebook(page, lab)
    notebook.source = write_notebook(tmp_path_factory.mktemp("lives"), CELLS)
    notebook.open(notebook.source, name="lived.ipynb")
    notebook.run_all()
    alive(page)
    notebook.command("docmanager:save")
    yield notebook
    notebook.execute("%docker rm -f lived\n%docker volume rm livedin")
    notebook.end_sessions()
    page.close()


def alive(page, views=VIEWS):
    """Assert that so many views of the notebook in sight are live, and that they tell what happens."""
    now = page.locator(f"{CURRENT} .pydock-now")
    expect(now).to_have_text(["live"] * views)
    expect(page.locator(f"{CURRENT} .pydock-problem:not([hidden])")).to_have_count(0)


def click(page, action, becomes):
    """Click on the board; the diagrams in sight follow."""
    page.locator(f"{CURRENT} .pydock-card button[data-action={action}]").first.click()
    for card in page.locator(f"{CURRENT} .pydock-card").all():
        expect(card).to_have_attribute("data-state", becomes)
    for lit in page.locator(f"{CURRENT} .pydock-box.lit").all():
        expect(lit).to_have_attribute("data-state", becomes)


def test_views_are_live_after_a_reload(opened):
    opened.page.reload()
    opened.wait()
    alive(opened.page)
    click(opened.page, "pause", "paused")
    click(opened.page, "unpause", "running")


def test_a_second_page_shows_the_same_live(opened, browser, lab):
    other = Notebook(browser.new_page(), lab)
    other.page.set_viewport_size({"width": 1280, "height": 6000})
    other.path = opened.path
    other.visit("notebooks")
    other.wait()
    expect(other.page.locator(".pydock-now")).to_have_text(["live"] * VIEWS)
    other.page.locator(".pydock-card button[data-action=pause]").click()
    for page in (opened.page, other.page):
        expect(page.locator(".pydock-card")).to_have_attribute("data-state", "paused")
        expect(page.locator(".pydock-box.lit")).to_have_attribute("data-state", "paused")
    other.page.close()
    alive(opened.page)
    click(opened.page, "unpause", "running")


def test_a_cell_run_again_has_its_view_and_the_same_display_twice_is_one(opened):
    opened.run_all()
    alive(opened.page)
    opened.page.evaluate(
        "() => { const { content } = window.jupyterapp.shell.currentWidget; content.activeCellIndex = 2; }"
    )
    opened.command("notebook:insert-cell-below")
    opened.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel"
        ".setSource('%container board lived')"
    )
    opened.command("notebook:run-cell")
    alive(opened.page, VIEWS + 1)
    click(opened.page, "pause", "paused")
    click(opened.page, "unpause", "running")
    assert opened.evaluate(
        "len([v for v in get_ipython().magics_manager.registry['DockMagic'].views._views.values()"
        " if type(v).__name__ == 'BoardWidget'])"
    ) == "1"  # fmt: skip
    opened.command("notebook:delete-cell")
    alive(opened.page)


def test_two_notebooks_in_one_page_keep_their_views_apart(opened):
    opened.open_beside(opened.source, "also-lived.ipynb")
    opened.run_all()
    alive(opened.page)
    click(opened.page, "pause", "paused")
    opened.command("docmanager:open", {"path": "lived.ipynb"})
    alive(opened.page)
    expect(opened.page.locator(f"{CURRENT} .pydock-card")).to_have_attribute("data-state", "paused")
    opened.command("docmanager:open", {"path": "also-lived.ipynb"})
    opened.page.evaluate(END)
    expect(opened.page.locator(f"{CURRENT} .pydock-now", has_text="the kernel has ended")).to_have_count(VIEWS)
    expect(opened.page.locator(f"{CURRENT} .pydock-buttons:visible")).to_have_count(0)
    opened.command("docmanager:open", {"path": "lived.ipynb"})
    alive(opened.page)
    click(opened.page, "unpause", "running")


def test_a_kernel_that_starts_anew_brings_the_views_back(opened):
    opened.page.evaluate(RESTART)
    opened.wait()
    expect(opened.page.locator(f"{CURRENT} .pydock-now", has_text=re.compile("^live"))).to_have_count(0)
    opened.run_all()
    alive(opened.page)
    click(opened.page, "pause", "paused")
    click(opened.page, "unpause", "running")
