"""One notebook with every display and every family of magics, and the hands that lead through it in a browser."""

from __future__ import annotations

import html
import json
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress

import nbformat

__all__ = ["CELLS", "CLEAN", "Gate", "Tour", "sanitised", "written"]

STAGES = """FROM busybox AS words
RUN seq 300000 > /words && echo counted for {mark}
FROM busybox
LABEL about="two stages, {mark}"
COPY --from=words /words /words
RUN rm /words && echo "SAID"
RUN seq 100000 > /more
CMD ["sh"]"""

# Name, code; those that are marked end in an error.
CELLS = (
    ("load", "%load_ext pydockmagic"),
    ("pull", "%image pull {registry}/tour/layers:1"),
    ("engine", "%engine"),
    ("contexts", "%context ls"),
    ("build", "%%dockerfile -t tour\n" + STAGES.replace("SAID", "gone")),
    ("rebuild", "%%dockerfile -t tour\n" + STAGES.replace("SAID", "gone again")),
    ("waits", "%%dockerfile -t waits --network host\nFROM busybox\nRUN echo half way && nc 127.0.0.1 {gate} || true"),
    ("graph", "%builder graph"),
    ("broken!", "%%dockerfile -t broken\nFROM busybox\nRUN echo fine\nRUN echo one; echo two; exit 4\nCMD sh"),
    ("wrong!", "%%dockerfile -t wrong\nFROM busybox\nRUNN echo hello\nCMD sh"),
    ("images", "%image ls tour"),
    ("history", "%image history tour"),
    ("inspect", "%image inspect tour"),
    ("layers", "%layers tour"),
    ("comparison", "%layers busybox tour"),
    ("tree", "%image tree busybox tour"),
    ("things", r"""%%docker
network create tourshop
network create --internal tourvault
container run -d --name tourweb --network tourshop -p 127.0.0.1::80 -v tourpages:/www busybox \
    sh -c 'echo up; sleep 1000'
container run -d --name tourdb --network tourvault -v tourpages:/copy:ro busybox sleep 1000
container create --name tourfresh busybox true"""),
    ("networks", "%network ls"),
    ("network map", "%network map tourshop tourvault"),
    ("volumes", "%volume ls"),
    ("volume map", "%volume map"),
    ("containers", "%container ls -a"),
    ("board", "%container board tourweb tourdb tourfresh"),
    ("states", "%states tourweb tourdb"),
    ("inside", "%inside tourweb"),
    ("again", "%states tourweb tourdb"),
    ("logs", "%container logs tourweb"),
    ("flood", "%container run --rm busybox seq 20000"),
    ("both", "%container run --rm busybox sh -c 'echo to the output; echo to the errors >&2; exit 3'"),
    ("df", "%system df"),
    ("info", "%system info"),
    ("typo!", "%container rnu busybox"),
    ("option!", "%container run --nmae web busybox"),
    ("unknown!", "%inside nosuch"),
    ("help", "%container run --help"),
    ("question", "%layers?"),
    ("terminal", "shell = %container exec -it tourweb sh"),
)  # fmt: skip
CLEAN = """
for _line in ("container rm -f tourweb tourdb tourfresh", "network rm tourshop tourvault", "volume rm tourpages",
              "container prune -f", "image rm -f tour waits"):
    get_ipython().run_line_magic("docker", _line)
"""
SHOW = """name => {
  const { content } = window.jupyterapp.shell.currentWidget;
  const at = content.widgets.findIndex((cell) => cell.model.getMetadata("name") === name);
  content.activeCellIndex = at;
  content.widgets[at].node.dataset.tour = name;
  return content.scrollToItem(at, "smart");
}"""
IDLE = """() => {
  const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
  const cells = content.widgets.filter((cell) => cell.model.getMetadata("name"));
  return sessionContext.session.kernel.status === "idle" && cells.every((cell) => cell.model.executionCount);
}"""
TYPE = """code => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = content.widgets.length - 1;
  const cell = content.activeCell, lines = code.split("\\n");
  cell.model.sharedModel.setSource(code);
  content.mode = "edit";
  cell.editor.focus();
  cell.editor.setCursorPosition({ line: lines.length - 1, column: lines.at(-1).length });
}"""


def written(folder, **given):
    """Write the notebook, with an empty cell at its end to type into, and give its path."""
    made = []
    for name, code in CELLS:
        tags = ["raises-exception"] if name.endswith("!") else []
        text = code.format(**given) if name in ("pull", "waits", "build", "rebuild") else code
        made.append(nbformat.v4.new_code_cell(text, metadata={"name": name.rstrip("!"), "tags": tags}))
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(cells=[*made, nbformat.v4.new_code_cell("")], metadata={"kernelspec": spec})
    path = folder / "tour.ipynb"
    nbformat.write(book, path)
    return path


def sanitised(cell):
    """Give the text of a saved cell's outputs, as a viewer shows them that keeps neither styles nor scripts."""
    told = []
    for output in cell["outputs"]:
        forms = output.get("data", {})
        text = forms.get("text/html") or forms.get("text/plain") or output.get("text") or output.get("traceback") or ""
        text = text if isinstance(text, str) else "".join(text)
        if "text/html" in forms:
            text = html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"(?s)<(style|script|svg)\b.*?</\1>", "", text)))
        told.append(re.sub(r"\x1b\[[\d;]*m", "", text))
    return "\n".join(told)


class Gate:
    """Something that is waited for: a program that connects goes on when it is opened."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.opened = threading.Event()
        threading.Thread(target=self._hold, daemon=True).start()

    def _hold(self):
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                self.opened.wait(100)
                connection.close()

    def open(self):
        self.opened.set()

    def close(self):
        self.opened.set()
        self._server.close()


class Tour:
    """The notebook, open in a page."""

    def __init__(self, notebook, app):
        self.notebook = notebook
        self.page = notebook.page
        self.app = app

    def wait(self):
        """Wait until the last cell has run."""
        self.page.wait_for_function(IDLE, timeout=60_000)

    def cell(self, name):
        """Bring a cell into sight and give it."""
        self.page.evaluate(SHOW, name)
        return self.page.locator(f".jp-Cell[data-tour='{name}']")

    def output(self, name):
        """Bring a cell into sight and give its output."""
        return self.cell(name).locator(".jp-OutputArea").first

    def live(self, name):
        """Give the live view of a cell's display."""
        return self.output(name).locator(".pydock-live")

    def type(self, code):
        """Type into the last cell: the cursor stands behind the code."""
        self.page.evaluate(TYPE, code)

    def run(self, name):
        """Run one cell, without waiting for its end."""
        self.cell(name)
        self.page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-cell')")

    def saved(self):
        """Save, and give what is on the disk then."""
        before = self.notebook.path.stat().st_mtime_ns
        self.notebook.command("docmanager:save")
        deadline = time.monotonic() + 30
        while self.notebook.path.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.05)
        return json.loads(self.notebook.path.read_text())


@contextmanager
def second_page(context, notebook, app):
    """Open the same notebook once more, in a page of its own."""
    from .lab import Notebook

    other = Notebook(context.new_page(), notebook._lab)
    other.path = notebook.path
    other.visit(app)
    other.wait()
    yield Tour(other, app)
    other.page.close()
