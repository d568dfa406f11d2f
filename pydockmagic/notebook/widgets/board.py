"""The board of containers: how each stands, what it uses, and what may be done with it now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.records import Transition
from pydockmagic.notebook.widgets.sheet import plural
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["ACTIONS", "PLAIN", "SIGNS", "BoardRow", "BoardView", "Reading", "legal_actions", "row_of"]

ACTIONS = ("start", "stop", "restart", "pause", "unpause", "kill", "rm")
"""In the order of their buttons."""
SIGNS = {
    "created": "○",
    "running": "▶",
    "paused": "‖",
    "restarting": "↻",
    "exited": "■",
    "removing": "✕",
    "dead": "✕",
}
_LONG = 60
"""Letters of a command in the saved table."""
_STOPPED = frozenset({"start", "restart", "rm"})
PLAIN: Mapping[str, frozenset[str]] = {
    "created": _STOPPED,
    "exited": _STOPPED,
    "running": frozenset({"stop", "restart", "pause", "kill"}),
    "paused": frozenset({"stop", "restart", "unpause", "kill"}),
    "restarting": frozenset({"stop", "restart", "kill"}),
    "dead": frozenset({"rm"}),
}
"""What a daemon allows that does not describe its life cycle; a test holds it against the table of our engine."""


@dataclass(frozen=True)
class Reading:
    """What a container uses: percent of one CPU (``None`` before two readings), bytes, and its limit if it has one."""

    cpu: float | None = None
    memory: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class BoardRow:
    """One container. ``status`` is docker's own (``Up 3 seconds``), ``allowed`` what may be done now."""

    id: str
    name: str
    image: str
    command: str
    state: str
    status: str
    ports: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()
    since: float = 0.0
    """Unix seconds since when it runs or has ended, where that was asked for."""


@dataclass(frozen=True)
class BoardView:
    """What the board shows. ``names`` are those asked for; none stand for all containers."""

    rows: Sequence[BoardRow]
    names: Sequence[str] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    engine: str = ""
    note: str = ""

    @property
    def token(self) -> str:
        """A name made from what was asked for: the board of all containers of an engine is one and the same."""
        return token_of("board", self.engine, *self.names)

    def sentence(self) -> str:
        """Count the containers by state."""
        if not self.rows:
            return "no containers"
        states = [row.state for row in self.rows]
        counts = [f"{states.count(state)} {state}" for state in SIGNS if state in states]
        return f"{plural(len(self.rows), 'container')}: {', '.join(counts)}"

    def __str__(self) -> str:
        """Write the board as monospaced text."""
        lines = [self.sentence()]
        width = max((len(row.name) for row in self.rows), default=0)
        for row in self.rows:
            used = _used(self.readings.get(row.id))
            about = "  ".join(part for part in (row.image, ", ".join(row.ports), used) if part)
            lines.append(f"  {SIGNS.get(row.state, '?')} {row.name:<{width}}  {_stands(row):<34}  {about}".rstrip())
        return "\n".join([*lines, self.note] if self.note else lines)

    def html(self) -> str:
        """Write the board as static HTML: a table, without buttons."""
        rows = []
        for row in self.rows:
            reading = self.readings.get(row.id) or Reading()
            share = reading.memory / reading.limit if reading.memory and reading.limit else 0
            bar = markup.code(markup.bar(share, 10), f"color:{markup.ACCENT};white-space:nowrap;") if share else ""
            sign = f"<b>{SIGNS.get(row.state, '?')}</b> {escape(_stands(row))}"
            rows.append(
                [
                    f"<b>{escape(row.name)}</b>",
                    sign,
                    escape(row.image),
                    markup.code(row.command if len(row.command) <= _LONG else row.command[: _LONG - 1] + "…"),
                    escape(", ".join(row.ports)),
                    f"{bar} {markup.muted(escape(_used(reading)))}",
                ]
            )
        head = ("Container", "State", "Image", "Command", "Ports", "Memory")
        body = markup.table(head, rows, styles={1: "white-space:nowrap;"}) if rows else ""
        after = markup.muted(escape(self.note)) if self.note else ""
        inside = markup.caption(escape(self.sentence()), [escape(self.engine)]) + body + after
        return markup.tag("div", inside, class_=f"pydock pydock-{self.token}")


def legal_actions(table: Iterable[Transition]) -> Mapping[str, frozenset[str]]:
    """Give the buttons' actions that each state allows, from the engine's life-cycle table."""
    allowed: dict[str, set[str]] = {}
    for row in table:
        if row.action in ACTIONS:
            allowed.setdefault(row.state or "", set()).add(row.action)
    return {state: frozenset(actions) for state, actions in allowed.items()} or PLAIN


def row_of(summary: Mapping[str, Any], allowed: Mapping[str, frozenset[str]]) -> BoardRow:
    """Make a row from an entry of the container list (Engine API, "List containers")."""
    state = str(summary.get("State", ""))
    return BoardRow(
        id=str(summary["Id"]),
        name=str((summary.get("Names") or [summary["Id"][:12]])[0]).lstrip("/"),
        image=_image(str(summary.get("Image", ""))),
        command=str(summary.get("Command", "")),
        state=state,
        status=str(summary.get("Status", "")),
        ports=_ports(summary.get("Ports") or ()),
        allowed=allowed.get(state, frozenset()),
    )


def _image(name: str) -> str:
    """Shorten an image that has no name, as docker's own list does."""
    digest = name.removeprefix("sha256:")
    return digest[:12] if re.fullmatch(r"[0-9a-f]{64}", digest) else name


def _ports(ports: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Write published ports as ``8080 → 80/tcp``; once for IPv4 and IPv6."""
    found: dict[str, None] = {}
    for port in sorted(ports, key=lambda each: (each.get("PrivatePort", 0), each.get("PublicPort", 0))):
        inner = f"{port.get('PrivatePort')}/{port.get('Type')}"
        if port.get("PublicPort"):
            found[f"{port['PublicPort']} → {inner}"] = None
    return tuple(found)


def _stands(row: BoardRow) -> str:
    """Say it in a word and docker's own: ``running, up 3 seconds``, ``exited (0) 2 minutes ago``."""
    status = row.status[:1].lower() + row.status[1:]
    return status if status.startswith(row.state) else f"{row.state}, {status}".rstrip(", ")


def _used(reading: Reading | None) -> str:
    if reading is None or reading.memory is None:
        return ""
    limit = f" of {markup.size(reading.limit)}" if reading.limit else ""
    return markup.size(reading.memory) + limit
