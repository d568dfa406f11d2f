"""The first course notebook as a student meets it: opened in JupyterLab, run, looked into."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

FIRST = Path(__file__).resolve().parents[2] / "notebooks" / "01-first-container.ipynb"
KINDS = ("application/vnd.jupyter.error", "application/vnd.jupyter.stderr")
ERRORS = ", ".join(f".jp-OutputArea-output[data-mime-type='{kind}']" for kind in KINDS)


def run_until(notebook, code):
    """Run the cells up to the first one (still to run) that contains the code, this one included."""
    while True:
        source = notebook.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.getSource()"
        )
        notebook.command("notebook:run-cell-and-select-next")
        if code in source:
            return


def shoot(notebook, screenshots, name, locator):
    for theme, shade in (("JupyterLab Light", "light"), ("JupyterLab Dark", "dark")):
        notebook.theme(theme)
        locator.scroll_into_view_if_needed()
        notebook.page.screenshot(path=screenshots / f"{name}-{shade}.png")
    notebook.theme("JupyterLab Light")


def test_the_first_notebook_runs_and_its_displays_live(notebook, screenshots):
    page = notebook.open(FIRST, name="01-first-container.ipynb")
    notebook.command("application:toggle-left-area")
    notebook.command("notebook:move-cursor-up")
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0 }")

    run_until(notebook, "%layers clock")
    layers = page.locator(".pydock-live:has(.pydock-stack)").first
    expect(layers).to_contain_text("Layers of clock:latest")
    layers.locator("button[data-layer]").first.click()
    expect(layers.locator(".pydock-file").first).to_contain_text("/clock")
    shoot(notebook, screenshots, "layers", layers)
    shoot(notebook, screenshots, "build", page.locator(".pydock-build").last)

    run_until(notebook, "%states ticker")
    states = page.locator(".pydock-live:has(.pydock-diagram)").first
    lit = states.locator(".pydock-box.lit")
    expect(lit).to_have_attribute("data-state", "running")

    run_until(notebook, "%container pause ticker")
    expect(lit).to_have_attribute("data-state", "paused")
    run_until(notebook, "%container stop ticker")
    expect(lit).to_have_attribute("data-state", "exited")
    expect(states.locator(".pydock-history")).to_contain_text("exit code 0")
    shoot(notebook, screenshots, "states", states)

    run_until(notebook, "container ls -a")
    expect(lit).to_have_attribute("data-state", "gone")
    expect(page.locator(ERRORS)).to_have_count(0)
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0 }")
    shoot(notebook, screenshots, "notebook", page.locator(".jp-MarkdownCell").first)
