"""Bringing one blob in: to a file, its digest checked, going on where a broken transfer stopped."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import BinaryIO

from pydockmagic.engine.errors import EngineError
from pydockmagic.oci.manifest import Descriptor

from .errors import Unreachable, worth_retrying
from .progress import Board
from .repository import Repository
from .threads import in_thread

__all__ = ["ATTEMPTS", "Retrying", "download"]

ATTEMPTS = 5
_STEP = 5
"""Seconds by which each wait is longer than the one before, as in dockerd."""
_PIECE = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-")


class Retrying:
    """Waiting between attempts, a second at a time, told to the reader."""

    def __init__(self, board: Board, second: float = 1.0) -> None:
        self._board = board
        self._second = second

    async def wait(self, identity: str, attempt: int) -> None:
        """Wait after the given failed attempt (from 1)."""
        for left in range(attempt * _STEP, 0, -1):
            self._board.state(identity, f"Retrying in {left} second{'' if left == 1 else 's'}")
            await asyncio.sleep(self._second)


class _Arriving:
    """What has come of a blob so far."""

    def __init__(self, file: BinaryIO, total: int) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._pending: list[bytes] = []
        self._waiting = 0
        self.size = 0
        self.total = total

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    async def take(self, chunk: bytes) -> None:
        """Take a piece; it is hashed and written in a thread once there is enough of it."""
        self.size += len(chunk)
        if self.size > self.total:
            raise EngineError(f"the registry sent more than the {self.total} bytes that the manifest names")
        self._pending.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= _PIECE:
            await self.flush()

    async def flush(self) -> None:
        if self._pending:
            data, self._pending, self._waiting = b"".join(self._pending), [], 0
            await in_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)

    def restart(self) -> None:
        """Begin anew: the registry cannot go on in the middle."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self._pending, self._waiting, self.size = [], 0, 0


async def download(
    repository: Repository, blob: Descriptor, path: Path, identity: str, board: Board, retrying: Retrying
) -> None:
    """Write a blob to ``path``. Raises ``EngineError`` where it does not come, or is not what it should be."""
    with path.open("xb", buffering=0) as file:
        arriving = _Arriving(file, blob.size)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await _attempt(repository, blob, arriving, identity, board)
                break
            except EngineError as error:
                if attempt == ATTEMPTS or not worth_retrying(error):
                    raise
            await arriving.flush()
            await retrying.wait(identity, attempt)
        board.state(identity, "Verifying Checksum")
        if arriving.digest != blob.digest:
            raise EngineError(f"filesystem layer verification failed for digest {blob.digest}")
    board.state(identity, "Download complete")


async def _attempt(repository: Repository, blob: Descriptor, arriving: _Arriving, identity: str, board: Board) -> None:
    if arriving.size < blob.size or not arriving.size:
        response = await repository.blob(blob.digest, arriving.size)
        try:
            if arriving.size and not _continues(response.headers.get("content-range", ""), arriving.size):
                arriving.restart()
            async for chunk in repository.session.transport.raw_chunks(response):
                await arriving.take(chunk)
                board.count(identity, "Downloading", arriving.size, blob.size)
        finally:
            await response.aclose()
    await arriving.flush()
    if arriving.size < blob.size:
        raise Unreachable("unexpected EOF")


def _continues(content_range: str, offset: int) -> bool:
    match = _RANGE.match(content_range)
    return match is not None and int(match[1]) == offset
