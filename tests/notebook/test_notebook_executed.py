"""Notebooks executed without a person: what graders, converters and readers on the web get."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from support.engine import engine
from support.markup_check import check_static

FIRST = Path(__file__).resolve().parents[2] / "notebooks" / "01-first-container.ipynb"
SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


@pytest.mark.root
@pytest.mark.filterwarnings("default")  # what Jupyter's own client warns of is not ours to fix
def test_an_executed_notebook_holds_static_outputs_only(tmp_path, monkeypatch):
    code = [
        "%load_ext pydockmagic",
        "%container run --name box busybox sh -c 'echo out; echo err >&2'",
        "%%dockerfile -t made\nFROM busybox\nRUN for i in 1 2 3 4 5 6 7 8 9; do echo $i; done",
        "%layers made",
        "%states box",
        "%container ls -a",
    ]
    cells = [nbformat.v4.new_code_cell(each) for each in code]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": SPEC})
    with engine(tmp_path) as address:
        monkeypatch.setenv("PYDOCK_HOST", address)
        NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "widgets" not in notebook.metadata
    assert [output for output in outputs(notebook) if output.get("name") == "stderr"] == []
    assert [len(cell.outputs) for cell in notebook.cells[2:]] == [1, 1, 1, 1]
    for output in outputs(notebook):
        if output.output_type != "stream":
            assert set(output.data) == {"text/plain", "text/html"}
            check_static(output.data["text/html"])


@pytest.fixture(scope="module")
def first():
    return nbformat.read(FIRST, as_version=4)


def test_the_first_notebook_is_kept_with_its_outputs(first):
    nbformat.validate(first)
    counts = [cell.execution_count for cell in first.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert "widgets" not in first.metadata


def test_the_first_notebook_has_no_error_and_no_path_of_the_machine_it_ran_on(first):
    text = FIRST.read_text()
    assert not re.search(r"/(tmp|home|work|root|Users)/\w", text)
    for output in outputs(first):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"


def test_the_first_notebook_reads_well_where_nothing_is_live(first):
    displays = [output.data for output in outputs(first) if output.output_type in ("display_data", "execute_result")]
    assert displays
    for data in displays:
        assert set(data) <= {"text/plain", "text/html"}
        if "text/html" in data:
            check_static(data["text/html"])


def test_every_cell_of_the_first_notebook_has_one_idea(first):
    for cell in first.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 12
        else:
            assert len(cell.source.split()) < 160
