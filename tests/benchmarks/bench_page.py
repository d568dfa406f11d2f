"""What a person sees in the page: from running a cell in JupyterLab to what Chromium has painted of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from support.lab import Notebook, chromium, jupyterlab

from benchmarks.bench_notebook import FILES, big_image
from benchmarks.pairs import bound

_CELLS = ("%load_ext pydockmagic\n%container run --rm busybox true", "%layers big")
_PAINTED = """async ([act, selector]) => {
  const started = performance.now();
  const there = new Promise((done) => {
    const look = () => document.querySelector(selector) ? done() : requestAnimationFrame(look);
    requestAnimationFrame(look);
  });
  const shell = window.jupyterapp.shell, commands = window.jupyterapp.commands;
  if (act === 'run') commands.execute('notebook:run-cell'); else document.querySelector(act).click();
  await there;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - started;
}"""
"""Acts, and gives the milliseconds until what the selector names has been painted: its frame is over."""


@contextmanager
def _opened(root: Path) -> Iterator[Notebook]:
    """Open a notebook whose first cell has run, in a JupyterLab of its own."""
    folders = [root.parent / name for name in ("notebooks", "config")]
    for folder in folders:
        folder.mkdir()
    source = root.parent / "source.ipynb"
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(code) for code in _CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), source)
    with jupyterlab(*folders) as lab, chromium() as browser:
        notebook = Notebook(browser.new_page(), lab)
        notebook.open(source)
        notebook.run_all()
        notebook.page.locator(".pydock-live .pydock-layer").first.wait_for()
        yield notebook
        notebook.end_sessions()


def _again(notebook: Notebook) -> float:
    """Run the cell once more, from an empty output."""
    notebook.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1 }")
    notebook.command("notebook:clear-cell-output")
    notebook.page.locator(".pydock-live").wait_for(state="detached")
    return float(notebook.page.evaluate(_PAINTED, ["run", ".pydock-live .pydock-layer"]))


def main() -> None:
    """Print the figures against their bounds."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        root = Path(name) / "data"
        os.environ.update(PYDOCK_ROOT=str(root), XDG_RUNTIME_DIR=name)
        pydock = [sys.executable, "-m", "pydockmagic.cli"]
        subprocess.run([*pydock, "import", "-", "big:latest"], input=big_image(), check=True, capture_output=True)
        try:
            with _opened(root) as notebook:
                bound(f"%layers of {FILES:,} files -> painted", lambda: _again(notebook), goal=500)

                def files() -> float:
                    _again(notebook)
                    shown = notebook.page.evaluate(_PAINTED, [".pydock-live [data-layer]", ".pydock-live .pydock-file"])
                    return float(shown)

                bound("its layer opened -> files painted", files, goal=500)
        finally:
            subprocess.run([*pydock, "engine", "stop"], check=True, capture_output=True)
