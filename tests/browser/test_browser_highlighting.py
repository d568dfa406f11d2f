"""The small extension that colours cells: in the Docker kernel by what a cell is, and harmless where it is lost."""

import json
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from pydockmagic.version import __version__

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
EXTENSION = Path(__file__).resolve().parents[2] / "labextension"
CELLS = {
    "# a remark\nFROM busybox\nRUN echo hello": "text/x-dockerfile",
    "run --rm busybox echo 'hello there'": "text/x-sh",
    "services:\n  web:\n    image: busybox": "text/x-yaml",
    "%%python\nimport os": "text/x-ipython",
    "%%dockerfile -t x\nFROM busybox": "text/x-dockerfile",
    "from busybox\nrun echo small letters": "text/x-dockerfile",
}
TYPES = "() => [...window.jupyterapp.shell.currentWidget.model.cells].map(cell => cell.mimeType)"
STRANGERS = """async () => {
  const module = (await window._JUPYTERLAB.pydockmagic.get('./extension'))();
  const signal = { connect: (slot) => slot() };
  const shells = [undefined, {}, { widgets: 1 }, { widgets: () => [{}, { content: {} }], currentChanged: signal },
    { widgets: () => [{ content: { codeMimetype: 'x', modelChanged: signal } }], layoutModified: signal }];
  for (const shell of shells) module.default.activate({ shell, restored: Promise.resolve() });
  module.default.activate({});
  return module.__esModule;
}"""


def test_cells_of_the_docker_kernel_are_coloured_by_what_they_are(notebook, tmp_path):
    spec = {"name": "pydockmagic", "display_name": "Docker (pydockmagic)", "language": "dockerfile"}
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), tmp_path / "docker.ipynb")
    page = notebook.open(tmp_path / "docker.ipynb")
    page.wait_for_function(f"expected => JSON.stringify(({TYPES})()) === expected", arg=compact(CELLS.values()))
    expect(page.locator(".cm-line span", has_text="FROM").first).to_be_visible()
    expect(page.locator(".cm-line span", has_text="services")).to_be_visible()
    assert page.evaluate(STRANGERS) is True


def compact(values):
    return json.dumps(list(values), separators=(",", ":"))


def test_the_extension_has_the_version_of_the_package():
    assert json.loads((EXTENSION / "package.json").read_text())["version"] == __version__
