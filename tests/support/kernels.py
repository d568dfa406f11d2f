"""A real kernel, spoken with over its own sockets: what each cell was sent, interrupts, how it ends."""

from __future__ import annotations

import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_event_loop

__all__ = ["Cell", "Kernel", "home", "kernel", "running"]

_SHOWN = ("stream", "display_data", "update_display_data", "execute_result", "error")
_DOCKER = Path(__file__).resolve().parents[2] / "kernelspec" / "kernel.json"
_PATIENCE = 30.0


class Cell:
    """One execution: the messages that say they belong to it."""

    def __init__(self, kernel: Kernel, identity: str) -> None:
        self._kernel = kernel
        self.id = identity
        self.reply: dict[str, Any] | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Everything that was published for it so far."""
        return [each for each in self._kernel.messages() if each["parent_header"].get("msg_id") == self.id]

    @property
    def text(self) -> str:
        """What it printed so far."""
        return "".join(each["content"]["text"] for each in self.messages if each["msg_type"] == "stream")

    @property
    def displays(self) -> list[str]:
        """The texts of its displays, in the order in which they were drawn, again and again."""
        kinds = ("display_data", "update_display_data", "execute_result")
        found = [each["content"]["data"] for each in self.messages if each["msg_type"] in kinds]
        return [data.get("text/plain", "") for data in found]

    @property
    def last(self) -> str:
        """The text of the display that was drawn last; empty before there is one."""
        return self.displays[-1] if self.displays else ""

    @property
    def error(self) -> str:
        """What its error says, line by line; empty where it has none. Two errors would be one too many."""
        errors = [each["content"] for each in self.messages if each["msg_type"] == "error"]
        assert len(errors) < 2, errors
        return _plain("\n".join(errors[0]["traceback"])) if errors else ""

    @property
    def ended(self) -> bool:
        """Whether the kernel is done with it."""
        return any(
            each["msg_type"] == "status" and each["content"]["execution_state"] == "idle" for each in self.messages
        )

    def until(self, condition: Callable[[Cell], object], seconds: float = _PATIENCE) -> Cell:
        """Wait until something is so; tells what there is where it never comes."""
        self._kernel.until(lambda: condition(self), self.tell, seconds)
        return self

    def end(self, seconds: float = _PATIENCE) -> Cell:
        """Wait for its end, and for the reply to it, as front ends do.

        Before 7.4, ipykernel may sleep over a cell that comes while it sends the reply to the one before (its issue
        1554).
        """
        self.until(lambda cell: cell.ended, seconds)
        self._kernel.take_reply(self)
        return self

    def tell(self) -> str:
        """Describe it, for who waits in vain."""
        return f"ended: {self.ended}\ntext: {self.text}\ndisplays: {self.displays[-1:]}\nerror: {self.error}"


class Kernel:
    """A kernel process, and everything that it has published."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, docker: bool = False) -> None:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        if docker:
            argv = [sys.executable, *json.loads(_DOCKER.read_text())["argv"][1:]]
        folder.mkdir(parents=True, exist_ok=True)
        self.manager = KernelManager(connection_file=str(folder / "kernel.json"))
        self.manager._kernel_spec = KernelSpec(argv=argv, display_name="x", language="python")
        self.folder = folder
        self._log = (folder / "kernel.log").open("w")
        self.manager.start_kernel(
            env=dict(environ) | {"IPYTHONDIR": str(folder / "ipython")},
            cwd=str(folder),
            stdout=self._log,
            stderr=self._log,
        )
        self._messages: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._cells: list[Cell] = []
        self._over = threading.Event()
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=_PATIENCE)
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self.client, self._over), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return int(self.manager.provisioner.pid)

    def messages(self) -> list[dict[str, Any]]:
        """Give everything that was published so far."""
        with self._news:
            return list(self._messages)

    def until(self, condition: Callable[[], object], tell: Callable[[], str] = str, seconds: float = _PATIENCE) -> None:
        """Wait until something is so; looked at again with each message, and now and then."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, tell()
            with self._news:
                self._news.wait(0.05)

    def begin(self, code: str, *, live: bool = False) -> Cell:
        """Have a cell run; ``live`` says that a person is there, so that views are live ones."""
        cell = Cell(self, self.client.execute(code, allow_stdin=live, store_history=True))
        self._cells.append(cell)
        return cell

    def run(self, code: str, *, live: bool = False) -> Cell:
        """Run a cell to its end."""
        return self.begin(code, live=live).end()

    def take_reply(self, cell: Cell) -> None:
        """Take the reply to a cell that has ended; one that was overheard is not waited for long."""
        with suppress(queue.Empty):
            while cell.reply is None:
                message = self.client.get_shell_msg(timeout=5)
                for each in self._cells:
                    if each.id == message["parent_header"].get("msg_id"):
                        each.reply = message["content"]

    def good(self, code: str, *, live: bool = False) -> Cell:
        """Run a cell that must succeed."""
        cell = self.run(code, live=live)
        assert not cell.error, cell.tell()
        return cell

    def interrupt(self) -> None:
        """Press the stop button: a SIGINT."""
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        """Press the restart button, as Jupyter does it."""
        self._leave()
        self.manager.restart_kernel()
        self._connect()

    def strays(self) -> list[dict[str, Any]]:
        """Give what was shown in no cell, and what draws over a display in another cell than its own."""
        known = {each.id for each in self._cells}
        owners: dict[str, str] = {}
        found = []
        for each in self.messages():
            if each["msg_type"] not in _SHOWN:
                continue
            parent = each["parent_header"].get("msg_id", "")
            display = each["content"].get("transient", {}).get("display_id")
            owner = owners.setdefault(display, parent) if display else parent
            if parent not in known or owner != parent or each["content"].get("name") == "stderr":
                found.append(each)
        return found

    def states(self) -> dict[str, dict[str, Any]]:
        """Give the live views as a page would know them: the state of each model, by its id."""
        models: dict[str, dict[str, Any]] = {}
        for each in self.messages():
            content = each["content"]
            if each["msg_type"] == "comm_open":
                models[content["comm_id"]] = dict(content["data"].get("state", {}))
            elif each["msg_type"] == "comm_msg" and content["data"].get("method") == "update":
                models.setdefault(content["comm_id"], {}).update(content["data"]["state"])
            elif each["msg_type"] == "comm_close":
                models.pop(content["comm_id"], None)
        return models

    def view(self, title: str) -> dict[str, Any]:
        """Give the state of the live view whose title begins so; empty while there is none."""
        found = [each for each in self.states().values() if str(each.get("title", "")).startswith(title)]
        return found[-1] if found else {}

    def press(self, title: str, **content: Any) -> None:
        """Send a message to a view, as its page would."""
        (identity,) = [key for key, each in self.states().items() if str(each.get("title", "")).startswith(title)]
        message = self.client.session.msg(
            "comm_msg", {"comm_id": identity, "data": {"method": "custom", "content": content}}
        )
        self.client.shell_channel.send(message)

    def shut_down(self) -> int:
        """Ask it to end, as Jupyter does, and give its exit code: below 0 where it had to be killed."""
        process = self.manager.provisioner.process
        self._leave()
        self.manager.shutdown_kernel()
        return int(process.wait(_PATIENCE))

    def close(self) -> None:
        """End it, whatever it is at."""
        if not self._over.is_set():
            self._leave()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self._log.close()

    def complete(self, code: str) -> list[str]:
        """Ask what may stand at the end."""
        reply = self.client.complete(code, len(code), reply=True, timeout=_PATIENCE)
        return list(reply["content"]["matches"])

    def _leave(self) -> None:
        self._over.set()
        self._reader.join()
        self.client.stop_channels()

    def _read(self, client: Any, over: threading.Event) -> None:
        while not over.is_set():
            try:
                message = client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            with self._news:
                self._messages.append(message)
                self._news.notify_all()
        ensure_event_loop().close()  # the client made one for this thread, and nobody else would


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@contextmanager
def kernel(folder: Path, environ: Mapping[str, str], *, docker: bool = False) -> Iterator[Kernel]:
    """Run a kernel in a folder."""
    started = Kernel(folder, environ, docker=docker)
    try:
        yield started
    finally:
        started.close()


def home(folder: Path) -> dict[str, str]:
    """Give the environment of somebody who has an embedded engine of their own below a folder."""
    environ = {key: value for key, value in os.environ.items() if key not in ("PYDOCK_HOST", "DOCKER_HOST")}
    run = folder / "run"
    run.mkdir()
    return environ | {"PYDOCK_ROOT": str(folder / "root"), "XDG_RUNTIME_DIR": str(run), "PYDOCK_IDLE_TIMEOUT": "60"}


def running(token: str) -> bool:
    """Tell whether a process of this machine has a word on its command line, in a container or not."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if token.encode() in words:
            return True
    return False
