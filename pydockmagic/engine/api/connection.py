"""One client connection: h11 decides what the bytes mean, asyncio moves them.

RFC 9112 (HTTP/1.1). A hijacked connection (Engine API, "Attach to a container") leaves HTTP for good: h11 hands over
what it has read beyond the request, and the rest is the route's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs, unquote

import h11

from pydockmagic.engine.errors import EngineError

from .messages import Duplex, Hijack, Reply, Request, Stream, reply_json
from .router import Route

__all__ = ["Connection", "Handling", "WatchedReader"]

_log = logging.getLogger(__name__)

_READ = 65536
_MAX_HEAD = 1 << 20
"""Go's default limit for a request's head."""
_DRAIN = 262_144
_LINGER = 0.5
"""Seconds, as Go's server waits."""
_VERSIONS = (b"1.0", b"1.1")
_NO_BODY = frozenset({204, 304})
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class WatchedReader(asyncio.StreamReader):
    """A stream reader that says at once when the client has gone, even while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=_READ)
        self.gone = False
        self.watcher: asyncio.Task[None] | None = None

    def feed_eof(self) -> None:
        """Note the end of the client's half; break off work that only serves this client."""
        super().feed_eof()
        self._leave()

    def set_exception(self, exc: BaseException) -> None:
        """Note a broken connection."""
        super().set_exception(exc)  # type: ignore[arg-type]  # typeshed: Exception, asyncio passes what it got
        self._leave()

    def _leave(self) -> None:
        self.gone = True
        if self.watcher is not None:
            self.watcher.cancel()


class UnsupportedVersionError(EngineError):
    """A version of HTTP that is not spoken here."""

    status = 505


class Handling(Protocol):
    """What a connection needs of the server."""

    headers: Mapping[str, str]

    def route(self, request: Request) -> Route:
        """Find the route, setting the request's parameters and version."""
        ...

    def busy(self) -> contextlib.AbstractContextManager[None]:
        """Count a request that is being served."""
        ...


class Connection:
    """Serves the requests of one connection, one after the other, until either side closes it."""

    def __init__(self, reader: WatchedReader, writer: asyncio.StreamWriter, server: Handling) -> None:
        self._reader = reader
        self._writer = writer
        self._server = server
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self.idle = True
        self.streams = False
        """Whether the answer is one that goes on: a stream, or a connection that was taken over."""

    async def serve(self) -> None:
        """Serve until the connection ends."""
        try:
            while True:
                event = await self._next_event()
                if not isinstance(event, h11.Request):
                    return
                self.idle = False
                with self._server.busy():
                    again = await self._exchange(event)
                self.idle, self.streams = True, False
                if not again:
                    return
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
        except (ConnectionError, TimeoutError, h11.LocalProtocolError) as error:
            _log.debug("connection broken: %s", error)
        finally:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await self._linger()
            self._writer.close()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await self._writer.wait_closed()

    async def _linger(self) -> None:
        """Let a client that is still sending read the answer: closing at once would reset the connection."""
        if (
            self._h11.their_state not in (h11.SEND_BODY, h11.ERROR)
            or self._reader.gone
            or not self._writer.can_write_eof()
        ):
            return
        self._writer.write_eof()
        async with asyncio.timeout(_LINGER):
            while await self._reader.read(_READ):
                pass

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # NEED_DATA is excluded above
            if self._h11.they_are_waiting_for_100_continue:
                await self._write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])))
            self._h11.receive_data(await self._reader.read(_READ))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body of the request in hand (``messages.Body``)."""
        while self._h11.their_state is h11.SEND_BODY:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("the client closed the connection within a request")
            else:
                return

    async def _exchange(self, event: h11.Request) -> bool:
        """Answer one request; tell whether the connection may be used again."""
        path, query = _split_target(event.target.decode("ascii", "replace"))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        request = Request(event.method.decode("ascii"), path, query, headers, self, (0, 0))
        waits = False
        try:
            if event.http_version not in _VERSIONS:
                raise UnsupportedVersionError("unsupported protocol version")  # noqa: TRY301 - answered below
            route = self._server.route(request)
            waits = route.waits
            with self._watched(waits):
                answer = await route.handler(request)
                if isinstance(answer, Stream):
                    return await self._stream(request, answer)
            if isinstance(answer, Hijack):
                await self._hijack(request, answer)
                return False
            return await self._send(request, answer)
        except EngineError as error:
            return await self._send(request, _error_reply(error))
        except asyncio.CancelledError:
            if waits and self._reader.gone:
                return False  # the client went away, and its work with it
            raise
        except (ConnectionError, h11.RemoteProtocolError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours is an answer too, and logged
            _log.exception("%s %s failed", request.method, request.path)
            return await self._send(request, reply_json({"message": f"{type(error).__name__}: {error}"}, 500))

    @contextlib.contextmanager
    def _watched(self, waits: bool) -> Iterator[None]:
        """Cancel the block when the client goes away, if its work serves nobody else."""
        task = asyncio.current_task()
        if not waits or task is None:
            yield
            return
        if self._reader.gone and self._h11.their_state is not h11.SEND_BODY:
            raise ConnectionResetError("the client is gone")
        self._reader.watcher = task
        try:
            yield
        finally:
            self._reader.watcher = None
            if self._reader.gone and task.cancelling():
                task.uncancel()

    async def _write(self, data: bytes | None) -> None:
        if data:
            self._writer.write(data)
            await self._writer.drain()

    def _head(self, status: int, content_type: str, extra: Mapping[str, str]) -> h11.Response:
        headers = {**self._server.headers, "Date": formatdate(usegmt=True), **extra}
        if content_type:
            headers["Content-Type"] = content_type
        return h11.Response(status_code=status, headers=list(headers.items()), reason=_REASONS.get(status, b""))

    async def _send(self, request: Request, reply: Reply) -> bool:
        if self._h11.our_state not in (h11.SEND_RESPONSE, h11.IDLE):
            return False  # half an answer is out already: only closing tells the client
        extra = dict(reply.headers)
        if reply.status not in _NO_BODY:
            extra.setdefault("Content-Length", str(len(reply.body)))
        whole = self._h11.they_are_waiting_for_100_continue is False and await self._drain_body()
        if not whole:
            extra["Connection"] = "close"
        data = self._h11.send(self._head(reply.status, reply.content_type, extra)) or b""
        if reply.body and request.method != "HEAD" and reply.status not in _NO_BODY:
            data += self._h11.send(h11.Data(data=reply.body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        await self._write(data)
        return self._again()

    async def _drain_body(self) -> bool:
        """Read past the rest of a small body, so that the connection can go on; tell whether it ended."""
        left = _DRAIN
        async for chunk in self.chunks():
            left -= len(chunk)
            if left < 0:
                return False
        return True

    def _again(self) -> bool:
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        return False

    async def _stream(self, request: Request, answer: Stream) -> bool:
        chunks = answer.chunks
        self.streams = True
        try:
            first = None if answer.at_once else await anext(chunks, b"")
            head = self._h11.send(self._head(answer.status, answer.content_type, answer.headers)) or b""
            if first:
                head += self._h11.send(h11.Data(data=first)) or b""
            await self._write(head)
            if request.method != "HEAD":
                async for chunk in chunks:
                    if chunk:
                        await self._write(self._h11.send(h11.Data(data=chunk)))
        finally:
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()
        await self._write(self._h11.send(h11.EndOfMessage()))
        return await self._drain_body() and self._again()

    async def _hijack(self, request: Request, answer: Hijack) -> None:
        """Leave HTTP: answer 101 if the client asked to upgrade, else the old way, a 200 without length."""
        self.streams = True
        await self._drain_body()
        # an upgrade request pauses h11 with the body read; asking once more makes that state official
        early, _ = self._h11.trailing_data
        headers = {**self._server.headers, "Content-Type": answer.content_type}
        if request.headers.get("upgrade"):
            headers |= {"Connection": "Upgrade", "Upgrade": request.headers["upgrade"], **answer.headers}
            start = b"HTTP/1.1 101 UPGRADED\r\n"
        else:
            start = b"HTTP/1.1 200 OK\r\n"
        head = start + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1") + b"\r\n"
        await self._write(head)
        await answer.talk(Duplex(self._reader, self._writer, bytes(early)))
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer a request that is no HTTP."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = f"{error.error_status_hint} Bad Request: {error}".encode()
        head = h11.Response(
            status_code=error.error_status_hint,
            headers=[
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ],
        )
        with contextlib.suppress(h11.LocalProtocolError, ConnectionError):
            data = (self._h11.send(head) or b"") + (self._h11.send(h11.Data(data=body)) or b"")
            await self._write(data + (self._h11.send(h11.EndOfMessage()) or b""))


def _split_target(target: str) -> tuple[str, dict[str, list[str]]]:
    """Split a request's target (RFC 9112, section 3.2), in origin form or with scheme and host, and decode it."""
    if not target.startswith("/"):
        _, _, rest = target.partition("://")
        slash = rest.find("/")
        target = rest[slash:] if slash >= 0 else target
    path, _, query = target.partition("?")
    return unquote(path), parse_qs(query, keep_blank_values=True)


def _error_reply(error: EngineError) -> Reply:
    if error.status == 304:
        return Reply(status=304)
    return reply_json({"message": str(error)}, error.status)
