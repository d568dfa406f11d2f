"""A connection that notices when nobody is at its other end any more.

A daemon may be silent for hours: a build step computes, a log has nothing to say. A connection that a machine, a proxy
or a network dropped without a word looks just the same. So after some seconds of silence the reader asks the daemon
over a connection of its own whether it is there (``GET /_ping``, which every daemon answers at once), and goes on
waiting if it is. On tcp the kernel looks after the one connection itself (RFC 1122, "TCP keep-alives").
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import httpcore
import httpx

__all__ = ["LineTransport", "Silence"]

_KEPT = 8  # idle connections
_PIECE = 65536
_KEPT_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
]

Options = Iterable[Any] | None


class Silence(httpcore.ReadError):
    """Nobody answers any more."""

    is_silence = True


class LineTransport(httpx.HTTPTransport):
    """httpx's own transport, over connections that are looked after.

    ``uds`` is the path of a unix socket, ``tls`` the context for tcp with TLS, ``url`` where the daemon is asked
    whether it is there, and ``patience`` gives the seconds of silence before that.
    """

    def __init__(
        self, *, url: str, patience: Callable[[], float], uds: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(verify=tls if tls is not None else False, uds=uds)

        def ask() -> None:
            _ask(url, patience(), uds=uds, tls=tls)

        self._streams: WeakSet[_Stream] = WeakSet()
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=5.0,
            uds=uds,
            network_backend=_Backend(patience, ask, self._streams.add),
            socket_options=None if uds else _KEPT_ALIVE,
        )

    def wake(self, thread: int) -> None:
        """Break the connection that a thread waits at."""
        for stream in list(self._streams):
            if stream.reader == thread:
                stream.break_off()


def _ask(url: str, patience: float, **way: Any) -> None:
    """Ask the daemon whether it is there. Raises ``Silence`` where it does not say so in time."""
    verify, uds = way["tls"], way["uds"]
    transport = httpx.HTTPTransport(verify=verify if verify is not None else False, uds=uds)
    try:
        with httpx.Client(transport=transport, timeout=patience, trust_env=False) as client:
            client.get(f"{url}/_ping")
    except httpx.TimeoutException:
        seconds = round(2 * patience)
        raise Silence(f"it has not answered for {seconds} second{'' if seconds == 1 else 's'}") from None
    except httpx.TransportError:
        raise Silence("nobody answers there any more") from None


class _Backend(httpcore.NetworkBackend):
    """Opens connections that are looked after."""

    def __init__(
        self, patience: Callable[[], float], ask: Callable[[], None], opened: Callable[[_Stream], None]
    ) -> None:
        self._inner = httpcore.SyncBackend()
        self._opened = opened
        self.patience = patience
        self.ask = ask

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.NetworkStream:
        return self.made(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Options = None
    ) -> httpcore.NetworkStream:
        return self.made(self._inner.connect_unix_socket(path, timeout, socket_options))

    def made(self, inner: httpcore.NetworkStream) -> _Stream:
        stream = _Stream(inner, self)
        self._opened(stream)
        return stream

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """One connection. A time limit that is asked for holds; without one the daemon is asked after a silence."""

    def __init__(self, inner: httpcore.NetworkStream, backend: _Backend) -> None:
        self._inner = inner
        self._backend = backend
        self.reader = 0
        """The thread that waits for bytes now."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.reader = threading.get_ident()
        try:
            if timeout is not None:
                return self._inner.read(max_bytes, timeout)
            while True:
                try:
                    return self._inner.read(max_bytes, self._backend.patience())
                except httpcore.ReadTimeout:
                    self._backend.ask()
        finally:
            self.reader = 0

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        sock: socket.socket | None = self._inner.get_extra_info("socket")
        if timeout is not None or sock is None:
            self._inner.write(buffer, timeout)
            return
        rest = memoryview(buffer)
        while rest:
            sock.settimeout(self._backend.patience())
            try:
                rest = rest[sock.send(rest[:_PIECE]) :]
            except TimeoutError:
                self._backend.ask()
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    def break_off(self) -> None:
        """End the connection under whoever reads it."""
        sock: socket.socket | None = self._inner.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self._backend.made(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
