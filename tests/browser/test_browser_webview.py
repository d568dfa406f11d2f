"""Views where nothing of Jupyter's page is there: a page with no more than VS Code's webview gives to a renderer.

VS Code itself was not run: this is what can be known without it.
"""

import json

import pytest
from support.samples import DB, LIFECYCLE

from pydockmagic.notebook.emulator import Emulator
from pydockmagic.notebook.looking import Shown
from pydockmagic.notebook.widgets.board import BoardView
from pydockmagic.notebook.widgets.board_live import BoardWidget
from pydockmagic.notebook.widgets.sheet import Section, Sheet
from pydockmagic.notebook.widgets.sheet_live import SheetWidget
from pydockmagic.notebook.widgets.states import StatesView
from pydockmagic.notebook.widgets.states_live import StatesWidget
from pydockmagic.notebook.widgets.terminal import TerminalView
from pydockmagic.notebook.widgets.terminal_live import TerminalWidget

pytestmark = pytest.mark.browser

POLICY = "default-src 'none'; script-src blob: 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
# What only a Jupyter page has; and a model as a widget manager hands it to a module.
PAGE = """
for (const name of ["require", "requirejs", "define", "jupyterapp", "Jupyter", "IPython", "_JUPYTERLAB"])
  Object.defineProperty(window, name, { get() { throw new Error(`asked for ${name}`); } });
window.problems = [];
addEventListener("error", (event) => problems.push(event.message));
addEventListener("unhandledrejection", (event) => problems.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => problems.push(event.blockedURI));
window.show = async (code, css, state) => {
  const sent = [], heard = {};
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; (heard[`change:${name}`] ?? []).forEach((each) => each()); },
    on: (name, call) => (heard[name] ??= []).push(call),
    off: (name, call) => { heard[name] = (heard[name] ?? []).filter((each) => each !== call); },
    save_changes: () => {}, send: (content) => sent.push(content),
  };
  const style = document.createElement("style");
  style.textContent = css;
  const el = document.createElement("div");
  document.body.replaceChildren(style, el);
  const module = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  window.dispose = await module.default.render({ model, el, signal: new AbortController().signal, experimental: {} });
  Object.assign(window, { model, sent, el, heard });
  return el.innerText;
};
"""


@pytest.fixture(scope="module")
def webview(browser):
    page = browser.new_page()
    page.set_content(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><body></body>')
    page.evaluate(f"(() => {{{PAGE}}})()")  # an expression that gives a function would be called
    yield page
    assert page.evaluate("problems") == []
    page.close()


def shown(page, widget):
    state = json.loads(json.dumps({key: value for key, value in widget.get_state().items() if key[0] != "_"}))
    return page.evaluate("([code, css, state]) => show(code, css, state)", [widget._esm, widget._css, state])


VIEWS = {
    "sheet": (lambda: SheetWidget(Sheet("t1", "Thing", "It is.", [Section("Use", ("a", "b"), [["x", "y"]])])), "Thing"),
    "states": (lambda: StatesWidget(StatesView(LIFECYCLE, [DB])), "db"),
    "board": (lambda: BoardWidget(BoardView((), (), {}, "engine")), "no containers"),
    "terminal": (lambda: TerminalWidget(TerminalView("t2", "docker exec -it web sh", []), Emulator(5, 20)), "docker"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_draws_itself_with_what_every_page_has(webview, name):
    make, told = VIEWS[name]
    widget = make()
    text = shown(webview, widget)
    assert told in text
    assert "This view failed" not in text
    webview.evaluate("model.set('problem', 'The engine has gone')")
    assert "The engine has gone" in webview.evaluate("el.innerText")
    webview.evaluate("dispose?.()")
    widget.close()


def test_keys_of_a_terminal_are_sent(webview):
    widget = VIEWS["terminal"][0]()
    shown(webview, widget)
    webview.locator("textarea").press("l")
    webview.locator("textarea").press("Enter")
    keys = [each for each in webview.evaluate("sent") if each["kind"] == "keys"]
    assert "".join(each["text"] for each in keys) == "l\r"
    widget.close()


def test_a_view_that_is_displayed_by_itself_has_a_form_for_who_has_no_widgets():
    view = Sheet("t3", "Thing", "It is.")
    widget = SheetWidget(view)

    class Ready:
        def result(self):
            return widget

    bundle, metadata = Shown(view, Ready()).widget._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/plain", "text/html"}
    assert set(bundle["application/vnd.jupyter.widget-view+json"]) == {"version_major", "version_minor", "model_id"}
    assert (bundle["text/html"], metadata) == (view.html(), {})
    assert set(Shown(view)._repr_mimebundle_()) == {"text/plain", "text/html"}
    widget.close()
