"""Requests and answers as plain values: what a route is given and what it gives back.

Parameter conventions follow moby's ``httputils``: a flag is false when it is empty, ``0``, ``no``, ``false`` or
``none``; ``filters`` is a JSON object of names to sets of values (Engine API v1.50, "Filters").
"""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from pydockmagic.engine.containers.gojson import syntax_error
from pydockmagic.engine.containers.requests import decode
from pydockmagic.engine.errors import EngineError, InvalidParameter

__all__ = [
    "JSON",
    "MULTIPLEXED",
    "RAW_STREAM",
    "Answer",
    "Body",
    "Duplex",
    "Hijack",
    "Reply",
    "Request",
    "Stream",
    "json_lines",
    "reply_json",
]

JSON = "application/json"
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"

_FALSE = frozenset({"", "0", "no", "false", "none"})
_MAX_JSON = 8 << 20
"""Larger than any real request body, small enough that a stranger cannot fill the memory."""

_NUMBER = re.compile(r"[+-]?[0-9]+")
_DIGITS = 20
_GO_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "bool"}

T = TypeVar("T", bound=msgspec.Struct)


class RequestTooLargeError(EngineError):
    """The JSON body of a request is larger than any real one."""

    status = 413


class Body(Protocol):
    """The body of a request, read as it arrives."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece; an interrupted upload raises."""
        ...


class Request:
    """One request, its path without the version prefix, its query decoded."""

    def __init__(
        self,
        method: str,
        path: str,
        query: Mapping[str, list[str]],
        headers: Mapping[str, str],
        body: Body,
        version: tuple[int, int],
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.version = version
        self.params: Mapping[str, str] = {}
        self._body = body

    def text(self, name: str, default: str = "") -> str:
        """Give the first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def texts(self, name: str) -> list[str]:
        """Give every value of a query parameter."""
        return self.query.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """Read a boolean query parameter the way Docker does."""
        values = self.query.get(name)
        return values[0].strip().lower() not in _FALSE if values else default

    def integer(self, name: str, default: int | None = None) -> int | None:
        """Read a whole number from the query; raise ``InvalidParameter`` for anything else."""
        value = self.text(name)
        if not value:
            return default
        # the sentences are those of Go's strconv, which dockerd hands through
        if not _NUMBER.fullmatch(value):
            raise InvalidParameter(f'strconv.Atoi: parsing "{value}": invalid syntax')
        if len(value) > _DIGITS or not -(1 << 63) <= int(value) < 1 << 63:
            raise InvalidParameter(f'strconv.Atoi: parsing "{value}": value out of range')
        return int(value)

    def filters(self) -> dict[str, list[str]]:
        """Decode the ``filters`` parameter, in today's form (sets as objects) or the old one (lists)."""
        raw = self.text("filters")
        if not raw:
            return {}
        try:
            decoded = msgspec.json.decode(raw.encode(), type=dict[str, dict[str, bool] | list[str]])
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InvalidParameter(f"invalid filter: {error}") from None
        return {
            name: [v for v, chosen in values.items() if chosen] if isinstance(values, dict) else list(values)
            for name, values in decoded.items()
        }

    def chunks(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece."""
        return self._body.chunks()

    async def read(self, limit: int = _MAX_JSON) -> bytes:
        """Read the whole body, at most ``limit`` bytes."""
        parts: list[bytes] = []
        size = 0
        async for chunk in self._body.chunks():
            size += len(chunk)
            if size > limit:
                raise RequestTooLargeError("http: request body too large")
            parts.append(chunk)
        return b"".join(parts)

    async def object(self, *, required: bool = True) -> dict[str, Any]:
        """Read a JSON object from the body; no body is an empty object, unless one is required."""
        raw = await self.read()
        if not raw.strip():
            if required:
                raise InvalidParameter("invalid JSON: got EOF while reading request body")
            return {}
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            # dockerd 20 said it so, and docker-py's tests know the sentence
            raise InvalidParameter(f"Content-Type specified ({kind}) must be '{JSON}'")
        try:
            decoded = _decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            sentence = syntax_error(raw)
            if sentence.endswith("after top-level value"):
                raise InvalidParameter("unexpected content after JSON") from None
            raise InvalidParameter(f"invalid JSON: {sentence}") from None
        if decoded is not None and not isinstance(decoded, dict):
            kind = _GO_KINDS[type(decoded)]
            raise InvalidParameter(f"invalid JSON: json: cannot unmarshal {kind} into Go value of type map[string]any")
        return decoded or {}

    async def parse(self, type_: type[T], *, required: bool = False) -> T:
        """Read the body as a typed request; null members mean "not given", as in Go."""
        return decode(await self.object(required=required), type_)


class Duplex:
    """The raw connection after a hijack: bytes both ways, each direction ended on its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, early: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._early = early
        self.gone = False

    @property
    def left(self) -> bool:
        """Whether the client has gone for good: both halves are closed, where closing one is no more than an end."""
        if self.gone or self._writer.is_closing():
            return True
        connection = self._writer.get_extra_info("socket")
        watched = select.poll()
        watched.register(connection.fileno(), 0)  # POLLHUP and POLLERR are always told
        return bool(watched.poll(0))

    async def read(self, size: int = 65536) -> bytes:
        """Read what the client sent; ``b""`` once it has closed its half."""
        if self._early:
            early, self._early = self._early, b""
            return early
        return await self._reader.read(size)

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client reads too slowly."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            self.gone = True
            raise


class Reply(msgspec.Struct, kw_only=True):
    """A complete answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Stream(msgspec.Struct, kw_only=True):
    """An answer that is produced while it is sent, chunked.

    ``at_once`` sends the head before the first piece is there (wait, events, logs); otherwise an error before the
    first piece still becomes a proper error answer.
    """

    chunks: AsyncIterator[bytes]
    status: int = 200
    content_type: str = JSON
    at_once: bool = False
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Hijack(msgspec.Struct, kw_only=True):
    """The connection changes hands: 101 for a client that asked to upgrade, a bare 200 for one that did not."""

    talk: Callable[[Duplex], Awaitable[None]]
    content_type: str = RAW_STREAM
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What answers the upgrade, where the client's own ``Upgrade`` does not say it all (a WebSocket)."""


Answer = Reply | Stream | Hijack

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def reply_json(value: Any, status: int = 200) -> Reply:
    """Answer with a JSON document, ended by a newline as Docker does."""
    return Reply(status=status, body=_encode(value) + b"\n", content_type=JSON)


async def json_lines(messages: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    r"""Encode progress messages as Docker's JSON stream: one object a line, ended by ``\r\n``.

    An engine error in mid-stream becomes the last message, as ``jsonmessage`` clients expect it.
    """
    begun = False
    try:
        async for message in messages:
            begun = True
            yield _encode(message) + b"\r\n"
    except EngineError as error:
        if not begun:
            raise
        yield _encode({"errorDetail": {"message": str(error)}, "error": str(error)}) + b"\r\n"
    finally:
        # when the client leaves, the work behind the messages ends now, not when the garbage collector finds it
        if isinstance(messages, AsyncGenerator):
            await messages.aclose()
