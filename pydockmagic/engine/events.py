"""The event bus: what happened to which object, in order, for ``GET /events`` and for the services themselves.

Engine API v1.50, "Monitor events". The last 256 events are kept for ``since``, as dockerd keeps them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

__all__ = ["Event", "EventBus"]

_KEPT = 256
_QUEUED = 10_000


class Event(msgspec.Struct, frozen=True):
    """One thing that happened. ``type`` is the kind of object, ``action`` the verb, both in Docker's words."""

    type: str
    action: str
    actor_id: str
    attributes: Mapping[str, str]
    time_ns: int

    def to_api(self) -> dict[str, object]:
        """Give the JSON object that ``GET /events`` streams, with the legacy fields that old clients read."""
        legacy: dict[str, object] = {}
        if self.type in ("container", "image"):
            legacy = {"status": self.action, "id": self.actor_id}
            if image := self.attributes.get("image"):
                legacy["from"] = image
        return {
            **legacy,
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.actor_id, "Attributes": dict(sorted(self.attributes.items()))},
            "scope": "local",
            "time": self.time_ns // 1_000_000_000,
            "timeNano": self.time_ns,
        }


class EventBus:
    """Publish and subscribe on the engine's event loop; never blocks the publisher."""

    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=_KEPT)
        self._queues: set[asyncio.Queue[Event]] = set()

    def publish(self, type_: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None) -> Event:
        """Record an event now and hand it to every subscriber."""
        event = Event(type_, action, actor_id, dict(attributes or {}), time.time_ns())
        self._past.append(event)
        for queue in self._queues:
            if queue.full():
                # A reader that stopped reading must not hold the engine's memory: it loses its oldest events.
                queue.get_nowait()
            queue.put_nowait(event)
        return event

    def past(self, since_ns: int = 0, until_ns: int | None = None) -> list[Event]:
        """Give the kept events from ``since_ns`` to ``until_ns`` (Unix nanoseconds, both inclusive)."""
        return [e for e in self._past if since_ns <= e.time_ns and (until_ns is None or e.time_ns <= until_ns)]

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[asyncio.Queue[Event]]:
        """Give a queue of all events from now until the block is left."""
        queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUED)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
