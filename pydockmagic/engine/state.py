"""The SQLite store of objects: what must still be true after the engine was killed.

Services keep their records in memory, where every read happens, and mirror each change here. A record is one row
of (kind, key, MessagePack); a transaction writes several rows or none, so an object and the name that points to it
appear together. Writes run on one thread of their own: the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

__all__ = ["Change", "State"]

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""


class Change(msgspec.Struct, frozen=True):
    """One row to write; ``value=None`` deletes it. ``kind`` is the family (``image``, ``container``, ...)."""

    kind: str
    key: str
    value: msgspec.Struct | None = None


class State:
    """The open database. One engine, one ``State``; the caller holds the lock on the data root."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # NORMAL survives the death of the process at any instant (the promise); only a power cut may lose
        # the last transactions, and then whole ones.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_SCHEMA)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._encode = msgspec.msgpack.Encoder().encode

    def load(self, kind: str, type_: type[T]) -> dict[str, T]:
        """Read every record of a kind, by key. For start-up, before requests are served."""
        decode = msgspec.msgpack.Decoder(type_).decode
        rows = self._db.execute("SELECT key, value FROM record WHERE kind = ? ORDER BY key", (kind,))
        return {key: decode(value) for key, value in rows}

    async def put(self, kind: str, key: str, value: msgspec.Struct) -> None:
        """Write one record."""
        await self.write([Change(kind, key, value)])

    async def delete(self, kind: str, key: str) -> None:
        """Delete one record; deleting what is not there is no error."""
        await self.write([Change(kind, key)])

    async def write(self, changes: Sequence[Change]) -> None:
        """Write all changes in one transaction. Records are encoded now, so the caller may go on changing them."""
        rows = [(c.kind, c.key, None if c.value is None else self._encode(c.value)) for c in changes]
        await asyncio.get_running_loop().run_in_executor(self._writer, self._apply, rows)

    def _apply(self, rows: Sequence[tuple[str, str, bytes | None]]) -> None:
        self._db.execute("BEGIN")
        try:
            for kind, key, value in rows:
                if value is None:
                    self._db.execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))
                else:
                    self._db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind, key, value))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Finish the writes that were asked for and close the database."""
        self._writer.shutdown(wait=True)
        self._db.close()
