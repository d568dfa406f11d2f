"""Docker's multiplexed streams: frames of attach, exec and logs for containers without a terminal.

Engine API v1.50, ``ContainerAttach``, "Stream format": eight header bytes (kind, three zeros, big-endian length), then
the payload. With a terminal there are no frames: everything is stdout.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from .errors import StreamInterrupted

__all__ = ["Demultiplexer", "Frame", "StreamName"]

StreamName = Literal["stdin", "stdout", "stderr"]
_NAMES: tuple[StreamName, ...] = ("stdin", "stdout", "stderr")
_HEADER = 8
_SYSTEM_ERROR = 3


class Frame(NamedTuple):
    """A piece of output and the stream that it came from."""

    stream: StreamName
    data: bytes


class Demultiplexer:
    """Take bytes as they come from the wire, give frames as soon as they are known.

    A long frame is given out in the pieces in which it arrives: nothing is held back.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._left = 0
        self._kind = 1

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames, or parts of frames, that these bytes complete."""
        data = self._pending + data
        self._pending = b""
        while data:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                yield self._frame(piece)
                continue
            if len(data) < _HEADER:
                self._pending = data
                return
            self._kind = data[0]
            if self._kind > _SYSTEM_ERROR or data[1:4] != b"\0\0\0":
                raise StreamInterrupted(f"Unrecognized input header: {data[0]}")
            self._left = int.from_bytes(data[4:_HEADER], "big")
            data = data[_HEADER:]

    def _frame(self, piece: bytes) -> Frame:
        if self._kind == _SYSTEM_ERROR:
            raise StreamInterrupted(f"error from daemon in stream: {piece.decode(errors='replace')}")
        return Frame(_NAMES[self._kind], piece)
