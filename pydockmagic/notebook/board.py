"""Reading the board of containers, and keeping it up to date: by events, and by the streams of what containers use."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from pydockmagic.client import Client, ClientError
from pydockmagic.commands.handlers.usage import reading as stats_reading
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.followers import SILENT, action_of, container_of
from pydockmagic.notebook.following import LookingFollower
from pydockmagic.notebook.later import shown_in
from pydockmagic.notebook.usage import StatsReader
from pydockmagic.notebook.views import nanoseconds
from pydockmagic.notebook.widgets.board import BoardRow, BoardView, Reading, legal_actions, row_of
from pydockmagic.notebook.widgets.records import Transition

if TYPE_CHECKING:
    from pydockmagic.notebook.widgets.board_live import BoardWidget

__all__ = ["BoardKeeper", "read_board"]

_WATCHED = 16
"""Containers whose use is streamed: each is a connection of its own."""


def read_board(client: Client, names: Sequence[str], engine: str = "", *, use: bool = True) -> BoardView:
    """Read the board; ``use`` asks each running container once what it uses.

    Raises ``DockerError`` for a name that no container has.
    """
    allowed = _allowed(client)
    rows = [row_of(each, allowed) for each in reversed(client.containers(all=True))]
    if names:
        for name in names:
            if not any(_named(row.id, row.name, name) for row in rows):
                raise DockerError(f"Error: No such container: {name}", hint="%container ls -a lists what there is")
        rows = [row for row in rows if any(_named(row.id, row.name, name) for name in names)]
    running = [row for row in rows if row.state in ("running", "paused")]
    note = f"What containers use is shown of the first {_WATCHED} that run." if len(running) > _WATCHED else ""
    readings = {row.id: _once(client, row.id) for row in running[:_WATCHED]} if use else {}
    return BoardView(rows, tuple(names), readings, engine, note)


def _allowed(client: Client) -> Mapping[str, frozenset[str]]:
    table = msgspec.convert(client.lifecycle(), list[Transition]) if client.features() else ()
    return legal_actions(table)


def _named(identity: str, name: str, asked: str) -> bool:
    return name == asked.lstrip("/") or (len(asked) >= 4 and identity.startswith(asked))


def _once(client: Client, container: str) -> Reading:
    try:
        return _reading(client.container_stats(container, one_shot=True), first=True)
    except ClientError:
        return Reading()


def _reading(stats: Mapping[str, Any], *, first: bool = False) -> Reading:
    figures = stats_reading("", stats)
    memory = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return Reading()
    before = (stats.get("precpu_stats") or {}).get("system_cpu_usage")
    cpu = None if first or not before else float(figures["CPUPercentage"])
    return Reading(cpu, int(figures["Memory"]), int(figures["MemoryLimit"]) or None)


class BoardKeeper(LookingFollower["BoardWidget"]):
    """Keeps a board up to date, and carries out what is clicked on it."""

    def __init__(self, widget: BoardWidget, client: Client) -> None:
        super().__init__(widget, "pydock-board")
        self._client = client
        self._allowed = _allowed(client)
        self._known: dict[str, tuple[str, float]] = {}
        self._moved: set[str] = set()
        self._readers: dict[str, StatsReader] = {}
        self._guard = threading.Lock()
        widget.do = self._do

    def concerns(self, event: dict[str, Any]) -> bool:
        """Whether an event is a move of a container, or its new name."""
        return bool(container_of(event)) and action_of(event) not in SILENT

    def refresh(self, event: dict[str, Any]) -> None:
        """Look again soon."""
        with self._guard:
            self._moved.add(container_of(event))
        super().refresh(event)

    def _look(self) -> None:
        with self._guard:
            moved, self._moved = self._moved, set()
        shown = self.widget.view
        view = read_board(self._client, (), shown.engine, use=False)
        names = shown.names
        mine = [row for row in view.rows if not names or any(_named(row.id, row.name, name) for name in names)]
        rows = [self._dated(row, afresh=row.id in moved) for row in mine]
        self.widget.show(BoardView(rows, names, {}, view.engine, view.note))
        self._watch([row.id for row in rows if row.state in ("running", "paused")])

    def _dated(self, row: BoardRow, *, afresh: bool) -> BoardRow:
        """Note how a container is by now, and since when: the page counts on from there by itself.

        Asked of those that an event named: the list of a plain daemon may still say "running" when the event of a pause
        is there; inspect does not.
        """
        state, since = self._known.get(row.id, ("", 0.0))
        if afresh or state != row.state:
            try:
                facts = self._client.container_inspect(row.id)["State"]
            except ClientError:
                return row
            state = str(facts["Status"])
            since = nanoseconds(str(facts.get("FinishedAt" if state == "exited" else "StartedAt", ""))) / 1e9
            self._known[row.id] = (state, since)
        return replace(row, state=state, allowed=self._allowed.get(state, frozenset()), since=since)

    def _watch(self, running: Sequence[str]) -> None:
        with self._guard:
            for gone in [each for each in self._readers if each not in running or not self._readers[each].alive]:
                self._readers.pop(gone).stop()
            for container in running[:_WATCHED]:
                if container not in self._readers:
                    self._readers[container] = StatsReader(
                        self._client, container, shown_in(self.widget, self._take(container))
                    )

    def _take(self, container: str) -> Any:
        def take(stats: dict[str, Any]) -> None:
            if self.closed:
                with self._guard:
                    self._readers.pop(container).stop()
                return
            reading = _reading(stats)
            if reading.memory is not None:
                self.widget.add(container, reading)

        return take

    def _do(self, action: str, container: str) -> None:
        call = {"rm": "container_remove"}.get(action, f"container_{action}")
        getattr(self._client, call)(container)
