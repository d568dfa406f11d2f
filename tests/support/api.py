"""A plain client of the Engine API over a unix socket, for tests that look at what is on the wire."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.engine import engine


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["message"]


class Api:
    """Requests to one engine."""

    def __init__(self, address: str, timeout: float = 30) -> None:
        self.path = address.removeprefix("unix://")
        self.timeout = timeout

    def __call__(
        self, method: str, path: str, body: Any = None, /, *, timeout: float | None = None, **query: Any
    ) -> Answer:
        text = "&".join(
            f"{key}={quote(value if isinstance(value, str) else json.dumps(value))}" for key, value in query.items()
        )
        connection = _Connection(self.path, timeout or self.timeout)
        try:
            raw = isinstance(body, bytes)
            content = body if raw else None if body is None else json.dumps(body).encode()
            kind = {} if body is None else {"Content-Type": "application/x-tar" if raw else "application/json"}
            connection.request(method, path + (f"?{text}" if text else ""), content, kind)
            response = connection.getresponse()
            data = b"" if response.status == 101 else response.read()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, data)
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Any:
        answer = self("GET", path, **query)
        assert answer.status == 200, (path, answer)
        return answer.json

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        answer = self("POST", path, body, **query)
        assert answer.status < 400, (path, answer)
        return answer.json if answer.headers.get("content-type", "").startswith("application/json") else None

    def create(self, *command: str, image: str = "busybox", name: str = "", **fields: Any) -> str:
        query = {"name": name} if name else {}
        return self.post("/containers/create", {"Image": image, "Cmd": list(command) or None, **fields}, **query)["Id"]

    def run(self, *command: str, **fields: Any) -> tuple[str, int, str]:
        """Run a container to its end; give its id, exit code and output."""
        container = self.create(*command, **fields)
        self.post(f"/containers/{container}/start")
        code = self.post(f"/containers/{container}/wait")["StatusCode"]
        return container, code, self.logs(container)

    def logs(self, container: str) -> str:
        raw = self("GET", f"/containers/{container}/logs", stdout="1", stderr="1").body
        return b"".join(data for _, data in frames(raw)).decode()

    def state(self, container: str) -> dict[str, Any]:
        return self.get(f"/containers/{container}/json")["State"]

    def pull(self, image: str) -> None:
        answer = self("POST", "/images/create", fromImage=image)
        assert answer.status == 200, answer
        assert b'"error"' not in answer.body, answer

    def clear(self, **query: Any) -> None:
        """Remove every container; ``v="1"`` their volumes as well."""
        for container in self.get("/containers/json", all="1"):
            self("DELETE", f"/containers/{container['Id']}", force="1", **query)

    @contextlib.contextmanager
    def sleeper(self) -> Iterator[str]:
        """Give the id of a container that runs and does nothing."""
        container = self.create("sleep", "600")
        self.post(f"/containers/{container}/start")
        try:
            yield container
        finally:
            self("DELETE", f"/containers/{container}", force="1")

    @contextlib.contextmanager
    def events(self, **query: Any) -> Iterator[queue.Queue[dict[str, Any]]]:
        """Collect events in the background; entered once the engine is streaming."""
        connection = _Connection(self.path, 600)
        text = "&".join(f"{key}={quote(json.dumps(value))}" for key, value in query.items())
        connection.request("GET", "/events" + (f"?{text}" if text else ""))
        response = connection.getresponse()
        assert response.status == 200
        found: queue.Queue[dict[str, Any]] = queue.Queue()

        def read() -> None:
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
                while line := response.readline():
                    found.put(json.loads(line))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            response.close()
            connection.close()

    def upgrade(self, path: str, body: Any = None) -> tuple[socket.socket, bytes]:
        """Take a connection over; give the socket, and the head of the answer."""
        taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        taken.settimeout(self.timeout)
        taken.connect(self.path)
        content = b"" if body is None else json.dumps(body).encode()
        taken.sendall(
            f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = b""
        while b"\r\n\r\n" not in head:
            data = taken.recv(1)
            assert data, head
            head += data
        return taken, head


@contextlib.contextmanager
def served(folder: Path, options: Sequence[str] = ()) -> Iterator[Api]:
    """Serve an engine that has busybox; whatever containers are left go with it."""
    with engine(folder, options) as address:
        api = Api(address)
        api.pull("busybox")
        yield api
        api.clear(v="1")
        assert api.get("/info")["Containers"] == 0


def frames(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Split Docker's multiplexed stream."""
    position = 0
    while position + 8 <= len(raw):
        stream, length = struct.unpack_from(">BxxxI", raw, position)
        yield stream, raw[position + 8 : position + 8 + length]
        position += 8 + length


def read_all(taken: socket.socket) -> bytes:
    """Read a taken connection to its end and close it."""
    data = b""
    while chunk := taken.recv(65536):
        data += chunk
    taken.close()
    return data
