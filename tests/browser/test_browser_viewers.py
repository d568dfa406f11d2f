"""Displays in every viewer: live in JupyterLab and Notebook, static where the kernel or the trust is gone."""

import json
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TESTS = Path(__file__).resolve().parents[1]
SETUP = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from support.samples import BASE, DB, LIFECYCLE, RUN, STACK, WEB, files, step
from pydockmagic.notebook.later import Later
from pydockmagic.notebook.looking import Shown
from pydockmagic.notebook.widgets.layers import LayersView
from pydockmagic.notebook.widgets.layers_live import LayersWidget
from pydockmagic.notebook.widgets.records import StateHistory
from pydockmagic.notebook.widgets.states import StatesView
from pydockmagic.notebook.widgets.states_live import StatesWidget
"""
LAYERS = """
view = LayersView("web:latest", STACK, {BASE: files(12, 100_000), RUN: files(3)}, "embedded engine")
layers = LayersWidget(view, lambda layer, limit: files(100_000))
Shown(view, Later(lambda: layers, "live"))
"""
STATES = """
view = StatesView(LIFECYCLE, [DB], "embedded engine")
states = StatesWidget(view)
Shown(view, Later(lambda: states, "live"))
"""
STOP = """
stopped = [*DB.history, step("stop", "running", "exited", 9, exit_code=0)]
states.show(StatesView(LIFECYCLE, [StateHistory(id=DB.id, name=DB.name, state="exited", history=stopped)]))
"""


@pytest.fixture
def source(tmp_path):
    cells = [nbformat.v4.new_code_cell(code.strip()) for code in (SETUP, LAYERS, STATES)]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path / "displays.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), path)
    return path


@pytest.mark.parametrize("app", ["lab/tree", "notebooks"])
def test_live_views_lie_over_the_static_ones(notebook, source, app):
    page = notebook.open(source, app=app)
    notebook.run_all()
    expect(page.locator(".jp-OutputArea-output .pydock-live")).to_have_count(2)
    page.locator("[data-layer='2']").click()
    expect(page.locator(".pydock-file").first).to_contain_text("/usr/lib/file0")
    assert page.locator(".pydock-file").count() < 60
    assert notebook.evaluate("(layers.expanded, states.state)") == "([2], 'running')"


def test_the_diagram_moves_with_its_container(notebook, source):
    page = notebook.open(source)
    notebook.run_all()
    lit = page.locator(".pydock-box.lit")
    expect(lit).to_have_attribute("data-state", "running")
    notebook.execute(STOP)
    expect(lit).to_have_attribute("data-state", "exited")
    expect(page.locator(".pydock-history tbody tr").last).to_contain_text("exit code 0")


def test_layers_are_opened_and_searched_with_the_keyboard(notebook, source):
    page = notebook.open(source)
    notebook.run_all()
    row = page.locator("[data-layer='2']")
    row.focus()
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "true")
    search = page.locator(".pydock-tools input")
    search.focus()
    page.keyboard.type("file99999")
    expect(page.locator(".pydock-tools [role=status]")).to_have_text("1 of 100,000")
    row.focus()
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "false")


def saved(notebook):
    """Save, and give what was saved once it is on the disk."""
    notebook.command("docmanager:save")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        content = json.loads(notebook.path.read_text())
        if sum(len(cell["outputs"]) for cell in content["cells"]) == 2:
            return content
        time.sleep(0.05)
    raise AssertionError(content)


def test_a_saved_notebook_is_static_and_needs_no_kernel(notebook, source):
    page = notebook.open(source)
    notebook.run_all()
    expect(page.locator(".pydock-live")).to_have_count(2)
    content = saved(notebook)
    assert "widgets" not in content["metadata"]
    for cell in content["cells"]:
        for output in cell["outputs"]:
            assert set(output["data"]) == {"text/plain", "text/html"}

    notebook.visit()
    notebook.wait()
    expect(page.locator(".pydock-live")).to_have_count(2)  # the kernel still runs: live again after a reload

    notebook.end_sessions()
    notebook.visit()
    notebook.wait()
    expect(page.locator(".pydock")).to_have_count(2)
    expect(page.locator(".pydock-live")).to_have_count(0)
    expect(page.locator(".jp-OutputArea").first).not_to_contain_text("not found")
    summary = page.locator(".pydock summary").first
    summary.click()
    expect(page.locator(".pydock details[open]").first).to_contain_text("/usr/lib/file0")


def test_a_view_says_when_its_kernel_has_ended(notebook, source):
    page = notebook.open(source)
    notebook.run_all()
    expect(page.locator(".pydock-now").first).to_have_text("live")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(page.locator(".pydock-now").first).to_have_text("no longer live: the kernel has ended")


def test_an_untrusted_notebook_shows_the_same(notebook, source, screenshots):
    page = notebook.open(source)
    notebook.run_all()
    expect(page.locator(".pydock-live")).to_have_count(2)
    content = saved(notebook)
    content["cells"][0]["source"] += "\n# changed outside: no longer trusted"
    notebook.path.with_name("untrusted.ipynb").write_text(json.dumps(content))
    notebook.end_sessions()
    notebook.path = notebook.path.with_name("untrusted.ipynb")
    notebook.visit()
    notebook.wait()
    assert page.evaluate("() => [...window.jupyterapp.shell.currentWidget.model.cells].some(c => c.trusted)") is False
    displays = page.locator(".jp-OutputArea-output .pydock")
    expect(displays).to_have_count(2)
    expect(displays.first).to_contain_text("shared with busybox:latest")
    picture = displays.last.locator("img")
    expect(picture).to_have_attribute("alt", "Container life cycle: db is running.")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    page.screenshot(path=screenshots / "untrusted.png")


def test_a_converted_notebook_is_readable_without_any_network(notebook, source, browser, tmp_path, screenshots):
    from nbconvert import HTMLExporter

    notebook.open(source)
    notebook.run_all()
    expect(notebook.page.locator(".pydock-live")).to_have_count(2)
    body, _ = HTMLExporter().from_notebook_node(nbformat.reads(json.dumps(saved(notebook)), as_version=4))
    page = browser.new_page()
    page.route("http*://**", lambda route: route.abort())
    (tmp_path / "converted.html").write_text(body)
    page.goto(f"file://{tmp_path}/converted.html")
    expect(page.locator(".pydock")).to_have_count(2)
    expect(page.locator(".pydock").first).to_contain_text("lines 3-5")
    page.screenshot(path=screenshots / "converted.png", full_page=True)
    page.close()
