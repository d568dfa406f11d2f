"""Where containers stand in their life cycle, as text and as static HTML; the live view is ``states_live``."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.diagram import GONE, Diagram, draw, lay_out
from pydockmagic.notebook.widgets.records import StateHistory, StepTaken, Transition

__all__ = ["StatesView", "clock", "outcome", "shown_name"]

_ROWS = 30


@dataclass(frozen=True)
class StatesView:
    """What ``%states`` shows: the engine's life-cycle table and the way each container took through it."""

    table: Sequence[Transition]
    """Empty where the engine does not describe its life cycle; then there is no diagram."""
    containers: Sequence[StateHistory]
    engine: str = ""
    note: str = ""

    @property
    def token(self) -> str:
        """A name made from the containers that are shown."""
        ids = "\n".join(container.id or container.name for container in self.containers)
        return "states-" + hashlib.sha256(ids.encode()).hexdigest()[:12]

    @property
    def diagram(self) -> Diagram:
        """The life-cycle table laid out."""
        return lay_out(self.table, (each.state or GONE for each in self.containers))

    def lit(self) -> dict[str, list[str]]:
        """Give the containers in each state that has any."""
        states: dict[str, list[str]] = {}
        for container in self.containers:
            states.setdefault(container.state or GONE, []).append(shown_name(container))
        return states

    def taken(self) -> set[tuple[str, str]]:
        """Give the transitions that any of the containers made."""
        return {(step.from_, step.to or GONE) for each in self.containers for step in each.history if step.from_}

    def last(self) -> set[tuple[str, str]]:
        """Give the newest transition of each container."""
        ways = [
            [(step.from_, step.to or GONE) for step in each.history if step.from_ and step.from_ != step.to]
            for each in self.containers
        ]
        return {way[-1] for way in ways if way}

    def sentence(self) -> str:
        """Say in words where each container stands."""
        return "; ".join(f"{shown_name(each)} is {_standing(each)}" for each in self.containers)

    def __str__(self) -> str:
        """Write the states and the history as monospaced text."""
        lines = [self.sentence()]
        several = len(self.containers) > 1
        for container in self.containers:
            if several:
                lines.append(f"{shown_name(container)}:")
            for step in container.history[-_ROWS:]:
                way = f"{step.from_ or '(new)'} -> {step.to or GONE}"
                lines.append(f"  {clock(step)}  {way:<22} {step.action:<10} {outcome(step)}".rstrip())
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def html(self) -> str:
        """Write the diagram and the history as static HTML."""
        title = markup.caption(escape(self.sentence()), [escape(self.engine)])
        drawing = ""
        if self.table:
            diagram = self.diagram
            svg = draw(diagram, self.lit(), self.taken(), self.last())
            drawing = markup.image(svg, f"Container life cycle: {self.sentence()}.", diagram.width)
        after = markup.muted(escape(self.note)) if self.note else ""
        inside = title + drawing + self._histories() + after
        return markup.tag("div", inside, class_=f"pydock pydock-{self.token}")

    def _histories(self) -> str:
        several = len(self.containers) > 1
        steps = [(step, shown_name(each)) for each in self.containers for step in each.history[-_ROWS:]]
        rows = []
        for step, name in sorted(steps, key=lambda pair: pair[0].time_nano):
            way = f"{escape(step.from_ or '(new)')} → <b>{escape(step.to or GONE)}</b>"
            row = [markup.code(clock(step)), markup.code(step.action), way, escape(outcome(step))]
            rows.append([*([escape(name)] if several else []), *row])
        head = ("Container",) if several else ()
        listing = markup.table((*head, "Time", "Action", "Transition", "Outcome"), rows)
        count = sum(len(each.history) for each in self.containers)
        label = f"History: {count} transition" + ("" if count == 1 else "s")
        return markup.details(label, listing, opened=True) if rows else ""


def shown_name(container: StateHistory) -> str:
    """Give a container's name without the slash of the API."""
    return container.name.lstrip("/") or container.id[:12]


def clock(step: StepTaken) -> str:
    """Give the local time of a step to the millisecond."""
    when = datetime.fromtimestamp(step.time_nano / 1e9).astimezone()
    return when.strftime("%H:%M:%S.") + f"{when.microsecond // 1000:03d}"


def outcome(step: StepTaken) -> str:
    """Say how a process ended: its exit code, the signal, and whether memory ran out."""
    parts = []
    if step.exit_code is not None and (step.to or GONE) in ("exited", "dead", "restarting", GONE):
        parts.append(f"exit code {step.exit_code}")
    if name := _signal_name(step.signal):
        parts.append(name)
    if step.oom_killed:
        parts.append("out of memory")
    return ", ".join(parts)


def _standing(container: StateHistory) -> str:
    last = container.history[-1] if container.history else None
    how = outcome(last) if last else ""
    return (container.state or GONE) + (f" ({how})" if how else "")


def _signal_name(number: str | int | None) -> str:
    if number in (None, "", 0, "0"):
        return ""
    if isinstance(number, int) or number.isdigit():
        try:
            return signal.Signals(int(number)).name
        except ValueError:
            return f"signal {number}"
    return number if number.startswith("SIG") else f"SIG{number}"
