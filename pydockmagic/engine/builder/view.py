"""What a process would see through a stack of layers, without mounting them.

Layers are read-only, so nothing changes while it is looked at.
"""

# ruff: noqa: PTH115, PTH208 - walks keep their paths as plain strings, for speed
from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pydockmagic.engine.storage.copying import open_readable, xattrs
from pydockmagic.engine.storage.form import is_opaque, is_whiteout
from pydockmagic.oci.layer.reader import ByteStream

from .tree import Found, Tree

__all__ = ["Seen", "View"]

_PIECE = 1 << 30


@dataclass(frozen=True)
class Seen(Found):
    """One thing that is seen: ``source`` is the file on disk, ``below`` the directories that form a directory."""

    status: os.stat_result
    source: str
    below: tuple[str, ...] = ()

    def read_link(self) -> str:
        """Give a symlink's text."""
        return os.readlink(self.source)

    def open(self) -> AbstractContextManager[ByteStream]:
        """Open the file."""
        return os.fdopen(open_readable(self.source), "rb")

    def write_to(self, descriptor: int) -> None:
        """Copy the content."""
        reader = open_readable(self.source)
        try:
            left = self.status.st_size
            while left > 0 and (count := _copy_piece(reader, descriptor, left)):
                left -= count
        finally:
            os.close(reader)

    def attributes(self) -> Mapping[str, bytes]:
        """Give the extended attributes, without overlayfs's own."""
        return xattrs(self.source)


class View(Tree[Seen]):
    """A stack of directories in overlayfs form, topmost first."""

    def __init__(self, layers: Sequence[Path | str]) -> None:
        self._layers = tuple(os.fspath(layer) for layer in layers)

    def root(self) -> Seen:
        """Give the root directory."""
        below: list[str] = []
        for directory in self._layers:
            below.append(directory)
            if is_opaque(directory):
                break
        if not below:
            return Seen((), os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, 0, 0, 0)), "")
        return Seen((), os.lstat(below[0]), below[0], tuple(below))

    def child(self, directory: Seen, name: str) -> Seen | None:
        """Look one name up in a directory."""
        first: tuple[os.stat_result, str] | None = None
        below: list[str] = []
        for base in directory.below:
            path = f"{base}/{name}"
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if is_whiteout(path, status):
                break
            if not stat.S_ISDIR(status.st_mode):
                if first is None:
                    return Seen((*directory.names, name), status, path)
                break
            first = first or (status, path)
            below.append(path)
            if is_opaque(path):
                break
        return None if first is None else Seen((*directory.names, name), *first, tuple(below))

    def children(self, directory: Seen) -> Iterator[Seen]:
        """Give what is in a directory, sorted by name as bytes."""
        names: set[str] = set()
        for base in directory.below:
            names.update(os.listdir(base))
        for name in sorted(names, key=os.fsencode):
            found = self.child(directory, name)
            if found is not None:
                yield found


def _copy_piece(reader: int, writer: int, size: int) -> int:
    try:
        return os.copy_file_range(reader, writer, min(size, _PIECE))
    except OSError:  # between file systems on old kernels, or refused by a filter
        return os.write(writer, os.read(reader, min(size, 1 << 20)))
