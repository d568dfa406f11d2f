"""What a build tells its client while it works: Docker's JSON stream messages, in order, through a bounded queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

__all__ = ["Output"]

_MOST_WAITING = 256
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"


class Output:
    """Where a build writes. ``quiet`` holds everything back until the build fails or gives its image id."""

    def __init__(self, *, quiet: bool = False, progress: bool = False) -> None:
        self.queue: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue(_MOST_WAITING)
        self._quiet = quiet
        self._progress = progress and not quiet
        self._held: list[Mapping[str, Any]] = []
        self.begun = False
        """Whether anything was sent: an error is part of the stream from then on."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; waits while the client is slow."""
        if self._quiet:
            self._held.append(message)
        else:
            self.begun = True
            await self.queue.put(message)

    async def text(self, text: str) -> None:
        """Send text as it stands."""
        await self.send({"stream": text})

    async def alarm(self, text: str) -> None:
        """Send text in red, as the classic builder sends what goes to standard error."""
        await self.send({"stream": f"{_RED}{text}{_PLAIN}"})

    async def aux(self, value: Mapping[str, Any]) -> None:
        """Send a value for programs."""
        await self.send({"aux": value})

    async def step(self, value: Mapping[str, Any]) -> None:
        """Send a ``pydock.step`` value to a client that asked for them."""
        if self._progress:
            await self.send({"aux": {"pydock.step": value}})

    def pull_progress(self, message: Mapping[str, Any]) -> None:
        """Pass a message of a pull on; one too many for a slow client is dropped, the next tells the same."""
        if self._quiet:
            self._held.append(message)
            return
        self.begun = True
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(message)

    async def result(self, text: str) -> None:
        """Send the only line of a quiet build."""
        await self.queue.put({"stream": text})

    async def fail(self, message: Mapping[str, Any]) -> None:
        """Send an error as the last message; a quiet build now tells what happened before it."""
        for held in self._held:
            await self.queue.put(held)
        await self.queue.put(message)

    @property
    def anything(self) -> bool:
        """Whether there is something that the client has seen or will see before an error."""
        return self.begun or bool(self._held)
