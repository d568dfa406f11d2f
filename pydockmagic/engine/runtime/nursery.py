"""The engine's way to the zygote: find the one that lives in the run directory, or start one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydockmagic.engine.errors import EngineError

from . import wire
from .channel import Channel
from .launching import Launch

__all__ = ["Nursery"]


class Nursery:
    """Keeps a connection to the zygote. ``net`` is the network namespace that a new one is to live in (rootless).

    ``launch`` is the first one where it is on its way already.
    """

    def __init__(self, run_dir: Path, python: str, net: int | None, launch: Launch | None = None) -> None:
        self._run_dir = run_dir
        self._python = python
        self._net = net
        self._launch = launch
        self._channel: Channel | None = None
        self._lock = asyncio.Lock()
        self.pid = 0

    async def zygote(self) -> Channel:
        """Give the connection, to a new zygote where the old one has gone. Raises EngineError."""
        async with self._lock:
            if self._channel is not None and self._channel.open:
                return self._channel
            if self._launch is not None:
                await self._launched()
            for _ in range(3):
                try:
                    connection = wire.connect(str(self._run_dir), f"{wire.zygote_name()}.sock")
                except OSError:
                    await self._launched()
                    continue
                channel = Channel(connection)
                try:
                    facts = await channel.request("hello")
                except ConnectionError:  # it was just ending
                    continue
                self._channel, self.pid = channel, facts["pid"]
                return channel
            raise EngineError("the zygote cannot be reached")

    async def supervises(self, container_id: str) -> bool:
        """Say whether the zygote, if one is connected, has a supervisor for a container (or has yet to bury it)."""
        if self._channel is None or not self._channel.open:
            return False
        try:
            return bool(await self._channel.request("supervised", container=container_id))
        except ConnectionError:
            return False

    def close(self) -> None:
        """Let go of the zygote; it ends by itself when nobody needs it."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def _launched(self) -> None:
        launch = self._launch or Launch(self._run_dir, self._python, self._net)
        self._launch = None
        await asyncio.to_thread(launch.wait)
