"""Who keeps a live view up to date: each hears the events that concern it and asks the engine anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from pydockmagic.client import Client, NotFound
from pydockmagic.notebook.following import LookingFollower, ViewFollower
from pydockmagic.notebook.insides import read_inside, read_usage
from pydockmagic.notebook.later import Again, shown_in
from pydockmagic.notebook.maps import volume_map, volume_sizes
from pydockmagic.notebook.usage import StatsReader
from pydockmagic.notebook.views import read_state
from pydockmagic.notebook.widgets.diagram import GONE
from pydockmagic.notebook.widgets.inside import inside_sheet
from pydockmagic.notebook.widgets.inside_records import Inside
from pydockmagic.notebook.widgets.records import StateHistory, StepTaken

if TYPE_CHECKING:
    from pydockmagic.notebook.widgets.sheet import Sheet
    from pydockmagic.notebook.widgets.sheet_live import SheetWidget
    from pydockmagic.notebook.widgets.states_live import StatesWidget

__all__ = [
    "SILENT",
    "InsideFollower",
    "SheetFollower",
    "StatesFollower",
    "VolumesFollower",
    "action_of",
    "container_of",
    "told",
]

SILENT = frozenset(
    [
        "exec_create",
        "exec_start",
        "exec_die",
        "exec_detach",
        "attach",
        "detach",
        "top",
        "resize",
        "export",
        "copy",
        "archive-path",
        "extract-to-dir",
    ]
)
"""Actions that change no state."""


def action_of(event: dict[str, Any]) -> str:
    """Give what happened: ``start``, ``exec_create`` without its command."""
    return str(event.get("Action", "")).partition(":")[0]


def container_of(event: dict[str, Any]) -> str:
    """Give the id of the container that an event is about; empty where it is about something else."""
    return str((event.get("Actor") or {}).get("ID", "")) if event.get("Type", "container") == "container" else ""


class SheetFollower(LookingFollower["SheetWidget"]):
    """Keeps a sheet up to date: reads it again after each event that concerns it, and when the person asks."""

    def __init__(
        self, widget: SheetWidget, read: Callable[[], Sheet], concerns: Callable[[dict[str, Any]], bool]
    ) -> None:
        super().__init__(widget, "pydock-look")
        self.concerns = concerns
        self._read = read
        widget.ask = self._again.ask
        widget.asks = True

    def _look(self) -> None:
        self.widget.show(self._read())


class VolumesFollower(SheetFollower):
    """Keeps the map of volumes up to date; what they take is asked apart, since the daemon counts all their files."""

    def __init__(
        self, widget: SheetWidget, client: Client, names: Sequence[str], engine: str, sizes: Mapping[str, int]
    ) -> None:
        self._client, self._names, self._engine = client, names, engine
        self._sizes = sizes
        self._count = Again(shown_in(widget, self._ask_sizes), "pydock-sizes")
        super().__init__(widget, self._fresh, self._is_ours)

    def _is_ours(self, event: dict[str, Any]) -> bool:
        return event.get("Type") in ("volume", "container") and action_of(event) not in SILENT

    def _fresh(self) -> Sheet:
        self._count.ask()
        return volume_map(self._client, self._names, self._engine, self._sizes)

    def _ask_sizes(self) -> None:
        sizes = volume_sizes(self._client)
        if sizes != self._sizes and not self.closed:
            self._sizes = sizes
            self.widget.show(volume_map(self._client, self._names, self._engine, sizes))


class InsideFollower(SheetFollower):
    """Keeps the view into a container up to date: by its events, and by the stream of what it uses."""

    def __init__(self, widget: SheetWidget, client: Client, seen: Inside, engine: str) -> None:
        super().__init__(widget, self._fresh, self._is_mine)
        self._client = client
        self._engine = engine
        self._seen = seen
        self._guard = threading.Lock()
        self._reader: StatsReader | None = None
        self._moving = False
        # To look at a container of a plain daemon takes an exec: whoever looked after each exec would never end.
        self._silent = SILENT if "inside" not in client.features() else SILENT - {"exec_start", "exec_die"}

    def _is_mine(self, event: dict[str, Any]) -> bool:
        return container_of(event) == self._seen.id and action_of(event) not in self._silent

    def refresh(self, event: dict[str, Any]) -> None:
        """Look now, and once more with the next reading: the event of a start comes before the program is there."""
        self._moving = True
        super().refresh(event)

    def _fresh(self) -> Sheet:
        try:
            seen = read_inside(self._client, self._seen.id)
        except NotFound:
            seen = Inside(id=self._seen.id, name=self._seen.name, state=GONE)
        with self._guard:
            self._seen = seen
            if seen.pid and (self._reader is None or not self._reader.alive):
                self._reader = StatsReader(self._client, seen.id, shown_in(self.widget, self._take))
        return inside_sheet(seen, self._engine)

    def _take(self, stats: dict[str, Any]) -> None:
        """Show what is used now; another number of processes is a reason to look at them again."""
        with self._guard:
            if self.closed and self._reader is not None:
                self._reader.stop()
                return
            before = self._seen
            now = msgspec.structs.replace(before, cgroup=read_usage(before.cgroup, stats))
            if before.pid:
                self._seen = now
                self.widget.show(inside_sheet(now, self._engine))
            moved = self._moving or now.cgroup.pids != before.cgroup.pids
            self._moving = False
        if moved and "inside" in self._client.features():
            self._again.ask()


class StatesFollower(ViewFollower["StatesWidget"]):
    """Keeps a diagram up to date: asks for a container's history whenever an event names it."""

    def __init__(self, widget: StatesWidget, client: Client) -> None:
        super().__init__(widget)
        self._client = client
        self._guard = threading.Lock()

    def concerns(self, event: dict[str, Any]) -> bool:
        """Whether an event is a move of a container that is shown."""
        shown = any(each.id == container_of(event) for each in self.widget.view.containers)
        return shown and action_of(event) not in SILENT

    def refresh(self, event: dict[str, Any]) -> None:
        """Show how it stands with a container now; of one that is gone, what its last events told."""
        shown_in(self.widget, self._move)(event)

    def _move(self, event: dict[str, Any]) -> None:
        container = container_of(event)
        with self._guard:
            view = self.widget.view
            known = next(each for each in view.containers if each.id == container)
            try:
                now = known if event["Action"] == "destroy" else read_state(self._client, container)
            except NotFound:
                now = known
            if now is known:
                now = told(known, event)
            self.widget.show(replace(view, containers=[now if each is known else each for each in view.containers]))

    def catch_up(self) -> None:
        """Ask anew for all containers."""
        shown_in(self.widget, self._ask)()

    def _ask(self) -> None:
        with self._guard:
            view = self.widget.view
            now = [self._again(each) for each in view.containers]
            if now != list(view.containers) or self.widget.problem:
                self.widget.show(replace(view, containers=now))

    def _again(self, known: StateHistory) -> StateHistory:
        try:
            return read_state(self._client, known.id)
        except NotFound:
            return known


def told(container: StateHistory, event: dict[str, Any]) -> StateHistory:
    """Add to a history what an event tells, where the engine cannot be asked any more: it ended, it is gone."""
    action, attributes = str(event["Action"]), event["Actor"].get("Attributes") or {}
    target = {"die": "removing", "destroy": GONE}.get(action)
    if target is None or container.state == GONE:
        return container
    code = attributes.get("exitCode") if action == "die" else None
    step = StepTaken(
        action="rm" if action == "destroy" else action,
        from_=container.state,
        to=target,
        time_nano=int(event["timeNano"]),
        exit_code=None if code is None else int(code),
    )
    return StateHistory(id=container.id, name=container.name, state=target, history=[*container.history, step])
