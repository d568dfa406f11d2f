"""JupyterLab in Chromium, for the browser tests and for what is measured in a page.

What makes it reliable: the page hands out its application object (``expose_app_in_browser``), a notebook counts as open
only when its kernel is connected and idle, and Run All is a command of the application, not a click.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

__all__ = ["Lab", "Notebook", "chromium", "jupyterlab"]

_CHECKOUT = Path(__file__).resolve().parents[2]
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
    """A running server: its address, its token and the folder of its notebooks."""

    url: str
    token: str
    root: Path


@contextmanager
def jupyterlab(root: Path, config: Path) -> Iterator[Lab]:
    """Run a server on the notebooks below ``root``, with settings of its own below ``config``."""
    settings = config / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    for name, kind in (("labextension", "labextensions"), ("kernelspec", "kernels")):  # of this checkout
        shutil.copytree(_CHECKOUT / name, config / "data" / kind / "pydockmagic")
    environ = {
        **os.environ,
        "JUPYTER_PATH": str(config / "data"),
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


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if match := re.search(r"http://127\.0\.0\.1:(\d+)/lab", log.read_text()):
            return f"http://127.0.0.1:{match[1]}"
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@contextmanager
def chromium() -> Iterator[BrowserContext]:
    """Run a browser; one context, whose HTTP cache makes all pages but the first quicker."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        yield context
        context.close()
        browser.close()


class Notebook:
    """A notebook open in a page."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page = page
        self._lab = lab
        self.path = lab.root

    def open(self, source: Path, *, app: str = "lab/tree", name: str = "") -> Page:
        """Open a copy of a notebook; returns when its kernel is connected."""
        self.path = self._lab.root / (name or f"{secrets.token_hex(4)}.ipynb")
        shutil.copy(source, self.path)
        self.visit(app)
        self.wait()
        return self.page

    def wait(self) -> None:
        """Wait until the notebook is there and its kernel connected."""
        self.page.wait_for_function(READY, timeout=60_000)

    def visit(self, app: str = "lab/tree") -> None:
        """Go to the notebook, in one of the server's applications."""
        reset = "&reset" if app == "lab/tree" else ""
        self.page.goto(f"{self._lab.url}/{app}/{self.path.name}?token={self._lab.token}{reset}")

    def open_beside(self, source: Path, name: str) -> None:
        """Open a copy of another notebook in a tab of the same page; returns when its kernel is connected."""
        shutil.copy(source, self._lab.root / name)
        self.command("docmanager:open", {"path": name})
        self.wait()

    def run_all(self) -> Page:
        """Run all cells; returns when they have run."""
        self.page.evaluate(RUN_ALL)
        return self.page

    def evaluate(self, expression: str) -> str:
        """Evaluate a Python expression in the kernel, and give what it prints as."""
        return str(self.page.evaluate(EVALUATE, expression))

    def execute(self, code: str) -> None:
        """Execute code in the kernel, outside of any cell."""
        assert self.page.evaluate(EXECUTE, code) == "ok"

    def end_sessions(self) -> None:
        """End the kernels of all notebooks."""
        self.page.evaluate(END_SESSIONS, self._lab.token)

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        """Execute a command of the application."""
        code = "([name, args]) => window.jupyterapp.commands.execute(name, args)"
        return self.page.evaluate(code, [name, arguments or {}])

    def theme(self, name: str) -> None:
        """Choose a theme; returns when the page has it."""
        self.command("apputils:change-theme", {"theme": name})
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")
