"""The SQLite store of objects: what must still be true after the engine was killed.

Services keep their records in memory, where every read happens, and mirror each change here. A record is one row
of (kind, key, MessagePack); a transaction writes several rows or none, so an object and the name that points to it
appear together. Writes run on one thread of their own: the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from .errors import EngineError

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


_LOG_PAGES = 256
_RESERVE = 2 << 20
"""Room for the write-ahead log (``_LOG_PAGES`` of 4 KiB) and as much again for the records."""


class Change(msgspec.Struct, frozen=True):
    """One row to write; ``value=None`` deletes it. ``kind`` is the family (``image``, ``container``, ...)."""

    kind: str
    key: str
    value: msgspec.Struct | None = None


class _Reserve:
    """Space put by, so that on a full disk what ends and what is removed can still be noted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = False
        self.save()

    def save(self) -> None:
        """Put the space by, if it is not yet and can be."""
        if self._held:
            return
        with contextlib.suppress(OSError), self._path.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, _RESERVE)
                self._held = True
            except OSError:
                self._path.unlink()

    def spend(self) -> None:
        """Give the space to whoever needs it now."""
        self._path.unlink(missing_ok=True)
        self._held = False


class State:
    """The open database. One engine, one ``State``; the caller holds the lock on the data root.

    Raises EngineError where the file cannot be read or is no such database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            # NORMAL survives the death of the process at any instant (the promise); only a power cut may lose
            # the last transactions, and then whole ones.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            self._db.execute(_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise self._unreadable(error) from None
        # Only now: the last of a nearly full disk is the database's first.
        self._reserve = _Reserve(path.with_name(f"{path.name}.reserve"))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._encode = msgspec.msgpack.Encoder().encode

    def load(self, kind: str, type_: type[T]) -> dict[str, T]:
        """Read every record of a kind, by key. For start-up, before requests are served. Raises EngineError."""
        decode = msgspec.msgpack.Decoder(type_).decode
        try:
            rows = self._db.execute("SELECT key, value FROM record WHERE kind = ? ORDER BY key", (kind,))
            return {key: decode(value) for key, value in rows}
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> EngineError:
        """Say why there is no start. Nothing is thrown away: the disk may be at fault, or a newer engine wrote it."""
        return EngineError(
            f"open {self._path}: {error}; put a copy of the data root in its place, or choose another data root "
            "(--data-root, PYDOCK_ROOT)"
        )

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
        try:
            self._transact(rows)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            self._reserve.spend()
            try:
                self._transact(rows)
            except sqlite3.OperationalError as again:
                raise EngineError(f"write {self._path}: no space left on device") from again
        else:
            self._reserve.save()

    def _transact(self, rows: Sequence[tuple[str, str, bytes | None]]) -> None:
        self._db.execute("BEGIN")
        try:
            for kind, key, value in rows:
                if value is None:
                    self._db.execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))
                else:
                    self._db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind, key, value))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk ends it by itself
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Finish the writes that were asked for and close the database."""
        self._writer.shutdown(wait=True)
        self._db.close()
