"""A Docker daemon of a few lines, for tests of clients: it answers what a test scripts and keeps what it was asked.

``fake_daemon`` replaces the network (``httpx.MockTransport``); ``socket_daemon`` is a real socket, for connections that
become streams.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from pydockmagic.client import Client, EngineAddress

__all__ = ["FakeDaemon", "SocketDaemon", "frame", "socket_daemon"]

API = "1.50"


class FakeDaemon:
    """Answers by (method, path without version and query); unknown paths get Docker's 404."""

    def __init__(self, api: str = API) -> None:
        self.api = api
        self.asked: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[Callable[[httpx.Request], httpx.Response]]] = {}

    def on(self, method: str, path: str, answer=None, *, status: int = 200, headers=None, raw: bytes | None = None):
        """Answer a request; several answers to one are given in turn, the last one for ever."""

        def respond(_request: httpx.Request) -> httpx.Response:
            if raw is not None:
                return httpx.Response(status, stream=httpx.ByteStream(raw), headers=headers)
            return (
                httpx.Response(status, json=answer, headers=headers) if answer is not None else httpx.Response(status)
            )

        self._answers.setdefault((method, path), []).append(answer if callable(answer) else respond)
        return self

    def refuse(self, method: str, path: str, status: int, message: str):
        """Answer with an error."""
        return self.on(method, path, {"message": message}, status=status)

    def client(self) -> Client:
        """Give a client of this daemon."""
        return Client(EngineAddress("unix:///fake.sock"), transport=httpx.MockTransport(self._handle))

    @property
    def lines(self) -> list[str]:
        """What was asked, as ``METHOD path?query``, pings left out."""
        found = []
        for request in self.asked:
            path = request.url.raw_path.decode()
            if path != "/_ping":
                found.append(f"{request.method} {path}")
        return found

    def body(self, index: int = -1):
        """The JSON of a request's body."""
        return json.loads([each for each in self.asked if each.url.path != "/_ping"][index].content)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        path = request.url.path
        if path == "/_ping":
            return httpx.Response(200, headers={"Api-Version": self.api} if self.api else {})
        bare = "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path
        waiting = self._answers.get((request.method, bare))
        if not waiting:
            return httpx.Response(404, json={"message": "page not found"})
        return (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)


def frame(stream: int, data: bytes) -> bytes:
    """Give a frame of Docker's multiplexed stream: 1 is stdout, 2 stderr."""
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class SocketDaemon:
    """Takes connections on a unix socket, each in a thread; ``handler(path, connection, rest)`` does the talking."""

    def __init__(self, path: Path, handler: Callable[[str, socket.socket, bytes], None]) -> None:
        self.address = f"unix://{path}"
        self._handler = handler
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        pending = b""
        with connection:
            while True:
                while b"\r\n\r\n" not in pending:
                    try:
                        data = connection.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    pending += data
                head, _, pending = pending.partition(b"\r\n\r\n")
                request, *headers = head.decode().split("\r\n")
                length = next((int(h.split(":")[1]) for h in headers if h.lower().startswith("content-length")), 0)
                while len(pending) < length:
                    pending += connection.recv(65536)
                method, path, _ = request.split(" ")
                pending = pending[length:]
                if path == "/_ping":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nContent-Length: 0\r\n\r\n")
                    continue
                try:
                    self._handler(f"{method} {path}", connection, pending)
                except OSError:
                    return
                if "upgrade" in head.decode().lower():
                    return

    def close(self) -> None:
        """Stop, and end every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in [self._accepting, *self._threads]:
            thread.join(10)


@contextmanager
def socket_daemon(path: Path, handler: Callable[[str, socket.socket, bytes], None]) -> Iterator[SocketDaemon]:
    """Run a daemon on a socket."""
    daemon = SocketDaemon(path, handler)
    try:
        yield daemon
    finally:
        daemon.close()
