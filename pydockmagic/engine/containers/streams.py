"""Moving bytes between a client and a container's process: attach, and the streams of exec.

Engine API v1.50, "Attach to a container". The supervisor speaks Docker's own format, so bytes pass through untouched;
only the detach keys of a terminal are looked for on the way in.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Protocol

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.runtime.driver import AttachRequest

from .container import Container, PendingAttach
from .core import Core
from .frames import STDOUT, Unframed, frame
from .lifecycle import Action

__all__ = ["Attacher", "Client", "DetachKeys", "FramedClient", "UnframedClient", "parse_detach_keys", "pump"]

_CHUNK = 65536
_LOOK_AGAIN = 1.0
"""Seconds between looks whether a client that sends no more is still there: nothing else tells."""
_DEFAULT_KEYS = b"\x10\x11"
"""ctrl-p, ctrl-q"""


class Client(Protocol):
    """The client's side of a hijacked connection."""

    @property
    def gone(self) -> bool:
        """Whether writing to the client has failed."""
        ...

    @property
    def left(self) -> bool:
        """Whether it has gone for good, where an end of its half says only that it sends no more."""
        ...

    async def read(self, size: int = 65536) -> bytes:
        """Read; ``b""`` at the end of the client's half."""
        ...

    async def write(self, data: bytes) -> None:
        """Write."""
        ...


class _Wrapped:
    """A client that gets another form of what is written."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def gone(self) -> bool:
        """Whether writing to the client has failed."""
        return self._client.gone

    @property
    def left(self) -> bool:
        """Whether it has gone for good."""
        return self._client.left

    async def read(self, size: int = _CHUNK) -> bytes:
        """Read; ``b""`` at the end of the client's half."""
        return await self._client.read(size)


class FramedClient(_Wrapped):
    """A client that wants frames, though the process has a terminal."""

    async def write(self, data: bytes) -> None:
        """Write ``data`` as a frame of stdout."""
        await self._client.write(frame(STDOUT, data))


class UnframedClient(_Wrapped):
    """A client that gets both outputs as they are, without frames."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._unframed = Unframed()

    async def write(self, data: bytes) -> None:
        """Write what the frames in ``data`` hold."""
        await self._client.write(self._unframed.feed(data))


def parse_detach_keys(text: str) -> bytes:
    """Read ``ctrl-p,ctrl-q`` or ``ctrl-[,x``; raise ``InvalidParameter``."""
    if not text:
        return _DEFAULT_KEYS
    result = bytearray()
    for key in text.split(","):
        if len(key) == 1:
            result += key.encode("latin-1", "replace")
        elif key.startswith("ctrl-") and len(key) == 6 and key[5] in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            result.append(ord(key[5].upper()) - 64)
        else:
            raise InvalidParameter(f"Invalid detach keys ({text}) provided")
    return bytes(result)


class DetachKeys:
    """Looks for the detach sequence in what is typed, however it is cut into pieces."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Give what may pass on, and whether the sequence is complete; a beginning of it is held back."""
        data = self._held + data
        self._held = b""
        at = data.find(self._keys)
        if at >= 0:
            return data[:at], True
        for length in range(min(len(self._keys) - 1, len(data)), 0, -1):
            if data.endswith(self._keys[:length]):
                self._held = data[-length:]
                return data[:-length], False
        return data, False


async def pump(
    client: Client, stream: socket.socket, *, stdin: bool, ends_stdin: bool, keys: DetachKeys | None = None
) -> bool:
    """Move bytes both ways until the process has ended or the client leaves; tell whether it typed the detach keys.

    ``ends_stdin``: the end of the client's half ends the process's stdin; otherwise it means that the client leaves.
    """
    loop = asyncio.get_running_loop()
    stream.setblocking(False)

    async def outwards() -> bool:
        while data := await loop.sock_recv(stream, _CHUNK):
            await client.write(data)
        return False

    async def inwards() -> bool:
        while data := await client.read(_CHUNK):
            detached = False
            if keys is not None:
                data, detached = keys.feed(data)
            if stdin and data:
                with contextlib.suppress(BrokenPipeError):
                    await loop.sock_sendall(stream, data)
            if detached:
                return True
        if not stdin or ends_stdin:
            if stdin:
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_WR)
            # output goes on, and its end is the pump's
            while not client.left:  # noqa: ASYNC110 - there is no event of it
                await asyncio.sleep(_LOOK_AGAIN)
        return False

    tasks = [asyncio.create_task(outwards()), asyncio.create_task(inwards())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stream.close()
    return any(task.exception() is None and task.result() for task in done)


class Attacher:
    """Connects clients to containers, before their start as well."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def check(self, asked: str, detach_keys: str = "") -> Container:
        """Find a container that can be attached to; raise what stands against it."""
        parse_detach_keys(detach_keys)
        container = self._core.store.get(asked)
        container.check(Action.ATTACH, asked)
        return container

    def prepare(self, container: Container, request: AttachRequest) -> PendingAttach:
        """Ask for a stream: of the running process, or of the next start."""
        config = container.record.config
        request = msgspec.structs.replace(
            request, stdin=request.stdin and config.open_stdin, stdin_once=config.stdin_once and not config.tty
        )
        if not container.record.state.pid:
            return self.promise(container, request)
        pending = PendingAttach(request)
        self._core.spawn(self._connect(container, pending), f"attach to {container.id[:12]}")
        return pending

    async def _connect(self, container: Container, pending: PendingAttach) -> None:
        try:
            pending.give(await self._core.runtime.attach(container.id, pending.request))
        except (ProcessLookupError, EngineError):
            pending.give(None)

    def promise(self, container: Container, request: AttachRequest) -> PendingAttach:
        """Ask for a stream of the next start."""
        pending = PendingAttach(request)
        container.pending.append(pending)
        return pending

    async def attach(self, asked: str, request: AttachRequest) -> socket.socket:
        """Give a connected socket at once, also before the start (for services of the engine)."""
        container = self.check(asked)
        if container.record.state.pid:
            return await self._core.runtime.attach(container.id, request)
        pending = self.promise(container, request)
        near, far = socket.socketpair()
        self._core.spawn(_bridge(pending, far), f"attach to {container.id[:12]}")
        return near

    async def serve(
        self,
        container: Container,
        client: Client,
        request: AttachRequest,
        pending: PendingAttach,
        *,
        detach_keys: str = "",
    ) -> None:
        """Serve an attached client until it or the process ends; the process may not have been started yet."""
        config = container.record.config
        keys = DetachKeys(parse_detach_keys(detach_keys)) if config.tty and request.stdin else None
        try:
            while not pending.stream.done():
                await asyncio.wait({pending.stream}, timeout=_LOOK_AGAIN)
                if client.left:
                    break
            stream = pending.take()
        finally:
            if pending in container.pending:
                container.pending.remove(pending)
        if stream is None:
            return
        ends_stdin = config.stdin_once and not config.tty
        if await pump(client, stream, stdin=request.stdin, ends_stdin=ends_stdin, keys=keys):
            self._core.publish(container, "detach")

    async def resize(self, asked: str, rows: int, columns: int) -> None:
        """Set the size of a container's terminal."""
        container = self._core.store.get(asked)
        container.check(Action.RESIZE, asked)
        with contextlib.suppress(ProcessLookupError):
            await self._core.runtime.resize(container.id, rows, columns)
        self._core.publish(container, "resize", height=str(rows), width=str(columns))


class _SocketClient:
    """One end of a socket pair as a client."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.gone = self.left = False
        self._loop = asyncio.get_running_loop()

    async def read(self, size: int = _CHUNK) -> bytes:
        return await self._loop.sock_recv(self._end, size)

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._end, data)


async def _bridge(pending: PendingAttach, far: socket.socket) -> None:
    far.setblocking(False)
    try:
        stream = await pending.stream
        if stream is not None:
            await pump(_SocketClient(far), stream, stdin=pending.request.stdin, ends_stdin=True)
    finally:
        far.close()
