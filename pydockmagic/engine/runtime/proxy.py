"""Published ports: what connects to a listening socket on the host is relayed to the container's address.

TCP with ``splice`` (the bytes never enter this process), each direction half-closed on its own; UDP with one socket
per peer, forgotten when silent. Standard library only; runs in the supervisor, in its event loop.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from typing import Any, Protocol

from . import wire
from .loop import HANGUP, READ, WRITE, Loop, Timer

__all__ = ["Forward", "TcpForward", "UdpForward", "forward"]

_PIPE_BYTES = 256 * 1024
_UDP_SILENCE = 90.0
_DATAGRAM = 65_535
_BACKOFF = 0.1


class Forward(Protocol):
    """One published port."""

    def move(self, moved: Mapping[str, str]) -> None:
        """Lead to another address from now on, where the one it leads to is among ``moved``."""
        ...

    def close(self) -> None:
        """Take no more connections and end those that are there."""
        ...


def forward(loop: Loop, listener: socket.socket, port: Mapping[str, Any]) -> Forward:
    """Serve a ``PortForward`` on its listening socket."""
    if port["proto"] == "dns":
        from .names import NameServer  # noqa: PLC0415 - only containers on networks of their own need it

        return NameServer(loop, listener, str(port["path"]))
    target = (str(port["target_ip"]), int(port["target_port"]))
    if port["proto"] == "udp":
        return UdpForward(loop, listener, target)
    return TcpForward(loop, listener, target)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class TcpForward:
    """Accepts connections and relays each."""

    def __init__(self, loop: Loop, listener: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        self._relays: set[_Relay] = set()
        listener.setblocking(False)
        loop.watch(listener.fileno(), READ, lambda _events: self._accept())

    def move(self, moved: Mapping[str, str]) -> None:
        """Lead connections that are yet to come elsewhere."""
        self._target = (moved.get(self._target[0], self._target[0]), self._target[1])

    def target_of(self, client: socket.socket) -> tuple[str, int]:  # noqa: ARG002 - it may depend on the client
        """Give where a connection is relayed to. Raises OSError to hang up."""
        return self._target

    def close(self) -> None:
        """Take no more connections and end those that are there."""
        if self._listener.fileno() >= 0:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
        for relay in list(self._relays):
            relay.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # wait, or the loop would spin
                self._loop.change(self._listener.fileno(), 0)
                self._loop.after(_BACKOFF, self._resume)
            return
        try:
            relay = _Relay(self._loop, client, self.target_of(client), self._relays.discard)
        except OSError:
            client.close()
            return
        self._relays.add(relay)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.change(self._listener.fileno(), READ)


class _Relay:
    """One connection: two pumps, one each way."""

    def __init__(self, loop: Loop, client: socket.socket, target: tuple[str, int], on_close: Any) -> None:
        self._loop = loop
        self._client = client
        self._on_close = on_close
        self._server = socket.socket(_family(target[0]), socket.SOCK_STREAM)
        self._pumps: list[_Pump] = []
        self._connected = False
        self._server.setblocking(False)
        client.setblocking(False)
        for end in (client, self._server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = self._server.connect_ex(target)
        if error not in (0, errno.EINPROGRESS):
            self._server.close()
            raise OSError(error, os.strerror(error))
        loop.watch(self._server.fileno(), WRITE, lambda _events: self._ready())

    def close(self) -> None:
        """End both sides."""
        if self._client.fileno() < 0:
            return
        for pump in self._pumps:
            pump.close()
        for end in (self._client, self._server):
            self._loop.forget(end.fileno())
            end.close()
        self._on_close(self)

    def _ready(self) -> None:
        if not self._connected:
            if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close()
                return
            self._connected = True
            try:
                self._pumps = [_Pump(self._client, self._server), _Pump(self._server, self._client)]
            except OSError:  # no descriptors left
                self.close()
                return
        try:
            for pump in self._pumps:
                pump.run()
        except OSError:  # reset by either side
            self.close()
            return
        if all(pump.done for pump in self._pumps):
            self.close()
        else:
            self._watch()

    def _watch(self) -> None:
        there, back = self._pumps
        for end, reader, writer in ((self._client, there, back), (self._server, back, there)):
            events = (READ if reader.wants_input else 0) | (WRITE if writer.wants_output else 0)
            self._loop.watch(end.fileno(), events, self._woken)

    def _woken(self, events: int) -> None:
        if events & HANGUP and not events & (READ | WRITE) and not any(pump.pending for pump in self._pumps):
            self.close()  # gone for good, and nothing left to pass on
            return
        self._ready()


class _Pump:
    """One direction: from a socket into a pipe, from the pipe into the other socket."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self._source = source
        self._target = target
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.pending = 0
        self._ended = False
        self.done = False

    @property
    def wants_input(self) -> bool:
        """Say whether to wait for the source."""
        return not self._ended and not self.pending

    @property
    def wants_output(self) -> bool:
        """Say whether to wait for the target."""
        return bool(self.pending)

    def run(self) -> None:
        """Move what can be moved now. Raises OSError when the connection broke."""
        for _ in range(8):  # then let others have their turn
            if not self.pending and not self._fill():
                break
            if not self._empty():
                break
        if self._ended and not self.pending and not self.done:
            self.done = True
            with contextlib.suppress(OSError):
                self._target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the pipe."""
        wire.close_all([self._out, self._in])

    def _fill(self) -> bool:
        if self._ended:
            return False
        try:
            moved = os.splice(self._source.fileno(), self._in, _PIPE_BYTES, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return False
        if not moved:
            self._ended = True
            return False
        self.pending += moved
        return True

    def _empty(self) -> bool:
        try:
            while self.pending:
                self.pending -= os.splice(self._out, self._target.fileno(), self.pending, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return False
        return True


class UdpForward:
    """Relays datagrams; answers go back to the peer that its socket was made for."""

    def __init__(self, loop: Loop, listener: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        self._peers: dict[Any, tuple[socket.socket, Timer]] = {}
        listener.setblocking(False)
        loop.watch(listener.fileno(), READ, lambda _events: self._from_peer())

    def move(self, moved: Mapping[str, str]) -> None:
        """Lead datagrams elsewhere, also those of peers that are known."""
        if self._target[0] in moved:
            self._target = (moved[self._target[0]], self._target[1])
            for peer in list(self._peers):
                self._forget(peer)

    def close(self) -> None:
        """Relay no more."""
        for peer in list(self._peers):
            self._forget(peer)
        if self._listener.fileno() >= 0:
            self._loop.forget(self._listener.fileno())
            self._listener.close()

    def _from_peer(self) -> None:
        try:
            data, peer = self._listener.recvfrom(_DATAGRAM)
            self._touch(peer).send(data)
        except OSError:  # datagrams may be lost
            return

    def _to_peer(self, peer: Any) -> None:
        with contextlib.suppress(OSError):
            self._listener.sendto(self._touch(peer).recv(_DATAGRAM), peer)

    def _touch(self, peer: Any) -> socket.socket:
        if peer in self._peers:
            server, timer = self._peers[peer]
            timer.cancel()
        else:
            server = socket.socket(_family(self._target[0]), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            server.connect(self._target)
            self._loop.watch(server.fileno(), READ, lambda _events: self._to_peer(peer))
        self._peers[peer] = (server, self._loop.after(_UDP_SILENCE, lambda: self._forget(peer)))
        return server

    def _forget(self, peer: Any) -> None:
        server, timer = self._peers.pop(peer)
        timer.cancel()
        self._loop.forget(server.fileno())
        server.close()
