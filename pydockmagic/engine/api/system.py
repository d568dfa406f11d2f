"""Routes about the engine itself: ping, version, info, events, disk usage.

Engine API v1.50, "System".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import msgspec

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.events import Event, EventBus
from pydockmagic.engine.timestamps import parse_timestamp, rfc3339

from .events_filter import EventFilter
from .facts import EngineFacts, info_document, version_document
from .messages import JSON, Answer, Reply, Request, Stream, reply_json
from .router import API_VERSION, MIN_API_VERSION, Route, version_text

__all__ = ["Counters", "SystemRoutes"]

_encode = msgspec.json.Encoder().encode

_KINDS = frozenset({"container", "image", "volume", "build-cache"})
_TYPES_VERSION = (1, 42)
"""The version from which disk usage can be asked for by type."""


class Counters(Protocol):
    """What the system routes ask of the other services."""

    def containers(self) -> Mapping[str, int]:
        """Count containers by ``running``, ``paused`` and ``stopped``."""
        ...

    def images(self) -> int:
        """Count images."""
        ...

    async def disk_usage(self, kinds: frozenset[str]) -> Mapping[str, Any]:
        """Give the document of ``GET /system/df`` for the kinds asked for."""
        ...


class SystemRoutes:
    """The routes of the engine itself."""

    def __init__(
        self,
        facts: EngineFacts,
        events: EventBus,
        counters: Counters,
    ) -> None:
        self._facts = facts
        self._events = events
        self._counters = counters
        self._listeners = 0
        self._version = reply_json(version_document(facts, version_text(API_VERSION), version_text(MIN_API_VERSION)))

    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("GET", "/_ping", self.ping),
            Route("HEAD", "/_ping", self.ping),
            Route("GET", "/version", self.version),
            Route("GET", "/info", self.info),
            Route("GET", "/events", self.events, waits=True),
            Route("GET", "/system/df", self.disk_usage, waits=True),
        ]

    async def ping(self, request: Request) -> Answer:
        """Say that the engine is there, which versions it speaks and which builder to prefer."""
        return Reply(
            body=b"OK",
            content_type="text/plain; charset=utf-8",
            headers={
                "Builder-Version": "1",
                "Cache-Control": "no-cache, no-store, must-revalidate",
                "Pragma": "no-cache",
                "Swarm": "inactive",
            }
            | ({"Content-Length": "0"} if request.method == "HEAD" else {}),
        )

    async def version(self, request: Request) -> Answer:
        """Answer ``docker version``."""
        return self._version

    async def info(self, request: Request) -> Answer:
        """Answer ``docker info``."""
        document = info_document(
            self._facts, self._counters.containers(), self._counters.images(), self._listeners, rfc3339(time.time_ns())
        )
        return reply_json(document)

    async def disk_usage(self, request: Request) -> Answer:
        """Answer ``docker system df``; from API 1.42 on ``type`` restricts it to kinds of objects."""
        asked = frozenset(request.texts("type")) if request.version >= _TYPES_VERSION else frozenset()
        for kind in asked - _KINDS:
            raise InvalidParameter(f"unknown object type: {kind}")
        return reply_json(await self._counters.disk_usage(asked or _KINDS))

    async def events(self, request: Request) -> Answer:
        """Stream events, those kept since ``since`` first, until ``until`` or for ever."""
        now = time.time_ns()
        since = parse_timestamp(request.text("since"), now)
        until = parse_timestamp(request.text("until"), now)
        if since is not None and until is not None and until < since:
            raise InvalidParameter(
                f"`since` time ({request.text('since')}) cannot be after `until` time ({request.text('until')})"
            )
        chosen = EventFilter(request.filters())
        return Stream(chunks=self._follow(since, until, chosen), content_type=JSON, at_once=True)

    async def _follow(self, since: int | None, until: int | None, chosen: EventFilter) -> AsyncIterator[bytes]:
        self._listeners += 1
        try:
            async with self._events.subscribe() as queue:
                # a client that names no time wants only what is to come
                for event in self._events.past(since or 0, until) if (since, until) != (None, None) else []:
                    if chosen.matches(event):
                        yield _line(event)
                while (new := await _next(queue, until)) is not None:
                    if chosen.matches(new):
                        yield _line(new)
        finally:
            self._listeners -= 1


def _line(event: Event) -> bytes:
    return _encode(event.to_api()) + b"\n"


async def _next(queue: asyncio.Queue[Event], until: int | None) -> Event | None:
    if until is None:
        return await queue.get()
    left = (until - time.time_ns()) / 1e9
    if left <= 0:
        return None
    try:
        async with asyncio.timeout(left):
            return await queue.get()
    except TimeoutError:
        return None
