"""Answers that go on for a while: JSON streams, byte streams and hijacked connections.

All of them can be closed from another thread: closing shuts the socket down, which wakes a reader that blocks in
``recv`` (closing the HTTP response alone does not).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from .errors import ClientError, ConnectionLost, StreamInterrupted
from .frames import Demultiplexer, Frame

if TYPE_CHECKING:
    import socket

    import httpx

    from .address import EngineAddress

__all__ = ["ByteStream", "FrameStream", "Hijacked", "JsonStream", "PendingAnswer"]

T = TypeVar("T")
_CHUNK = 65536
_OUR_WAY, _BOTH_WAYS = 1, 2  # socket.SHUT_WR and SHUT_RDWR, without loading sockets before they are needed


class _Open(Generic[T]):
    """What all open answers share: the response, closing from anywhere, iteration once."""

    def __init__(self, response: httpx.Response, address: EngineAddress | None = None) -> None:
        self._response = response
        self._address = address
        self._closed = threading.Event()

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers."""
        return self._response.headers

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the stream; may be called from any thread, any number of times."""
        if self._closed.is_set():
            return
        self._closed.set()
        shut_down(self._response)
        self._response.close()

    def _bytes(self) -> Iterator[bytes]:
        import httpx  # noqa: PLC0415 - already loaded by whoever made the response

        try:
            yield from self._response.iter_raw()
        except httpx.TransportError as error:
            if not self._closed.is_set():
                raise lost(self._address, error) from error
        except (httpx.StreamError, RuntimeError):
            if not self._closed.is_set():
                raise
        finally:
            self._response.close()

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lost(address: EngineAddress | None, error: BaseException) -> ConnectionLost:
    """Say that the connection is lost; of the HTTP library's reasons only our own (``line.py``) is one for people."""
    reasons = [each for each in (error, error.__cause__) if getattr(each, "is_silence", False)]
    reason = str(reasons[0]) if reasons else ""
    return ConnectionLost(reason=reason) if address is None else address.lost(reason)


def shut_down(response: httpx.Response) -> None:
    """Shut the response's socket down, so that whoever reads it wakes up."""
    stream = response.extensions.get("network_stream")
    if stream is None:
        return
    sock = stream.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(_BOTH_WAYS)


class ByteStream(_Open[bytes]):
    """Raw bytes as they arrive: an image archive, an exported file system."""

    def __iter__(self) -> Iterator[bytes]:
        return self._bytes()


class JsonStream(_Open[dict[str, Any]]):
    """One JSON object after another: events, build, pull and push progress, statistics."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        decoder = json.JSONDecoder()
        pending = ""
        text = _Utf8()
        for data in self._bytes():
            pending += text.feed(data)
            pending, objects = _take_objects(decoder, pending)
            yield from objects
        if pending.strip() and not self.closed:
            raise StreamInterrupted("the daemon ended the stream in the middle of a message")


class _Utf8:
    """Decode UTF-8 that may be cut anywhere."""

    def __init__(self) -> None:
        import codecs  # noqa: PLC0415

        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        return self._decoder.decode(data)


def _take_objects(decoder: json.JSONDecoder, text: str) -> tuple[str, list[dict[str, Any]]]:
    """Split off the complete JSON objects at the front of the text."""
    objects: list[dict[str, Any]] = []
    start = 0
    while True:
        while start < len(text) and text[start] in " \t\r\n\x1e":
            start += 1
        if start == len(text):
            return "", objects
        try:
            value, start = decoder.raw_decode(text, start)
        except ValueError:
            return text[start:], objects
        objects.append(value)


class FrameStream(_Open[Frame]):
    """A log: frames where the container has no terminal, else plain stdout."""

    def __init__(self, response: httpx.Response, address: EngineAddress | None = None, *, tty: bool) -> None:
        super().__init__(response, address)
        self._tty = tty

    def __iter__(self) -> Iterator[Frame]:
        if self._tty:
            yield from (Frame("stdout", data) for data in self._bytes())
            return
        frames = Demultiplexer()
        for data in self._bytes():
            yield from frames.feed(data)


class PendingAnswer(_Open[bytes]):
    """An answer whose header came and whose body is still awaited, as of ``wait``."""

    def result(self) -> Any:
        """Block until the body is complete and return its JSON."""
        body = b"".join(self._bytes())
        if not body:
            raise lost(self._address, EOFError())
        try:
            return json.loads(body)
        except ValueError as error:
            raise StreamInterrupted("the daemon ended the wait in the middle of its answer") from error

    def __iter__(self) -> Iterator[bytes]:
        return self._bytes()


class Hijacked:
    """A connection taken over by ``attach`` or ``exec``: read frames, write stdin, close either direction.

    Reading and writing may happen in different threads, and ``close`` in a third.
    """

    def __init__(
        self,
        response: httpx.Response,
        address: EngineAddress | None = None,
        *,
        tty: bool,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._response = response
        self._address = address
        self._stream = response.extensions["network_stream"]
        kind = response.headers.get("content-type", "")
        self.tty = False if kind == "application/vnd.docker.multiplexed-stream" else tty
        self._closed = threading.Event()
        self._on_close = on_close

    @property
    def socket(self) -> socket.socket | None:
        """The socket below, where there is one (for ``select``)."""
        sock: socket.socket | None = self._stream.get_extra_info("socket")
        return sock

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    def read(self, timeout: float | None = None) -> bytes:
        """Return the next bytes off the wire, frames and all; empty at the end.

        Raises ``TimeoutError`` where nothing comes for ``timeout`` seconds.
        """
        import httpcore  # noqa: PLC0415 - already loaded by whoever made the response

        try:
            data: bytes = self._stream.read(_CHUNK, timeout=timeout)
        except httpcore.ReadTimeout:
            raise TimeoutError from None
        except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
            if self._closed.is_set() or isinstance(error.__context__, ConnectionResetError):
                return b""
            raise lost(self._address, error) from error
        return data

    def frames(self) -> Iterator[Frame]:
        """Yield output until the container closes it; everything is stdout where there is a terminal."""
        frames = Demultiplexer()
        while data := self.read():
            if self.tty:
                yield Frame("stdout", data)
            else:
                yield from frames.feed(data)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def write(self, data: bytes) -> None:
        """Send bytes to the container's standard input."""
        import httpcore  # noqa: PLC0415

        try:
            self._stream.write(data, timeout=None)
        except (httpcore.NetworkError, OSError) as error:
            raise StreamInterrupted("the container closed its standard input") from error

    def close_stdin(self) -> None:
        """Say that no more input comes (a half-close); output goes on."""
        sock = self.socket
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(_OUR_WAY)

    def close(self) -> None:
        """Let go of the connection; wakes whoever reads it. The container goes on."""
        if self._closed.is_set():
            return
        self._closed.set()
        shut_down(self._response)
        with contextlib.suppress(OSError, ClientError, RuntimeError):
            self._stream.close()
        with contextlib.suppress(RuntimeError):
            self._response.close()
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
