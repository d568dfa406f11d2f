"""The live terminal: keys and its size come from the page, rows that changed go there."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import traitlets

from pydockmagic.notebook.emulator import Emulator, Row
from pydockmagic.notebook.later import shown_in
from pydockmagic.notebook.widgets.base import LiveView, asset
from pydockmagic.notebook.widgets.terminal import COLOURS, TerminalView

__all__ = ["TerminalWidget"]

_PAUSE = 0.04
"""Seconds between two messages to the page: what a program writes meanwhile goes together."""
_MOST = (200, 500)
"""Rows and columns that a page may ask for."""


class TerminalWidget(LiveView):
    """A screen in the page; ``typed`` takes the keys, ``resized`` is called once the size has changed."""

    _esm = asset("live.js", "terminal.js")
    _css = asset("live.css", "terminal.css")
    rows: Any = traitlets.List(help="The screen, row by row, each a list of runs (see emulator.py).").tag(sync=True)
    cursor: Any = traitlets.List(help="Row and column of the cursor; empty while it is hidden.").tag(sync=True)
    ended = traitlets.Bool(default_value=False, help="Whether nobody listens to the keys any more.").tag(sync=True)
    application = traitlets.Bool(default_value=False, help="Whether arrow keys are application keys.").tag(sync=True)
    colours = traitlets.Dict(COLOURS, help="Colours by name.").tag(sync=True)

    def __init__(self, view: TerminalView, emulator: Emulator, **options: Any) -> None:
        self.typed: Callable[[bytes], None] | None = None
        self.resized: Callable[[], None] | None = None
        self._emulator = emulator
        self._guard = threading.RLock()
        self._sent = 0.0
        self._timer: threading.Timer | None = None
        self._expected: Counter[str] = Counter()
        self._early: dict[tuple[str, int], bytes] = {}
        super().__init__(token=view.token, title=view.title, engine=view.engine, rows=emulator.rows(), **options)
        self.hear(self._heard)

    def feed(self, data: bytes) -> None:
        """Take what the program wrote; the page is told soon. May be called from any thread."""
        with self._guard:
            self._emulator.feed(data)
            left = self._sent + _PAUSE - time.monotonic()
            if left <= 0:
                self._tell_page()
            elif self._timer is None:
                # Before 7.1, ipykernel sends nothing from a thread that does not know its cell.
                self._timer = threading.Timer(left, copy_context().run, (shown_in(self, self._later),))
                self._timer.daemon = True
                self._timer.start()

    def end(self, summary: str) -> None:
        """Say that the program has ended, or that the person has left it."""
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._tell_page()
            self.summary = summary
            self.ended = True

    def _later(self) -> None:
        with self._guard:
            self._timer = None
            self._tell_page()

    def _tell_page(self) -> None:
        """Send the rows that changed. The trait itself keeps up without being sent: a page that opens later gets it."""
        self._sent = time.monotonic()
        changed: dict[int, Row] = self._emulator.changed()
        known = self.rows
        for row, runs in changed.items():
            if row < len(known):
                known[row] = runs
        cursor = list(self._emulator.cursor or ())
        with self.hold_sync():
            self.cursor = cursor
            self.application = self._emulator.application_keys
        if changed:
            self.send({"kind": "rows", "rows": changed})

    def _heard(self, content: dict[str, Any]) -> None:
        if self.ended:
            return
        if content.get("kind") == "keys":
            self._take_keys(str(content.get("view")), content.get("number"), str(content.get("text", "")).encode())
        if content.get("kind") == "size":
            self._resize(content.get("rows"), content.get("columns"))

    def _take_keys(self, view: str, number: Any, keys: bytes) -> None:
        """Hand on keys in the order in which they were pressed, whatever the order in which they come."""
        if not isinstance(number, int):
            return
        with self._guard:
            self._early[view, number] = keys
            while (ready := self._early.pop((view, self._expected[view]), None)) is not None:
                self._expected[view] += 1
                if self.typed is not None:
                    self.typed(ready)

    def _resize(self, rows: Any, columns: Any) -> None:
        if not (isinstance(rows, int) and isinstance(columns, int)):
            return
        size = max(2, min(rows, _MOST[0])), max(10, min(columns, _MOST[1]))
        with self._guard:
            if size == self._emulator.size:
                return
            self._emulator.resize(*size)
            self._emulator.changed()
            self.rows = self._emulator.rows()
            self.cursor = list(self._emulator.cursor or ())
        if self.resized is not None:
            self.resized()
