"""Between the event loop, which must not block, and the disk, which does: streams that cross threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

__all__ = ["ThreadStream", "from_thread", "gather"]

_CHUNK = 1 << 18


class ThreadStream:
    """An asynchronous stream read from a worker thread, as a file is (`ByteStream`). Make it on the loop."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Give at most ``size`` bytes; b"" at the end. Blocks: never call it on the loop."""
        while not self._rest:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        data = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return data

    async def _next(self) -> bytes | None:
        return await anext(self._source, None)


async def from_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give what a blocking iterator yields, computed in threads, in pieces large enough to be worth the way."""
    while piece := await asyncio.to_thread(gather, chunks, _CHUNK):
        yield piece


def gather(pieces: Iterator[bytes], size: int) -> bytes:
    """Take pieces until there are ``size`` bytes or more, or no more; empty at the end. Blocks."""
    gathered: list[bytes] = []
    count = 0
    for piece in pieces:
        gathered.append(piece)
        count += len(piece)
        if count >= size:
            break
    return b"".join(gathered)
