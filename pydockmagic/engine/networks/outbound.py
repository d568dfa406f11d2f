"""The engine's side of the relay: finding the one that serves our sandbox, or starting it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pydockmagic.engine.runtime import wire

from .firewall import Redirects
from .relay import SOCKET, namespace_of
from .relay_udp import udp_sockets

__all__ = ["Outbound", "redirects_of", "relay_sockets"]

_LAUNCH = Path(__file__).with_name("launch_relay.py")
_LOG = "relay.log"
_HELLO_SECONDS = 5.0
_NETFILTER = 12


def relay_sockets() -> list[socket.socket]:
    """Make the sockets at which the relay takes connections, name requests and datagrams (``Redirects``, in its order).

    The last one asks the connection tracking. Called inside the sandbox.
    """
    sockets = []
    for kind, address in (
        (socket.SOCK_STREAM, "0.0.0.0"),  # noqa: S104 - in the sandbox, where only containers are
        (socket.SOCK_DGRAM, "0.0.0.0"),  # noqa: S104
        (socket.SOCK_DGRAM, "127.0.0.1"),
    ):
        listener = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        listener.bind((address, 0))
        sockets.append(listener)
    sockets[0].listen(4096)
    with contextlib.suppress(OSError):  # without connection tracking only name requests go out
        sockets += [*udp_sockets(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)]
    return sockets


def redirects_of(sockets: Sequence[socket.socket]) -> Redirects:
    """Say which ports ``relay_sockets`` are at."""
    tcp, dns, own_dns, *udp = (item.getsockname()[1] for item in sockets if item.family == socket.AF_INET)
    return Redirects(tcp, dns, own_dns, (udp[0], udp[-1]) if udp else (0, 0))


class Outbound:
    """A connection to the relay: while it is open, the relay lives."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = str(run_dir)
        self._connection: socket.socket | None = None

    def find(self, namespace: int) -> Redirects | None:
        """Connect to a running relay, if it serves the network namespace of this number."""
        try:
            connection = wire.connect(self._run_dir, SOCKET)
        except OSError:
            return None
        try:
            connection.settimeout(_HELLO_SECONDS)
            received = wire.Receiver(connection).receive()
            hello = received[0] if received else {}
            if hello.get("namespace") == namespace:
                self._connection = connection
                first, last = hello.get("udp") or (0, 0)
                return Redirects(int(hello["tcp"]), int(hello["dns"]), int(hello["own_dns"]), (int(first), int(last)))
        except (OSError, ValueError, KeyError):
            pass
        connection.close()  # it belongs to a sandbox that is gone, and goes too
        return None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Start a relay with the sockets, which are closed here. Connections that came already are waiting in them.

        Raises OSError.
        """
        try:
            namespace = namespace_of(sockets[0])
            await asyncio.to_thread(self._spawn, [listener.fileno() for listener in sockets])
        finally:
            for listener in sockets:
                listener.close()
        if await asyncio.to_thread(self.find, namespace) is None:
            raise OSError(0, f"the relay did not start; see {self._run_dir}/{_LOG}")

    def close(self) -> None:
        """Let go of the relay: it lives on as long as the zygote does."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _spawn(self, descriptors: Sequence[int]) -> None:
        command = [sys.executable, "-I", "-S", str(_LAUNCH), self._run_dir, *map(str, descriptors)]
        with Path(self._run_dir, _LOG).open("ab") as log:
            subprocess.run(  # it goes into the background, and is nobody's child to wait for
                command, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
