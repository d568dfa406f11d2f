"""JupyterLab in Chromium: one server and one browser for all tests, a fresh notebook for each.

What makes it reliable: the page hands out its application object (``expose_app_in_browser``), a notebook counts as open
only when its kernel is connected and idle, and Run All is a command of the application, not a click.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = """() => {
  const widget = window.jupyterapp?.shell.currentWidget, context = widget?.sessionContext;
  const kernel = context?.session?.kernel;
  return !!(context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle'
            && widget.content.widgets?.length);
}"""
RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
EXECUTE = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  return (await kernel.requestExecute({code, store_history: false}).done).content.status;
}"""
EVALUATE = """async expression => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const request = {code: '', silent: true, user_expressions: {e: expression}};
  const result = (await kernel.requestExecute(request).done).content.user_expressions.e;
  return result.data ? result.data['text/plain'] : result.evalue;
}"""
END_SESSIONS = """async token => {
  const headers = {Authorization: 'token ' + token};
  for (const session of await (await fetch('/api/sessions', {headers})).json())
    await fetch('/api/sessions/' + session.id, {method: 'DELETE', headers});
}"""


@dataclass(frozen=True)
class Lab:
    url: str
    token: str
    root: Path


@pytest.fixture(scope="session")
def engine_root(tmp_path_factory):
    """A data root of its own: the tests neither see nor leave anything of the user's."""
    root = tmp_path_factory.mktemp("engine")
    saved = {name: os.environ.get(name) for name in ("PYDOCK_ROOT", "PYDOCK_HOST", "DOCKER_HOST")}
    os.environ["PYDOCK_ROOT"] = str(root)
    os.environ.pop("PYDOCK_HOST", None)
    os.environ.pop("DOCKER_HOST", None)
    yield root
    from pydockmagic.client import connect, embedded

    if embedded.status().running:
        with connect() as client:
            for container in client.containers(all=True):
                client.container_remove(container["Id"], force=True, volumes=True)
        embedded.stop()
    for name, value in saved.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(scope="session")
def lab(tmp_path_factory, engine_root):
    root, config = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter")
    settings = config / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    environ = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTERLAB_SETTINGS_DIR": str(config / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(config / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(config / "runtime"),
        "IPYTHONDIR": str(config / "ipython"),
    }
    token = secrets.token_hex(8)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
        f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]
    log = config / "lab.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file, start_new_session=True)
    try:
        yield Lab(_address(process, log), token, root)
    finally:
        process.terminate()
        process.wait(20)


def _address(process, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if match := re.search(r"http://127\.0\.0\.1:(\d+)/lab", log.read_text()):
            return f"http://127.0.0.1:{match[1]}"
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        # One context: its HTTP cache makes all tests but the first quicker.
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        yield context
        context.close()
        browser.close()


class Notebook:
    """A notebook open in a page."""

    def __init__(self, page, lab):
        self.page = page
        self._lab = lab
        self.path = None

    def open(self, source, *, app="lab/tree", name=""):
        """Open a copy of a notebook; returns when its kernel is connected."""
        self.path = self._lab.root / (name or f"{secrets.token_hex(4)}.ipynb")
        shutil.copy(source, self.path)
        self.visit(app)
        self.wait()
        return self.page

    def wait(self):
        """Wait until the notebook is there and its kernel connected."""
        self.page.wait_for_function(READY, timeout=60_000)

    def visit(self, app="lab/tree"):
        reset = "&reset" if app == "lab/tree" else ""
        self.page.goto(f"{self._lab.url}/{app}/{self.path.name}?token={self._lab.token}{reset}")

    def run_all(self):
        """Run all cells; returns when they have run."""
        self.page.evaluate(RUN_ALL)
        return self.page

    def evaluate(self, expression):
        """Evaluate a Python expression in the kernel, and give what it prints as."""
        return self.page.evaluate(EVALUATE, expression)

    def execute(self, code):
        """Execute code in the kernel, outside of any cell."""
        assert self.page.evaluate(EXECUTE, code) == "ok"

    def end_sessions(self):
        """End the kernels of all notebooks."""
        self.page.evaluate(END_SESSIONS, self._lab.token)

    def command(self, name, arguments=None):
        """Execute a command of the application."""
        code = "([name, args]) => window.jupyterapp.commands.execute(name, args)"
        return self.page.evaluate(code, [name, arguments or {}])

    def theme(self, name):
        self.command("apputils:change-theme", {"theme": name})
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")


@pytest.fixture
def notebook(browser, lab):
    page = browser.new_page()
    page.set_default_timeout(30_000)
    notebook = Notebook(page, lab)
    yield notebook
    notebook.end_sessions()
    page.close()


@pytest.fixture(scope="session")
def screenshots():
    folder = Path(__file__).resolve().parents[2] / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
