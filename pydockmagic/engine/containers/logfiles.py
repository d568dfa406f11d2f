"""The files of one log: the one that is written to, and those that were rotated away, compressed or not.

A rotated file changes its name again and again, and when it is compressed its inode too; ``LogPart`` knows it all the
same, so that a reader finds its place again.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from pydockmagic.engine.runtime.logs import GZIP_HEAD

__all__ = ["LogPart", "log_files"]

_CHUNK = 1 << 18
_UNPACKED_IN_MEMORY = 32 << 20


def log_files(path: Path) -> list[Path]:
    """Give the log's files, oldest first; rotated ones may be compressed (``FILE.2.gz``)."""
    rotated: dict[int, Path] = {}
    # no glob: each name would be compiled, and remembered
    for found in path.parent.iterdir() if path.parent.is_dir() else ():
        if not found.name.startswith(f"{path.name}."):
            continue
        number = found.name[len(path.name) + 1 :].removesuffix(".gz")
        if number.isdecimal() and (int(number) not in rotated or not found.name.endswith(".gz")):
            rotated[int(number)] = found
    return [rotated[number] for number in sorted(rotated, reverse=True)] + ([path] if path.exists() else [])


class LogPart(NamedTuple):
    """One of a log's files: what tells it apart from the others, whatever it is called by now."""

    path: Path
    number: int
    """Its inode, as it was while it was written to."""
    packed: tuple[int, int] | None
    """Inode and time of the compressed file."""

    @classmethod
    def of(cls, path: Path) -> LogPart:
        """Look at a file; raise ``FileNotFoundError`` when it has been moved meanwhile."""
        if path.suffix != ".gz":
            return cls(path, path.stat().st_ino, None)
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            head = file.read(len(GZIP_HEAD) + 21)
        number = head[len(GZIP_HEAD) :].partition(b"\0")[0]
        return cls(path, int(number) if number.isdigit() else 0, (status.st_ino, status.st_mtime_ns))

    def open(self) -> BinaryIO:
        """Open it; a compressed one is unpacked, beyond some size on disk. Raises ``FileNotFoundError``."""
        if self.packed is None:
            file = self.path.open("rb")
            if os.fstat(file.fileno()).st_ino == self.number:
                return file
            file.close()
            raise FileNotFoundError(self.path)
        with gzip.open(self.path, "rb") as packed:
            unpacked = tempfile.SpooledTemporaryFile(_UNPACKED_IN_MEMORY)  # noqa: SIM115 - given to the caller
            shutil.copyfileobj(packed, unpacked, _CHUNK)
        unpacked.seek(0)
        return cast("BinaryIO", unpacked)

    def is_now(self, other: LogPart) -> bool:
        """Tell whether this file, which is held open or was read to its end, is that one by now."""
        return self.packed == other.packed if self.packed else self.number == other.number
