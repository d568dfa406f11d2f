"""Maps of networks, volumes and images in JupyterLab: pictures that follow, walked through with the keyboard."""

import pytest
from playwright.sync_api import expect
from support.notebooks import shoot, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CELLS = (
    "%load_ext pydockmagic",
    """%%docker
network create shop
network create --internal vault
container run -d --name mapweb --network shop -p 127.0.0.1::80 -v pages:/www busybox sleep 1000
container run -d --name mapdb --network vault -v pages:/copy:ro busybox sleep 1000""",
    "%%dockerfile -t mapped\nFROM busybox\nRUN echo one > /one\nENV A=1",
    "%network map",
    "%volume map",
    "%image tree",
    "%layers busybox mapped",
)
CLEAN = """
get_ipython().run_line_magic("container", "rm -f mapweb mapdb")
get_ipython().run_line_magic("network", "rm shop vault")
get_ipython().run_line_magic("volume", "rm pages")
get_ipython().run_line_magic("image", "rm mapped")
"""


@pytest.fixture
def app():
    return "lab/tree"


@pytest.fixture
def views(notebook, tmp_path, app):
    page = notebook.open(write_notebook(tmp_path, CELLS), app=app)
    notebook.run_all()
    expect(page.locator(".pydock-live")).to_have_count(4)
    yield [page.locator(".pydock-live").nth(at) for at in range(4)]
    notebook.execute(CLEAN)


def node(view, key):
    return view.locator(f".pydock-node[data-key='{key}']")


def test_maps_follow_what_happens_and_tell_each_box_in_words(notebook, views, screenshots):
    network, volume, tree, comparison = views
    table = network.locator("details:has(b:text-is('Who can reach whom')) tbody tr")
    expect(table.filter(has_text="mapdb").first).to_contain_text("nobody")
    shoot(notebook, screenshots, network_map=network, volume_map=volume, image_tree=tree, comparison=comparison)

    notebook.execute("%network connect shop mapdb")
    expect(table.filter(has_text="mapweb").first).to_contain_text("mapdb (mapdb or")
    notebook.execute("%container stop -t 0 mapdb")
    expect(node(network, "container mapdb")).to_have_class("pydock-node faint")
    expect(node(volume, "container mapdb")).to_have_class("pydock-node faint")
    expect(node(volume, "volume pages")).to_have_attribute("aria-label", "Volume pages is mounted by mapweb at /www, "
        "read-write; mapdb at /copy, read-only. They see the same files. It takes 0B.")  # fmt: skip
    notebook.execute("%image tag mapped again")
    expect(tree).to_contain_text("again:latest")
    notebook.execute("%image rm again")
    expect(tree).not_to_contain_text("again:latest")
    expect(comparison).to_contain_text("They share the lowest layer")
    expect(comparison.locator("button", has_text="look again")).to_be_hidden()


@pytest.mark.parametrize("app", ["lab/tree", "notebooks"])
def test_boxes_are_walked_through_with_the_arrow_keys(notebook, views):
    page, network = notebook.page, views[0]
    node(network, "container mapweb").focus()
    words = network.locator(".pydock-words")
    expect(words).to_contain_text("mapweb can reach no other container; not mapdb.")
    page.keyboard.press("ArrowRight")
    expect(words).to_contain_text("Network shop: mapweb")
    page.keyboard.press("Enter")
    expect(node(network, "network shop")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    expect(words).to_contain_text("mapdb can reach no other container")
    expect(network.locator(".pydock-line.lit")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(node(network, "network shop")).to_have_attribute("aria-pressed", "false")
