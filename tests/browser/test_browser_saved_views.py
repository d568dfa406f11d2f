"""Every display once more without a kernel: converted to HTML with no network, and in a notebook nobody trusts."""

import json
import time

import nbformat
import pytest
from playwright.sync_api import expect
from support.notebooks import write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

CELLS = (
    "%load_ext pydockmagic",
    "%container run -d --name saved busybox sleep 1000",
    "%%dockerfile -t savedimage\nFROM busybox AS one\nRUN echo a > /a\nFROM busybox\nCOPY --from=one /a /b",
    "%builder graph",
    "%inside saved",
    "%container board saved",
    "%network map bridge",
    "%image tree busybox savedimage",
    "%layers busybox savedimage",
)
TELLS = (
    "1 process of this machine",
    "1 container: 1 running",
    "found by address only",
    "COPY --from=one /a /b",
    "They share the lowest layer",
    "from the cache",
)


@pytest.fixture
def saved(notebook, tmp_path):
    page = notebook.open(write_notebook(tmp_path, CELLS))
    notebook.run_all()
    expect(page.locator(".pydock-live")).to_have_count(6)
    notebook.command("docmanager:save")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        content = json.loads(notebook.path.read_text())
        if content["cells"][-1]["outputs"]:
            break
        time.sleep(0.05)
    notebook.execute("%container rm -f saved")
    notebook.execute("%image rm savedimage")
    notebook.end_sessions()
    return content


def test_displays_read_well_converted_and_untrusted(notebook, browser, saved, screenshots, tmp_path):
    from nbconvert import HTMLExporter

    assert "widgets" not in saved["metadata"]
    body, _ = HTMLExporter().from_notebook_node(nbformat.reads(json.dumps(saved), as_version=4))
    (tmp_path / "views.html").write_text(body)
    page = browser.new_page()
    page.route("http*://**", lambda route: route.abort())
    page.goto(f"file://{tmp_path}/views.html")
    for text in TELLS:
        expect(page.locator(".pydock").filter(has_text=text).first).to_be_visible()
    page.screenshot(path=screenshots / "views-converted.png", full_page=True)
    page.close()

    saved["cells"][0]["source"] += "\n# changed outside: no longer trusted"
    notebook.path = notebook.path.with_name("untrusted-views.ipynb")
    notebook.path.write_text(json.dumps(saved))
    notebook.visit()
    notebook.wait()
    shown = notebook.page.locator(".jp-OutputArea-output .pydock")
    for text in TELLS:
        expect(shown.filter(has_text=text).first).to_be_attached()
    pictures = shown.locator("img")
    expect(pictures).to_have_count(4)
    assert all(pictures.evaluate_all("all => all.map(image => image.alt.length > 20)"))
