"""Noticing that somebody else changes the packet rules: a dockerd that starts after us, a firewall that is turned on.

The kernel tells of every change of nf_tables (iptables is written with them today). Of the older x_tables it tells
nothing: where they are in use, one looks again from time to time.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

__all__ = ["RuleWatch"]

_NETFILTER = 12
_GROUP_NFTABLES = 7
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_SETTLING_SECONDS = 0.3
"""Rules come in numbers: one look when the last of them has come."""
_LOOK_AGAIN_SECONDS = 5.0
_OLD_TABLES = Path("/proc/net/ip_tables_names")


class RuleWatch:
    """Calls ``changed`` after somebody has changed rules; for one event loop, in the host's network namespace."""

    def __init__(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Begin to watch. Raises OSError where the kernel does not tell."""
        self._changed = changed
        self._looked = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETFILTER)
        try:
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._heard)

    async def close(self) -> None:
        """Watch no more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await self._task

    def glance(self) -> None:
        """Look now, where only looking helps and the last look is a while ago; does not wait for it."""
        if time.monotonic() - self._looked > _LOOK_AGAIN_SECONDS and _old_tables():
            self._look_soon()

    def _heard(self) -> None:
        self._drain()
        self._look_soon()

    def _drain(self) -> None:
        """Take what has been told: its contents do not matter. A full queue is an error that says as much."""
        while True:
            try:
                self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:  # the queue was full: read on
                continue

    def _look_soon(self) -> None:
        self._looked = time.monotonic()
        if self._timer is None and self._task is None:
            self._timer = self._loop.call_later(_SETTLING_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        self._task = self._loop.create_task(self._looking())

    async def _looking(self) -> None:
        try:
            await self._changed()
        finally:
            self._task = None
            if self._socket.fileno() >= 0:
                self._drain()  # our own changes are among them


def _old_tables() -> bool:
    try:
        return "filter" in _OLD_TABLES.read_text().split()
    except OSError:
        return False
