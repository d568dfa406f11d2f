"""The way out of the sandbox: a small process in the host's network that makes the containers' connections for them.

Rootless, nothing is routed out of the sandbox's network namespace. Packet rules there hand every outbound TCP
connection and every name request to sockets of this process; it asks the kernel where a connection was meant to go and
connects there from outside. Nothing of the host's own loopback can be reached. Other datagrams go by ``relay_udp.py``;
ICMP has no way out.

Started by ``launch_relay.py``; outlives the engine for as long as the zygote of the run directory lives. Standard
library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import signal
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydockmagic.engine.runtime import linux, wire
from pydockmagic.engine.runtime.loop import READ, Loop
from pydockmagic.engine.runtime.proxy import TcpForward, UdpForward

from .relay_udp import Conntrack, UdpOutbound

__all__ = ["SOCKET", "main", "namespace_of"]

SOCKET = "relay.sock"

_SO_ORIGINAL_DST = 80
_SIOCGSKNS = 0x894C
_RESOLV_CONF = Path("/etc/resolv.conf")
_DNS = 53
_LOOK_AGAIN_SECONDS = 5.0
_HELLO_SECONDS = 5.0


class Outbound(TcpForward):
    """Accepts connections that were meant for somebody outside, and relays each to whom it was meant for."""

    def __init__(self, loop: Loop, listener: socket.socket, resolver: Resolver) -> None:
        super().__init__(loop, listener, ("", 0))
        self._own = listener.getsockname()[1]
        self._resolver = resolver

    def target_of(self, client: socket.socket) -> tuple[str, int]:
        """Give where the client wanted to go. Raises OSError to hang up."""
        packed = client.getsockopt(socket.IPPROTO_IP, _SO_ORIGINAL_DST, 16)
        port, address = struct.unpack_from("!2xH4s", packed)
        where = ipaddress.IPv4Address(address)
        if port == self._own or where.is_loopback or where.is_unspecified or where.is_multicast:
            raise OSError(errno.EHOSTUNREACH, "this address is not to be reached from the sandbox")
        return (self._resolver.address, _DNS) if port == _DNS else (str(where), port)


class Resolver:
    """The host's first name server, looked up again when resolv.conf changes (a laptop that moves, a VPN)."""

    def __init__(self, loop: Loop, listeners: Sequence[socket.socket]) -> None:
        self._loop = loop
        self._listeners = listeners
        self._seen: Any = None
        self.address = ""
        self._forwards: list[UdpForward] = []
        self._look()

    def _look(self) -> None:
        try:
            status = _RESOLV_CONF.stat()
            seen = (status.st_mtime_ns, status.st_ino)
        except OSError:
            seen = (0, 0)
        if seen != self._seen:
            self._seen = seen
            self._use(_first_nameserver())
        self._loop.after(_LOOK_AGAIN_SECONDS, self._look)

    def _use(self, address: str) -> None:
        if address == self.address:
            return
        self.address = address
        for forward in self._forwards:
            forward.close()
        self._forwards = [UdpForward(self._loop, socket_.dup(), (address, _DNS)) for socket_ in self._listeners]


def _first_nameserver() -> str:
    try:
        text = _RESOLV_CONF.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and "%" not in words[1]:
            return words[1]
    return "127.0.0.1"  # what resolver(3) takes


class Relay:
    """The process: it ends when no engine is connected and the zygote is gone."""

    def __init__(self, run_dir: str, sockets: Sequence[socket.socket]) -> None:
        """``sockets`` are those of ``outbound.relay_sockets``."""
        tcp, dns, own_dns, *datagrams = sockets
        self._run_dir = run_dir
        self._path = Path(run_dir, SOCKET)
        self._loop = Loop()
        self._facts: dict[str, Any] = {
            "namespace": namespace_of(tcp),
            "tcp": tcp.getsockname()[1],
            "dns": dns.getsockname()[1],
            "own_dns": own_dns.getsockname()[1],
        }
        if datagrams:
            *listeners, netlink = datagrams
            self._facts["udp"] = [listeners[0].getsockname()[1], listeners[-1].getsockname()[1]]
            self._datagrams = UdpOutbound(self._loop, listeners, Conntrack(netlink))
        self._outbound = Outbound(self._loop, tcp, Resolver(self._loop, (dns, own_dns)))
        self._engines: set[int] = set()
        self._zygote = -1
        self._listener = wire.listen(run_dir, SOCKET)
        self._inode = self._path.stat().st_ino
        self._loop.watch(self._listener.fileno(), READ, lambda _events: self._accept())
        self._loop.after(20.0, self._maybe_end)

    def run(self) -> None:
        """Relay until nobody needs it."""
        self._loop.run()
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:  # not that of a relay that came after us
                self._path.unlink()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        number = connection.detach()
        self._engines.add(number)
        self._loop.watch(number, READ, lambda _events: self._heard(number))
        with socket.socket(fileno=os.dup(number)) as answering:
            wire.send(answering, {"pid": os.getpid(), **self._facts})

    def _heard(self, number: int) -> None:
        """Note the end of an engine: it says nothing else."""
        self._loop.forget(number)
        self._engines.discard(number)
        os.close(number)
        self._maybe_end()

    def _maybe_end(self) -> None:
        if self._engines:
            return
        if self._zygote >= 0:
            return
        pid = _zygote_pid(self._run_dir)
        try:
            self._zygote = os.pidfd_open(pid) if pid else -1
        except OSError:
            self._zygote = -1
        if self._zygote < 0:
            self._loop.stop()
            return
        self._loop.watch(self._zygote, READ, lambda _events: self._zygote_ended())

    def _zygote_ended(self) -> None:
        self._loop.forget(self._zygote)
        os.close(self._zygote)
        self._zygote = -1
        self._maybe_end()


def namespace_of(listener: socket.socket) -> int:
    """Give the number (inode) of the network namespace that a socket belongs to."""
    namespace = fcntl.ioctl(listener, _SIOCGSKNS)
    try:
        return os.fstat(namespace).st_ino
    finally:
        os.close(namespace)


def _zygote_pid(run_dir: str) -> int:
    """Ask a zygote of the run directory for its pid; 0 when none lives."""
    for path in sorted(Path(run_dir).glob("zygote-*.sock")):
        try:
            with wire.connect(run_dir, path.name) as connection:
                connection.settimeout(_HELLO_SECONDS)
                wire.send(connection, {"id": 1, "op": "hello"})
                answer = wire.Receiver(connection).receive()
                if answer:
                    return int(answer[0]["ok"]["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return 0


def main(arguments: list[str]) -> None:
    """Start the relay in the background; return once it listens. The descriptors were bound inside the sandbox."""
    relay = Relay(arguments[0], [socket.socket(fileno=int(text)) for text in arguments[1:]])
    if os.fork():
        return
    os.setsid()
    linux.set_name("pydock-relay")
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    relay.run()
