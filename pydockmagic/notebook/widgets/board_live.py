"""The live board: buttons, and what each container uses as a line of the last minute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import traitlets

from pydockmagic.client import ClientError
from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.base import LiveView, asset
from pydockmagic.notebook.widgets.board import ACTIONS, SIGNS, BoardRow, BoardView, Reading

__all__ = ["BoardWidget"]

_KEPT = 60
"""Readings of each container that are drawn: a minute."""

Do = Callable[[str, str], None]
"""Carry out an action on a container (its id); raises what went wrong."""


class BoardWidget(LiveView):
    """The live twin of a ``BoardView``; ``do`` carries out what is clicked."""

    _esm = asset("live.js", "board.js")
    _css = asset("live.css", "board.css")
    rows = traitlets.List(traitlets.Dict(), help="The containers.").tag(sync=True)
    actions = traitlets.List(traitlets.Unicode(), help="The buttons.").tag(sync=True)
    usage = traitlets.Dict(help="Readings by container, as far as they are kept.").tag(sync=True)
    busy = traitlets.Dict(help="The action under way, by container.").tag(sync=True)
    refused = traitlets.Dict(help="Why an action was refused, by container.").tag(sync=True)
    note = traitlets.Unicode(help="What this engine cannot tell.").tag(sync=True)

    def __init__(self, view: BoardView, **options: Any) -> None:
        self.view = view
        self.do: Do | None = None
        self._guard = threading.RLock()
        self._context = copy_context()
        super().__init__(
            token=view.token,
            title=view.sentence(),
            engine=view.engine,
            rows=[_row(row) for row in view.rows],
            actions=list(ACTIONS),
            note=view.note,
            **options,
        )
        self.hear(self._clicked)

    def show(self, view: BoardView) -> None:
        """Show how things stand now; may be called from any thread."""
        with self._guard, self.hold_sync():
            self.view = view
            self.problem = ""
            there = {row.id for row in view.rows}
            for gone in [each for each in self.usage if each not in there]:
                del self.usage[gone]
            self.rows = [_row(row) for row in view.rows]
            self.title = view.sentence()
            self.refused = {each: why for each, why in self.refused.items() if each in there}

    def add(self, container: str, reading: Reading) -> None:
        """Take one more reading of what a container uses; only this one travels."""
        told = {
            "cpu": None if reading.cpu is None else round(reading.cpu, 1),
            "memory": reading.memory,
            "limit": reading.limit,
            "text": markup.size(reading.memory or 0) + (f" of {markup.size(reading.limit)}" if reading.limit else ""),
        }
        with self._guard:
            kept = self.usage.setdefault(container, [])
            kept.append(told)
            del kept[:-_KEPT]
        self.send({"kind": "reading", "id": container, "reading": told})

    def plain(self) -> str:
        """Give the board as text."""
        return str(self.view)

    def perform(self, action: str, container: str) -> None:
        """Carry out an action; what goes wrong is shown at its container."""
        with self._guard:
            self.busy = {**self.busy, container: action}
            self.refused = {each: why for each, why in self.refused.items() if each != container}
        why = ""
        try:
            if self.do is not None:
                self.do(action, container)
        except ClientError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - shown where the person looks, whatever it is
            why = f"{type(error).__name__}: {error}"
        with self._guard:
            self.busy = {each: what for each, what in self.busy.items() if each != container}
            if why:
                self.refused = {**self.refused, container: why}

    def _clicked(self, content: dict[str, Any]) -> None:
        """Do what was clicked, in a thread: a stop may take ten seconds, and the next click does not wait for it."""
        if content.get("kind") != "do":
            return
        action, container = str(content.get("action")), str(content.get("id"))
        if action in ACTIONS and container not in self.busy:
            run = self._context.copy().run
            threading.Thread(target=run, args=(self.perform, action, container), daemon=True, name="pydock-do").start()


def _row(row: BoardRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "image": row.image,
        "command": row.command,
        "state": row.state,
        "sign": SIGNS.get(row.state, "?"),
        "status": row.status,
        "since": row.since,
        "ports": list(row.ports),
        "allowed": [action for action in ACTIONS if action in row.allowed],
    }
