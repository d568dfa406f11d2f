"""Datagrams out of the sandbox: packet rules send them to a few sockets of the relay, which passes them on outside.

For datagrams the kernel does not tell a socket where one was meant to go, but its connection tracking knows: each is
looked up there (``nfnetlink_conntrack.h``). Several ports take them, because two of a sender's destinations need two.
Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from pydockmagic.engine.runtime.loop import READ, Loop, Timer

from .netlink import attribute, attributes, nested

__all__ = ["Conntrack", "UdpOutbound", "udp_sockets"]

PORTS = 8
"""How many destinations one socket of a container can talk to at the same time."""

_NETFILTER = 12
_REQUEST = 1
_GET, _ERROR = (1 << 8) | 1, 2
_TUPLE_ORIGINAL, _TUPLE_REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_V4_SOURCE, _V4_DESTINATION = 1, 2
_PROTO_NUMBER, _PROTO_SOURCE, _PROTO_DESTINATION = 1, 2, 3
_IP_PKTINFO = 8
_DATAGRAM = 65_535
_SILENCE = 90.0
_MAX_FLOWS = 512
_NO_PORT_LEFT = 100

Address = tuple[str, int]


def udp_sockets() -> list[socket.socket]:
    """Make the sockets at which datagrams arrive, on ports in a row. Raises OSError."""
    for _ in range(_NO_PORT_LEFT):
        sockets: list[socket.socket] = []
        with contextlib.suppress(OSError):
            for number in range(PORTS):
                sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
                sockets[-1].setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
                sockets[-1].bind(("0.0.0.0", sockets[0].getsockname()[1] + number if number else 0))  # noqa: S104
            return sockets
        for taken in sockets:
            taken.close()
    raise OSError(errno.EADDRINUSE, "no ports in a row are free in the sandbox")


class Conntrack:
    """Asks the kernel's connection tracking, by a netlink socket that was opened in the sandbox."""

    def __init__(self, netlink: socket.socket) -> None:
        self._netlink = netlink
        self._sequence = 0
        netlink.settimeout(1.0)

    def meant_for(self, sender: Address, arrived: Address) -> Address | None:
        """Say where a datagram from ``sender`` to ``arrived`` was meant to go; None when that is forgotten."""
        proto = (
            attribute(_PROTO_NUMBER, bytes([socket.IPPROTO_UDP])),
            attribute(_PROTO_SOURCE, struct.pack(">H", arrived[1])),
            attribute(_PROTO_DESTINATION, struct.pack(">H", sender[1])),
        )
        ends = (
            attribute(_V4_SOURCE, socket.inet_aton(arrived[0])),
            attribute(_V4_DESTINATION, socket.inet_aton(sender[0])),
        )
        body = struct.pack(">BBH", socket.AF_INET, 0, 0)
        body += nested(_TUPLE_REPLY, nested(_TUPLE_IP, *ends), nested(_TUPLE_PROTO, *proto))
        self._sequence += 1
        self._netlink.send(struct.pack("=IHHII", 16 + len(body), _GET, _REQUEST, self._sequence, 0) + body)
        while True:
            data = self._netlink.recv(_DATAGRAM)
            length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
            if sequence == self._sequence:
                return None if kind == _ERROR else _original(data[20:length])


def _original(body: bytes) -> Address | None:
    outer = dict(attributes(dict(attributes(body)).get(_TUPLE_ORIGINAL, b"")))
    address = dict(attributes(outer.get(_TUPLE_IP, b""))).get(_V4_DESTINATION)
    port = dict(attributes(outer.get(_TUPLE_PROTO, b""))).get(_PROTO_DESTINATION)
    if address is None or port is None:
        return None
    return socket.inet_ntoa(address[:4]), struct.unpack(">H", port[:2])[0]


class _Flow(NamedTuple):
    """Who talks to whom, and through which of our sockets."""

    number: int
    sender: Address
    local: str
    target: Address


class UdpOutbound:
    """Passes datagrams on, and their answers back."""

    def __init__(self, loop: Loop, listeners: Sequence[socket.socket], conntrack: Conntrack) -> None:
        self._loop = loop
        self._listeners = listeners
        self._conntrack = conntrack
        self._flows: dict[_Flow, tuple[socket.socket, Timer]] = {}
        for number, listener in enumerate(listeners):
            loop.watch(listener.fileno(), READ, partial(self._outward, number))

    def _outward(self, number: int, _events: int) -> None:
        listener = self._listeners[number]
        try:
            data, extra, _, sender = listener.recvmsg(_DATAGRAM, 64)
            local = next(
                socket.inet_ntoa(value[8:12])
                for level, kind, value in extra
                if level == socket.IPPROTO_IP and kind == _IP_PKTINFO
            )
            target = self._conntrack.meant_for(sender, (local, listener.getsockname()[1]))
            if target is not None and _outside(target[0]):
                self._server(_Flow(number, sender, local, target)).send(data)
        except (OSError, StopIteration):  # datagrams may be lost
            return

    def _server(self, flow: _Flow) -> socket.socket:
        if flow in self._flows:
            server, timer = self._flows.pop(flow)
            timer.cancel()
        else:
            if len(self._flows) >= _MAX_FLOWS:
                self._forget(next(iter(self._flows)))
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            server.connect(flow.target)
            self._loop.watch(server.fileno(), READ, lambda _events: self._inward(flow))
        self._flows[flow] = (server, self._loop.after(_SILENCE, lambda: self._forget(flow)))
        return server

    def _inward(self, flow: _Flow) -> None:
        """Send an answer from the address and port that the request came to: the kernel turns them back."""
        with contextlib.suppress(OSError):
            data = self._server(flow).recv(_DATAGRAM)
            source: list[tuple[int, int, Any]] = [
                (socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=I4s4s", 0, socket.inet_aton(flow.local), bytes(4)))
            ]
            self._listeners[flow.number].sendmsg([data], source, 0, flow.sender)

    def _forget(self, flow: _Flow) -> None:
        server, timer = self._flows.pop(flow)
        timer.cancel()
        self._loop.forget(server.fileno())
        server.close()


def _outside(address: str) -> bool:
    """Tell whether an address may be somebody's outside: not the host's own loopback, not a group of many."""
    where = ipaddress.IPv4Address(address)
    return not (where.is_loopback or where.is_unspecified or where.is_multicast or address == "255.255.255.255")
