"""Where containers stand in their life cycle, as text and as static HTML; the live view is ``states_live``."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.diagram import GONE, Diagram, draw, lay_out
from pydockmagic.notebook.widgets.records import StateHistory, StepTaken, Transition
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["StatesView", "clock", "move", "outcome", "shown_name"]

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
        return token_of("states", *(container.id or container.name for container in self.containers))

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

    def arrows(self, container: StateHistory) -> list[tuple[str, str] | None]:
        """Give the arrow of the diagram that each step of a history went along, if any.

        A step into a state that the table leads nowhere from (``removing``) is one half of an arrow: the next step is
        the other.
        """
        known = {(row.state or "", row.to or GONE) for row in self.table}
        ways: list[tuple[str, str] | None] = []
        waiting = ""
        for step in container.history:
            source, target = waiting or step.from_ or "", step.to or GONE
            is_arrow = source != target and (source, target) in known and bool(source)
            ways.append((source, target) if is_arrow else None)
            waiting = source if source and source != target and not is_arrow else ""
        return ways

    def taken(self) -> set[tuple[str, str]]:
        """Give the arrows that any of the containers went along."""
        return {way for each in self.containers for way in self.arrows(each) if way}

    def last(self) -> set[tuple[str, str]]:
        """Give the newest arrow of each container."""
        ways = [[way for way in self.arrows(each) if way] for each in self.containers]
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
                way = move(step, "->")
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
            row = [markup.code(clock(step)), markup.code(step.action), escape(move(step)), escape(outcome(step))]
            rows.append([*([escape(name)] if several else []), *row])
        head = ("Container",) if several else ()
        listing = markup.table((*head, "Time", "Action", "Transition", "Outcome"), rows)
        count = sum(len(each.history) for each in self.containers)
        label = f"History: {count} step" + ("" if count == 1 else "s")
        return markup.details(label, listing, opened=True) if rows else ""


def shown_name(container: StateHistory) -> str:
    """Give a container's name without the slash of the API."""
    return container.name.lstrip("/") or container.id[:12]


def clock(step: StepTaken) -> str:
    """Give the local time of a step to the millisecond."""
    when = datetime.fromtimestamp(step.time_nano / 1e9).astimezone()
    return when.strftime("%H:%M:%S.") + f"{when.microsecond // 1000:03d}"


def move(step: StepTaken, arrow: str = "→") -> str:
    """Write a step as ``created → running``, or the state alone where it did not change."""
    target = step.to or GONE
    return target if step.from_ == target else f"{step.from_ or '(new)'} {arrow} {target}"


def outcome(step: StepTaken) -> str:
    """Say how a process ended: its exit code, the signal, and whether memory ran out."""
    parts = []
    if step.exit_code is not None and step.to not in ("created", "running", "paused"):
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
