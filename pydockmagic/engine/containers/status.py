"""How a container's state reads in words: ``Up 2 seconds``, ``Exited (137) 3 seconds ago`` (moby ``State.String``)."""

from __future__ import annotations

import time

from .lifecycle import Lifecycle
from .records import ContainerState

__all__ = ["human_duration", "status_text"]

_SECOND = 1_000_000_000


def human_duration(nanoseconds: int) -> str:
    """Say roughly how long (go-units ``HumanDuration``)."""
    seconds = max(nanoseconds, 0) // _SECOND
    minutes = seconds // 60
    hours = int(max(nanoseconds, 0) / (3600 * _SECOND) + 0.5)
    steps: tuple[tuple[bool, str], ...] = (
        (seconds < 1, "Less than a second"),
        (seconds == 1, "1 second"),
        (seconds < 60, f"{seconds} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 7 * 2, f"{hours // 24} days"),
        (hours < 24 * 30 * 2, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 365 * 2, f"{hours // 24 // 30} months"),
    )
    return next((text for holds, text in steps if holds), f"{hours // 24 // 365} years")


def status_text(state: ContainerState, lifecycle: Lifecycle, now_ns: int | None = None) -> str:
    """Give the STATUS column of ``docker ps``."""
    now = time.time_ns() if now_ns is None else now_ns
    up = f"Up {human_duration(now - state.started_ns)}"
    if lifecycle is Lifecycle.PAUSED:
        return f"{up} (Paused)"
    if lifecycle is Lifecycle.RESTARTING:
        return f"Restarting ({state.exit_code}) {human_duration(now - state.finished_ns)} ago"
    if lifecycle is Lifecycle.RUNNING:
        if state.health is None:
            return up
        return f"{up} ({'health: starting' if state.health.status == 'starting' else state.health.status})"
    plain = {
        Lifecycle.REMOVING: "Removal In Progress",
        Lifecycle.DEAD: "Dead",
        Lifecycle.CREATED: "Created",
    }
    if lifecycle in plain:
        return plain[lifecycle]
    if not state.finished_ns:
        return ""
    return f"Exited ({state.exit_code}) {human_duration(now - state.finished_ns)} ago"
