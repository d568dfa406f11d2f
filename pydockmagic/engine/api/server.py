"""The listening sockets: a private unix socket, or tcp with TLS.

``unix://PATH`` is made with mode 0600. ``tcp://HOST:PORT`` wants a server certificate; a host other than the loopback
also wants client certificates (as Docker's ``--tlsverify``), since whoever reaches the API owns the machine.
``insecure`` allows plain tcp on the loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import ssl
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.runtime.refusal import reason

from .connection import Connection, WatchedReader
from .messages import Request
from .router import Route, Router, split_version

__all__ = ["ApiServer", "TlsFiles"]

_log = logging.getLogger(__name__)

_MAX_UNIX_PATH = 107
_GRACE = 2.0
_STREAM_GRACE = 0.2
_KEEPALIVE = 15
"""Seconds, as of Go's server."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of the server's certificate and key, and of the authority that signs the clients'."""

    cert: str
    key: str
    ca: str = ""

    def context(self) -> ssl.SSLContext:
        """Make the server's TLS context; with ``ca`` only clients that it signed may speak."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        if self.ca:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class ApiServer:
    """Accepts connections and leads each request to its route."""

    def __init__(self, routes: Iterable[Route], headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._router = Router(routes)
        self._servers: list[asyncio.Server] = []
        self._sockets: list[tuple[Path, int]] = []
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._active = 0
        self._last_activity = time.monotonic()

    @property
    def active(self) -> int:
        """How many requests are being served now."""
        return self._active

    @property
    def idle_seconds(self) -> float:
        """How long no request has been served."""
        return 0.0 if self._active else time.monotonic() - self._last_activity

    def route(self, request: Request) -> Route:
        """Find the route of a request (``connection.Handling``)."""
        request.version, request.path = split_version(request.path)
        route, request.params = self._router.find(request.method, request.path)
        return route

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Count one request."""
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._last_activity = time.monotonic()

    async def listen(self, host: str, *, insecure: bool = False, tls: TlsFiles | None = None) -> str:
        """Open one address; give it as a client would write it. Raises ``EngineError``."""
        url = urlsplit(host)
        if url.scheme == "unix":
            path = Path(url.netloc + url.path)
            await self._listen_unix(path)
            return f"unix://{path}"
        if url.scheme == "tcp":
            return await self._listen_tcp(url.hostname or "", url.port, insecure=insecure, tls=tls)
        raise InvalidParameter(f"invalid bind address (only unix:// and tcp:// are served): {host}")

    async def _listen_unix(self, path: Path) -> None:
        if len(os.fsencode(path)) > _MAX_UNIX_PATH:
            raise InvalidParameter(f"unix socket path is longer than {_MAX_UNIX_PATH} bytes: {path}")
        _clear_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # the name appears with its final mode: nobody can connect in between
            before = os.umask(0o177)
            try:
                listener.bind(os.fspath(path))
            except OSError as error:
                said = f"can't create unix socket {path}: listen unix {path}: bind: {reason(error)}"
                raise EngineError(said) from None
            finally:
                os.umask(before)
            loop = asyncio.get_running_loop()
            self._servers.append(await loop.create_unix_server(self._protocol, sock=listener, backlog=512))
        except BaseException:
            listener.close()
            raise
        self._sockets.append((path, os.lstat(path).st_ino))

    async def _listen_tcp(self, host: str, port: int | None, *, insecure: bool, tls: TlsFiles | None) -> str:
        if not host:
            raise InvalidParameter("tcp:// needs an address: tcp://127.0.0.1:PORT")
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if tls is None and not insecure:
            raise InvalidParameter("tcp needs TLS (--tlscert, --tlskey) or --insecure")
        if not loopback and (tls is None or not tls.ca):
            raise InvalidParameter(
                f"refusing to listen on {host}: beyond the loopback, clients must be verified by TLS (--tlscacert)"
            )
        context = tls.context() if tls else None
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._protocol, host, port or 0, ssl=context, backlog=512)
        except OSError as error:
            why = str(error) if isinstance(error, socket.gaierror) else reason(error)
            raise EngineError(f"listen tcp {host}:{port or 0}: bind: {why}") from None
        self._servers.append(server)
        bound = server.sockets[0].getsockname()[1]
        return f"tcp://{f'[{host}]' if ':' in host else host}:{bound}"

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = WatchedReader()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _keep_alive(writer.get_extra_info("socket"))
            connection = Connection(reader, writer, self)
            task = asyncio.get_running_loop().create_task(connection.serve())
            self._connections[task] = connection
            task.add_done_callback(self._ended)

        return asyncio.StreamReaderProtocol(reader, connected)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a connection failed", exc_info=error)

    async def close(self) -> None:
        """Stop listening, let requests in hand finish briefly, and break off the rest."""
        for server in self._servers:
            server.close()
        for path, inode in self._sockets:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
        for task, connection in list(self._connections.items()):
            if connection.idle:
                task.cancel()
        if self._connections:
            await asyncio.wait(list(self._connections), timeout=_STREAM_GRACE)
        for task, connection in list(self._connections.items()):
            if connection.streams:  # events, followed logs, attached terminals: they would never end by themselves
                task.cancel()
        if self._connections:
            await asyncio.wait(list(self._connections), timeout=_GRACE)
        rest = list(self._connections)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=_GRACE)


def _keep_alive(connection: socket.socket) -> None:
    """Have the kernel notice when a client on another machine is gone without a word: its build is to end, too."""
    if connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE)


def _clear_stale(path: Path) -> None:
    """Remove a socket that a killed engine left; refuse one that is in use, and anything that is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidParameter(f"{path} is in the way and is no socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1)
        probe.connect(os.fspath(path))
    except OSError:
        path.unlink(missing_ok=True)
    else:
        raise InvalidParameter(f"{path} is in use by another server")
    finally:
        probe.close()
