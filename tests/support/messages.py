"""A real kernel and what a front end gets to hear from it, message by message."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

__all__ = ["Cell", "Kernel", "kernel"]

_SPEC = Path(__file__).resolve().parents[2] / "kernelspec" / "kernel.json"


class Cell:
    """A cell that was sent, and the messages that belong to it (whenever they came)."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def contents(self, *kinds: str) -> list[dict[str, Any]]:
        """Give the contents of its messages of some kinds."""
        return [content for kind, content in self.messages if kind in kinds]

    @property
    def idle(self) -> bool:
        """Whether it is over."""
        return any(content["execution_state"] == "idle" for content in self.contents("status"))

    @property
    def text(self) -> str:
        """What it has printed."""
        return "".join(content["text"] for content in self.contents("stream"))

    @property
    def error(self) -> str:
        """What it has failed with."""
        return "".join(f"{content['ename']}: {content['evalue']}" for content in self.contents("error"))

    @property
    def kinds(self) -> set[str]:
        """The kinds of output that belong to it; what views are told is none."""
        return {kind for kind, _ in self.messages} - {"status", "execute_input", "comm_open", "comm_msg", "comm_close"}


class Kernel:
    """A running kernel; messages are sorted into the cells that they belong to."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager = manager
        self._client = client
        self.cells: dict[str, Cell] = {}
        self.others: list[dict[str, Any]] = []

    def begin(self, code: str, *, person: bool = True) -> Cell:
        """Send a cell; ``person`` says that questions can be answered."""
        identity = self._client.execute(code, allow_stdin=person)
        cell = self.cells[identity] = Cell(identity)
        return cell

    def run(self, code: str, *, person: bool = True) -> Cell:
        """Run a cell to its end."""
        return self.end(self.begin(code, person=person))

    def end(self, cell: Cell) -> Cell:
        """Wait for the end of a cell, and for the reply to it.

        Before 7.4, ipykernel may sleep over a cell that comes while it sends the reply to the one before
        (its issue 1554); front ends wait for the reply, too.
        """
        self.until(lambda: cell.idle)
        while True:
            reply = self._client.get_shell_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == cell.identity:
                return cell

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Take messages until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, list(self.cells.values())[-1].messages[-5:]
            try:
                message = self._client.get_iopub_msg(timeout=0.5)
            except Empty:
                continue
            parent = self.cells.get(message["parent_header"].get("msg_id", ""))
            if parent is None:
                self.others.append(message)
            else:
                parent.messages.append((message["msg_type"], message["content"]))


@contextmanager
def kernel(folder: Path, name: str = "python3", environ: Mapping[str, str] | None = None) -> Iterator[Kernel]:
    """Start a kernel by its spec (ours is that of this checkout) in ``folder``, and end it."""
    spec = folder / "jupyter" / "kernels" / "pydockmagic"
    spec.mkdir(parents=True, exist_ok=True)
    described = json.loads(_SPEC.read_text())
    described["argv"][0] = sys.executable
    (spec / "kernel.json").write_text(json.dumps(described))
    paths = {"JUPYTER_PATH": str(folder / "jupyter"), "IPYTHONDIR": str(folder / "ipython")}
    manager: Any = KernelManager(kernel_name=name)
    manager.kernel_spec_manager.kernel_dirs.insert(0, str(folder / "jupyter" / "kernels"))
    manager.start_kernel(env={**os.environ, **paths, **(environ or {})}, cwd=str(folder))
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)
        manager.cleanup_resources()
