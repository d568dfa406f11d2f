"""The progress of several tasks as one stream of messages, as Docker's clients read it (moby, pkg/jsonmessage)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

__all__ = ["Board", "bar"]

_PAUSE = 0.1
"""Seconds between two messages about the bytes of one thing."""
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Board:
    """Where tasks write what they do; one for each request."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._shown: dict[tuple[str, str], float] = {}
        self._loop = asyncio.get_running_loop()

    def tell(self, message: dict[str, Any]) -> None:
        """Write any message."""
        self._queue.put_nowait(message)

    def text(self, status: str, identity: str = "") -> None:
        """Write a line about the whole, or about the thing named."""
        self.tell({"status": status, "id": identity} if identity else {"status": status})

    def state(self, identity: str, status: str) -> None:
        """Write that a layer has come to another state."""
        self.tell({"status": status, "progressDetail": {}, "id": identity})

    def count(self, identity: str, status: str, current: int, total: int) -> None:
        """Write how many bytes were moved; most such messages are left out."""
        now = time.monotonic()
        if now - self._shown.get((identity, status), 0.0) < _PAUSE and current < total:
            return
        self._shown[identity, status] = now
        detail = {"current": current, "total": total} if total > 0 else {"current": current}
        self.tell({"status": status, "progressDetail": detail, "progress": bar(current, total), "id": identity})

    def count_from_thread(self, identity: str, status: str, current: int, total: int) -> None:
        """Write the same from a thread."""
        self._loop.call_soon_threadsafe(self.count, identity, status, current, total)

    async def run(self, work: Coroutine[Any, Any, Any]) -> AsyncIterator[dict[str, Any]]:
        """Do the work and give what it writes; its error comes after its last message.

        When the reader leaves, the work is cancelled and waited for.
        """
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            while (message := await self._queue.get()) is not None:
                yield message
            await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])


def bar(current: int, total: int) -> str:
    """Draw the bar that old clients show: ``[=====>   ]  1.2kB/3.4kB``."""
    if total <= 0:
        return f"{_size(current):>8}"
    half = min(current * 50 // total, 50)
    return f"[{'=' * half}>{' ' * (50 - half)}] {_size(current):>8}/{_size(total)}"


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.4g}{_UNITS[unit]}"
