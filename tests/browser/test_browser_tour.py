"""Every display and every family of magics, driven by a person in JupyterLab and in Notebook 7, on a real engine."""

import re
import secrets
import threading
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect
from support.lab import Notebook
from support.registry import fake_registry
from support.tour import CELLS, CLEAN, Gate, Tour, sanitised, written

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SAID = {
    "engine": "In use: embedded engine",
    "contexts": "embedded *",
    "rebuild": "from the cache",
    "images": "tour",
    "history": "COPY file:",
    "inspect": "RepoTags",
    "networks": "tourvault",
    "volumes": "tourpages",
    "containers": "tourweb",
    "logs": "up",
    "both": "to the errors",
    "df": "Local Volumes",
    "info": "Storage Driver",
    "typo": "Did you mean 'docker container run'?",
    "option": "unknown flag: --nmae",
    "unknown": "No such container: nosuch",
    "help": "Usage:  docker container run [OPTIONS] IMAGE",
    "question": "compares two",
}
VIEWS = ("graph", "layers", "comparison", "tree", "network map", "volume map", "board", "states", "inside", "again")


@contextmanager
def opened_beside(tour):
    """In JupyterLab a log opens in a tab beside the notebook; it is closed again."""
    yield
    tab = tour.page.locator(".lm-TabBar-tab", has_text=".log")
    expect(tab).to_have_count(1)
    tour.page.evaluate("() => window.jupyterapp.shell.currentWidget.close()")
    expect(tab).to_have_count(0)


@pytest.fixture(scope="module", params=["lab/tree", "notebooks"], ids=["lab", "notebook"])
def begun(request, browser, lab, tmp_path_factory):
    gate, flow = Gate(), threading.Event()
    page = browser.new_page()
    page.set_default_timeout(30_000)
    with fake_registry() as registry:
        registry.image("tour/layers:1", {"small": "x" * 1000}, {"large": secrets.token_bytes(400_000)})
        registry.fault("GET", registry.layer_digests("tour/layers", "1")[1], held(registry, flow))
        source = written(
            tmp_path_factory.mktemp("tour"), registry=registry.host, gate=gate.port, mark=request.param[:3]
        )
        made = Tour(Notebook(page, lab), request.param)
        made.notebook.open(source, app=request.param, name=f"tour-{request.param[:3]}.ipynb")
        made.gate, made.flow = gate, flow
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        yield made
        flow.set()
        gate.close()
    made.notebook.execute(CLEAN)
    made.notebook.end_sessions()
    page.close()


@pytest.fixture
def tour(begun):
    """The notebook, when all its cells have run."""
    begun.flow.set()
    begun.gate.open()
    begun.wait()
    return begun


def held(registry, flow):
    """Give a fault: half of a layer comes at once, the rest when it may flow."""

    def act(handler):
        data = registry.blobs[handler.path.rpartition("/")[2]]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2])
        handler.wfile.flush()
        flow.wait(100)
        handler.wfile.write(data[len(data) // 2 :])
        return True

    return act


def test_a_pull_is_drawn_as_bars_while_it_goes_on(begun):
    pull = begun.output("pull").locator(".pydock-pull")
    row = pull.locator("tr", has_text="Downloading")
    expect(row).to_contain_text("400kB")
    expect(row).to_contain_text("██")
    begun.flow.set()
    expect(pull).to_contain_text("Downloaded newer image")
    expect(pull.locator("details")).not_to_have_attribute("open", "")


def test_a_build_tells_what_it_does_while_it_goes_on(begun):
    build = begun.output("waits").locator(".pydock-build")
    expect(build).to_contain_text("Building: step 2 of 2")
    expect(build.locator("pre")).to_have_text("half way")
    begun.gate.open()
    expect(build).to_contain_text("Built waits:latest")
    expect(build.locator("details")).not_to_have_attribute("open", "")
    build.locator("summary").click()
    expect(build.locator("pre")).to_be_visible()


@pytest.mark.parametrize("name", SAID)
def test_every_family_says_what_a_person_waits_for(tour, name):
    expect(tour.output(name)).to_contain_text(SAID[name])


def test_a_build_says_why_a_step_was_done_anew(tour):
    rows = tour.output("rebuild").locator("tr")
    expect(rows.filter(has_text="COPY --from=words")).to_contain_text("from the cache")
    expect(rows.filter(has_text="gone again")).to_contain_text("instruction changed")
    expect(rows.filter(has_text="seq 100000")).to_contain_text("an earlier step changed")


def test_the_output_of_a_step_that_failed_is_open_beside_its_line_and_the_cell_has_failed(tour):
    output = tour.output("broken")
    expect(output.locator("details[open] pre")).to_have_text("one\ntwo")
    expect(output).to_contain_text("> 3 | RUN echo one; echo two; exit 4")
    expect(output.locator("[data-mime-type*=stderr]")).to_contain_text("returned a non-zero code: 4")
    expect(tour.output("wrong")).to_contain_text("> 2 | RUNN echo hello")
    expect(tour.output("wrong").locator("[data-mime-type*=stderr]")).to_contain_text("unknown instruction: RUNN")


@pytest.mark.parametrize("name", VIEWS)
def test_every_display_is_live(tour, name):
    expect(tour.live(name).locator(".pydock-now")).to_have_text("live")
    expect(tour.live(name).locator(".pydock-problem").first).to_have_text("")


def test_pictures_are_walked_through_and_told_in_words(tour):
    for name, key, words in (
        ("graph", "stage 0", "begins with busybox"),
        ("tree", "", "adds"),
        ("comparison", "", "layer"),
        ("volume map", "volume tourpages", "They see the same files. It takes"),
        ("network map", "container tourweb", "not tourdb"),
    ):
        view = tour.live(name)
        node = view.locator(f".pydock-node[data-key='{key}']" if key else ".pydock-node").first
        node.focus()
        expect(view.locator(".pydock-words")).to_contain_text(words)


def test_output_without_end_is_cut_and_the_whole_is_one_click_away(tour):
    output = tour.output("flood")
    expect(output).to_contain_text("14,900 more lines are not shown, then these 100")
    expect(output.locator("pre").last).to_contain_text("20000")
    link = output.get_by_role("link", name="whole log")
    number = tour.cell("flood").locator(".jp-InputPrompt").inner_text().strip("[]: \n")
    assert f"cell-{number}.log" in link.inner_text()
    with tour.notebook.page.context.expect_page() if tour.app == "notebooks" else opened_beside(tour):
        link.click()
    lines = (tour.notebook.path.parent / "docker-logs" / f"cell-{number}.log").read_text().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (20000, "1", "20000")


@pytest.mark.parametrize(
    ("code", "offered"),
    [
        ("%container stop tourw", "tourweb"),
        ("%image inspect wai", "waits"),
        ("%container run --network tourv", "tourvault"),
        ("%volume rm tourp", "tourpages"),
        ("%container run --hostn", "--hostname"),
        ("%netw", "%network"),
        ("%system d", "df"),
        ("%states tourd", "tourdb"),
        ("%%docker\nps\ncontainer rm tourf", "tourfresh"),
        ("%%dockerfile -t x\nFROM busybox\nWORKD", "WORKDIR"),
        ("%%dockerfile -t x\nFROM wai", "waits"),
        ("%container run \\\n  --network tourv", "tourvault"),
        ("%image build -f tour-", "tour-"),
    ],
)
def test_lines_and_cells_are_completed_where_they_are_typed(tour, code, offered):
    tour.type(code)
    tour.page.keyboard.press("Tab")
    found = tour.page.locator(".jp-Completer-item, .cm-line").filter(has_text=offered)
    expect(found.first).to_be_visible()
    tour.page.keyboard.press("Escape")
    tour.type("")


def test_dockerfiles_are_coloured_in_a_python_notebook(tour):
    words = tour.cell("build").locator(".cm-line span")
    expect(words.filter(has_text="FROM").first).to_be_visible()
    expect(words.filter(has_text="LABEL")).to_have_count(1)
    tour.type("import os")
    expect(tour.page.locator(".cm-line span", has_text="import").last).to_be_visible()
    tour.type("%%dockerfile -t x\nWORKDIR /srv")
    expect(tour.page.locator(".cm-line span", has_text="WORKDIR").last).to_be_visible()
    tour.type("")


BREAK = """
_views = get_ipython().magics_manager.registry["DockMagic"].views._views
_board = next(each for each in _views.values() if type(each).__name__ == "BoardWidget")
_do, _board.do = _board.do, lambda action, container: 1 / 0
_map = next(each for each in _views.values() if each.title == "Volumes")
_ask, _map.ask = _map.ask, lambda: {}["volumes"]
"""


def test_what_goes_wrong_behind_a_click_is_said_where_it_was_clicked(tour):
    tour.notebook.execute(BREAK)
    card = tour.live("board").locator(".pydock-card:has(b:text-is('tourweb'))")
    card.locator("button[data-action=pause]").click()
    expect(card.get_by_role("alert")).to_have_text("ZeroDivisionError: division by zero")
    view = tour.live("volume map")
    view.get_by_role("button", name="look again").click()
    expect(view.get_by_role("alert")).to_have_text("KeyError: 'volumes'")
    tour.notebook.execute("_board.do, _map.ask = _do, _ask")
    view.get_by_role("button", name="look again").click()
    expect(view.get_by_role("alert")).to_be_hidden()
    card = tour.live("board").locator(".pydock-card:has(b:text-is('tourweb'))")
    card.locator("button[data-action=pause]").click()
    expect(card).to_have_attribute("data-state", "paused")
    expect(card.get_by_role("alert")).to_be_hidden()
    for name in ("states", "again"):
        expect(tour.live(name).locator(".pydock-box[data-state=paused]")).to_have_class("pydock-box lit")
    card = tour.live("board").locator(".pydock-card:has(b:text-is('tourweb'))")
    card.locator("button[data-action=unpause]").click()
    expect(card).to_have_attribute("data-state", "running")


def test_a_terminal_in_the_page_takes_keys(tour):
    view = tour.live("terminal")
    expect(view.locator(".pydock-screen")).to_contain_text("/ #")
    view.locator(".pydock-terminal").click()
    tour.page.keyboard.type("echo $((6*7)) in here; exit 3")
    tour.page.keyboard.press("Enter")
    expect(view).to_contain_text("42 in here")
    expect(view).to_contain_text("ended with exit code 3")


TELLS = {
    **SAID,
    "pull": "Downloaded newer image",
    "build": "Built tour:latest",
    "rebuild": "built: instruction changed",
    "broken": "> 3 | RUN echo one; echo two; exit 4",
    "graph": "Built waits:latest",
    "layers": "1.99MB wasted",
    "comparison": "They share the lowest layer",
    "tree": "without sharing they would take",
    "network map": "no, its network is internal",
    "volume map": "tourdb at /copy (read-only)",
    "board": "3 containers: 1 created, 2 running",
    "states": "created \u2192 running",
    "inside": "of this machine with namespaces of their own",
    "flood": "more lines are not shown",
    "terminal": "in here",
}


def test_who_sees_only_what_was_saved_and_sanitised_understands_each_output(tour):
    cells = {cell["metadata"]["name"]: cell for cell in tour.saved()["cells"] if "name" in cell["metadata"]}
    assert set(cells) == {name.rstrip("!") for name, _ in CELLS}
    for name, told in TELLS.items():
        assert told in sanitised(cells[name]), name
    for name in ("graph", "comparison", "tree", "network map", "volume map", "states"):
        page = cells[name]["outputs"][0]["data"]["text/html"]
        page = page if isinstance(page, str) else "".join(page)
        assert len(re.search('<img alt="([^"]*)"', page)[1]) > 20, name


def test_the_tab_key_goes_through_a_view_in_order_and_shows_where_it_is(tour):
    view = tour.live("network map")
    view.get_by_role("button", name="look again").focus()
    for kind in (".pydock-node", "summary", ".pydock-scroll", "summary"):
        tour.page.keyboard.press("Tab")
        focused = view.locator(f"{kind}:focus")
        expect(focused).to_have_count(1)
        shape = focused.locator("rect") if kind == ".pydock-node" else focused
        shown = shape.evaluate("each => { const s = getComputedStyle(each); return s.outlineStyle + s.strokeWidth; }")
        assert shown == "none3px" if kind == ".pydock-node" else shown.startswith("solid"), kind
    assert view.locator(".pydock-scroll").first.get_attribute("aria-label") == "Who can reach whom"
