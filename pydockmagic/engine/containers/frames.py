"""Docker's multiplexed stream: frames of ``[stream, 0, 0, 0, length:u32be]`` and that many bytes.

Engine API v1.50, "Attach to a container", "Stream format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["STDERR", "STDIN", "STDOUT", "SYSTEM_ERROR", "frame", "frame_head", "split_frames"]

STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)
_HEAD = struct.Struct(">BxxxI")


def frame_head(stream: int, size: int) -> bytes:
    """Make what goes before the ``size`` bytes of a frame."""
    return _HEAD.pack(stream, size)


def frame(stream: int, data: bytes) -> bytes:
    """Make one frame."""
    return _HEAD.pack(stream, len(data)) + data


def split_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the frames in ``data``; the last one may be cut off and gives what there is."""
    position = 0
    while position + _HEAD.size <= len(data):
        stream, length = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        yield stream, data[position : position + length]
        position += length
