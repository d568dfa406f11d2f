"""WebSockets for ``/containers/{id}/attach/ws``: RFC 6455, the server's half, as much as streams of bytes need.

Messages have no meaning of their own here: what the client's data frames carry is one stream of bytes, and each piece
of output goes out as one binary frame (Engine API v1.50, "Attach to a container via a websocket").
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import struct
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydockmagic.engine.errors import Forbidden, InvalidParameter

from .messages import Duplex

__all__ = ["WebSocket", "upgrade_headers"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_CONTROL_LIMIT = 125
_PIECE = 65536
_NORMAL, _PROTOCOL_ERROR = 1000, 1002
_KEY_BYTES = 16
_LINGER = 1.0
"""Seconds for the client's goodbye."""


def upgrade_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Check a client's handshake and give the headers that answer it (RFC 6455, 4.2)."""
    if headers.get("upgrade", "").lower() != "websocket":
        raise InvalidParameter("not websocket protocol")
    if headers.get("sec-websocket-version") != "13":
        raise InvalidParameter("missing or bad WebSocket Version")
    key = headers.get("sec-websocket-key", "")
    try:
        valid = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except binascii.Error:
        valid = False
    if not valid:
        raise InvalidParameter("mismatch challenge/response")
    # a page of another site must not reach containers through somebody's browser, which sends no preflight here
    origin = urlsplit(headers.get("origin", "")).netloc
    if origin and origin != headers.get("host", ""):
        raise Forbidden(f"websocket: request from another origin: {headers['origin']}")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    answer = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
    if protocol := headers.get("sec-websocket-protocol", "").partition(",")[0].strip():
        answer["Sec-WebSocket-Protocol"] = protocol
    return answer


class _BadFrameError(Exception):
    """The client broke the protocol."""


class WebSocket:
    """A hijacked connection that talks in frames, as a client of ``containers.streams``."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._buffer = b""
        self._left = 0
        """Bytes of the present data frame that are still to come."""
        self._mask = b""
        self._closed = False
        self._writing = asyncio.Lock()

    @property
    def gone(self) -> bool:
        """Whether writing to the client has failed."""
        return self._duplex.gone

    @property
    def left(self) -> bool:
        """Whether the client has gone for good."""
        return self._closed or self._duplex.left

    async def read(self, size: int = _PIECE) -> bytes:
        """Give what the client sent; ``b""`` once it has closed, or broken the protocol."""
        try:
            while not self._closed:
                if self._left:
                    return await self._payload(min(size, self._left))
                await self._next_frame()
        except (EOFError, _BadFrameError) as error:
            await self.close(_PROTOCOL_ERROR if isinstance(error, _BadFrameError) else _NORMAL)
        return b""

    async def write(self, data: bytes) -> None:
        """Send one piece of output as a binary frame."""
        if data and not self._closed:
            await self._send(_BINARY, data)

    async def close(self, code: int = _NORMAL) -> None:
        """Say goodbye, once."""
        if not self._closed:
            self._closed = True
            await self._send(_CLOSE, struct.pack(">H", code))

    async def finish(self) -> None:
        """Say goodbye and let the client say it too, so that it finds no broken connection."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self.close()
            async with asyncio.timeout(_LINGER):
                while await self._duplex.read(_PIECE):
                    pass

    async def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size <= _CONTROL_LIMIT:
            head = struct.pack(">BB", _FINAL | opcode, size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", _FINAL | opcode, 126, size)
        else:
            head = struct.pack(">BBQ", _FINAL | opcode, 127, size)
        async with self._writing:
            await self._duplex.write(head + payload)

    async def _next_frame(self) -> None:
        """Read the head of the next frame; answer control frames."""
        first, second = await self._exactly(2)
        opcode, size = first & 0x0F, second & 0x7F
        if first & 0x70 or not second & _MASKED or opcode not in (0, 1, 2, 8, 9, 10):
            raise _BadFrameError
        if opcode >= _CLOSE and (size > _CONTROL_LIMIT or not first & _FINAL):
            raise _BadFrameError
        if size > _CONTROL_LIMIT:
            size = int.from_bytes(await self._exactly(2 if size == _CONTROL_LIMIT + 1 else 8))
        self._mask = await self._exactly(4)
        if opcode < _CLOSE:
            self._left = size
            return
        payload = _unmask(await self._exactly(size), self._mask)
        if opcode == _CLOSE:
            await self.close(_NORMAL)
        elif opcode == _PING:
            await self._send(_PONG, payload)

    async def _payload(self, size: int) -> bytes:
        if not self._buffer:
            self._buffer = await self._more()
        masked, self._buffer = self._buffer[:size], self._buffer[size:]
        self._left -= len(masked)
        data = _unmask(masked, self._mask)
        turn = len(masked) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        return data

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += await self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def _more(self) -> bytes:
        data = await self._duplex.read(_PIECE)
        if not data:
            raise EOFError
        return data


def _unmask(data: bytes, mask: bytes) -> bytes:
    """Apply a mask, or take it off."""
    size = len(data)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(whole)).to_bytes(size)
