"""Execute the course notebooks headless: ``demo.py NOTEBOOKS OUTPUT`` writes each executed notebook and its HTML page.

With ``--keep`` what passed is also kept in the notebooks themselves, as a reader without a kernel sees it.

The notebooks get an engine of their own, with its data below the output folder, so that a student's containers and
theirs do not meet; it is stopped at the end.
Exits with 1 if a cell of any notebook failed; every notebook is still written, so that the failure can be read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter


def execute(source: Path, output: Path) -> bool:
    """Run one notebook in its own folder, write the results to ``output``, and tell whether every cell passed."""
    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(source.parent)}}
    )
    started = time.monotonic()
    try:
        client.execute()
        failure = None
    except CellExecutionError as error:
        failure = str(error)
    # Widgets do not outlive the kernel: the page shows the html that each output carries.
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, output / source.name)
    page, _ = HTMLExporter(
        display_data_priority=["text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
    ).from_notebook_node(notebook)
    (output / source.name).with_suffix(".html").write_text(page)
    verdict = "failed" if failure else "passed"
    sys.stdout.write(f"{source.name}: {verdict} in {time.monotonic() - started:.1f} s\n{failure or ''}")
    return failure is None


def keep(source: Path, executed: Path) -> None:
    """Take the outputs of an executed notebook over into its source, and nothing else that a run leaves behind."""
    notebook = nbformat.read(source, as_version=4)
    for cell, done in zip(notebook.cells, nbformat.read(executed, as_version=4).cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
    nbformat.write(notebook, source)


def main(arguments: list[str]) -> int:
    """Execute every notebook of the first folder into the second."""
    notebooks, output = (Path(each) for each in arguments if not each.startswith("-"))
    output.mkdir(parents=True, exist_ok=True)
    os.environ["PYDOCK_ROOT"] = str(output.resolve() / "engine")
    sources = sorted(notebooks.glob("*.ipynb"))
    if not sources:
        sys.stderr.write(f"No notebooks in {notebooks}.\n")
        return 1
    try:
        results = [execute(source, output) for source in sources]
        if "--keep" in arguments and all(results):
            for source in sources:
                keep(source, output / source.name)
    finally:
        subprocess.run([sys.executable, "-m", "pydockmagic.cli", "engine", "stop"], check=False)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
