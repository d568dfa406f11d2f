"""Owners, modes, attributes, times and contents of what is unpacked, in the order that the kernel asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from .entry import Kind, LayerEntry
from .reader import TarMember, TarReader
from .roots import fd_path
from .xattrs import write_xattrs

__all__ = ["Dresser", "Owners", "as_kept", "closing", "write_all", "write_sparse"]

Owners = Literal["disk", "index"] | tuple[int, int]
"""Who owns what is made: the archive's numbers on disk, the archive's numbers in the index only (a disk with one
user), or one given (uid, gid) for all."""

_SECOND = 1_000_000_000
_TIME_LIMIT = (1 << 62) // _SECOND
_SURE_TIME = 1 << 31
"""Times up to here every file system holds; later ones some of them change."""


@contextmanager
def closing(fd: int) -> Iterator[int]:
    """Close a descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


class Dresser:
    """Gives new entries what their archive says, with owners after the caller's choice."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    def owned(self, entry: LayerEntry) -> LayerEntry:
        """Give the entry with the owner that the index tells of."""
        if isinstance(self._owners, tuple):
            return msgspec.structs.replace(entry, uid=self._owners[0], gid=self._owners[1])
        return entry

    def dress(self, fd: int, entry: LayerEntry, mtime_ns: int) -> None:
        """Give an open file or directory its owner, mode, attributes and time; the order matters to the kernel."""
        if self._owners == "disk":
            os.fchown(fd, entry.uid, entry.gid)
        elif isinstance(self._owners, tuple):
            os.fchown(fd, *self._owners)
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            write_xattrs(fd, entry.xattrs, strict=self._owners == "disk")
        os.utime(fd, ns=_times(mtime_ns))

    def dress_plain(self, entry: LayerEntry, parent_fd: int, name: str, mtime_ns: int) -> None:
        """Do the same for what cannot be opened without effects."""
        if self._owners != "index":
            owner = self._owners if isinstance(self._owners, tuple) else (entry.uid, entry.gid)
            os.chown(name, *owner, dir_fd=parent_fd, follow_symlinks=False)
        if entry.kind is not Kind.SYMLINK:
            with closing(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)) as fd:
                os.chmod(fd_path(fd), entry.mode)  # noqa: PTH101 - a descriptor, no path
        os.utime(name, ns=_times(mtime_ns), dir_fd=parent_fd, follow_symlinks=False)


def _times(mtime_ns: int) -> tuple[int, int]:
    seconds = mtime_ns // _SECOND
    if abs(seconds) > _TIME_LIMIT:
        mtime_ns = _TIME_LIMIT * _SECOND * (1 if seconds > 0 else -1)
    return mtime_ns, mtime_ns


def as_kept(entry: LayerEntry, at: int | str, dir_fd: int | None = None) -> LayerEntry:
    """Give the entry with the time that the disk made of its time."""
    if -_SURE_TIME <= entry.mtime < _SURE_TIME:
        return entry
    status = os.fstat(at) if isinstance(at, int) else os.stat(at, dir_fd=dir_fd, follow_symlinks=False)
    return msgspec.structs.replace(entry, mtime=status.st_mtime_ns // _SECOND)


def write_sparse(fd: int, reader: TarReader, member: TarMember) -> None:
    """Copy the pieces of a sparse file; its holes stay holes."""
    assert member.extents is not None
    extents = iter(member.extents)
    room = 0
    for chunk in reader.chunks():
        piece = chunk
        while piece:
            while not room:
                offset, room = next(extents)
                os.lseek(fd, offset, os.SEEK_SET)
            part = piece[:room]
            write_all(fd, part)
            room -= len(part)
            piece = piece[len(part) :]
    os.ftruncate(fd, member.entry.size)


def write_all(fd: int, data: memoryview) -> None:
    """Write bytes to the last."""
    written = os.write(fd, data)
    while written < len(data):
        data = data[written:]
        written = os.write(fd, data)
