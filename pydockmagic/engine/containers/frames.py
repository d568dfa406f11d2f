"""Docker's multiplexed stream: frames of ``[stream, 0, 0, 0, length:u32be]`` and that many bytes.

Engine API v1.50, "Attach to a container", "Stream format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["STDERR", "STDIN", "STDOUT", "SYSTEM_ERROR", "Unframed", "frame", "frame_head", "split_frames"]

STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)
_HEAD = struct.Struct(">BxxxI")


def frame_head(stream: int, size: int) -> bytes:
    """Make what goes before the ``size`` bytes of a frame."""
    return _HEAD.pack(stream, size)


def frame(stream: int, data: bytes) -> bytes:
    """Make one frame."""
    return _HEAD.pack(stream, len(data)) + data


class Unframed:
    """Takes the frames off a stream that comes in pieces of any size."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Give what the frames in ``data`` hold."""
        found: list[bytes] = []
        while data:
            if self._left:
                found.append(data[: self._left])
                data, self._left = data[self._left :], self._left - len(found[-1])
                continue
            wanted = _HEAD.size - len(self._head)
            self._head, data = self._head + data[:wanted], data[wanted:]
            if len(self._head) == _HEAD.size:
                self._left = _HEAD.unpack(self._head)[1]
                self._head = b""
        return b"".join(found)


def split_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the frames in ``data``; the last one may be cut off and gives what there is."""
    position = 0
    while position + _HEAD.size <= len(data):
        stream, length = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        yield stream, data[position : position + length]
        position += length
