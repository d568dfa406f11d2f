"""``%inside`` in JupyterLab: what the kernel sees of a container, and how it follows it."""

import pytest
from playwright.sync_api import expect
from support.notebooks import shoot, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CELLS = (
    "%load_ext pydockmagic",
    "%container run -d --rm --name inner --memory 64m --cap-drop NET_RAW busybox sh -c 'sleep 1000 & exec sleep 2000'",
    "%inside inner",
)


@pytest.fixture
def app():
    return "lab/tree"


@pytest.fixture
def opened(notebook, tmp_path, app):
    page = notebook.open(write_notebook(tmp_path, CELLS), app=app)
    notebook.run_all()
    yield page
    notebook.execute("%container rm -f inner")


def test_a_container_is_followed_from_its_first_process_to_its_end(notebook, opened, screenshots):
    page = opened
    view = page.locator(".pydock-live")
    expect(view).to_contain_text("2 processes of this machine with namespaces of their own")
    table = view.locator("details:has(b:text-is('Processes')) tbody tr")
    expect(table.filter(has_text="sleep 1000")).to_have_count(1)
    expect(view.locator("details:has(b:text-is('Namespaces'))")).to_contain_text("different")
    shoot(notebook, screenshots, inside=view)
    notebook.execute("%container exec -d inner sleep 3000")
    expect(table.filter(has_text="sleep 3000")).to_have_count(1)
    expect(view).to_contain_text("3 processes")
    notebook.execute("%container stop -t 0 inner")
    expect(view).to_contain_text("no process runs")


@pytest.mark.parametrize("app", ["lab/tree", "notebooks"])
def test_sections_open_with_the_keyboard(opened):
    summary = opened.locator(".pydock-live summary").filter(has_text="Capabilities")
    summary.focus()
    opened.keyboard.press("Enter")
    rows = opened.locator(".pydock-live details:has(b:text-is('Capabilities')) tbody tr")
    expect(rows.filter(has_text="NET_RAW")).to_contain_text("taken away")
