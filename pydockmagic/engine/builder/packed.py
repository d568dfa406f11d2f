"""A tar as a tree: its directory in memory, its contents where they lie in the upload.

A context is never unpacked: a hostile one has nothing to escape from, and a build that finds everything in the cache
makes no file at all. Names mean what they would after unpacking: later members replace earlier ones, symlinks on the
way are followed inside the tree, hard links share one content. Device nodes have no place in a context.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import IO

from pydockmagic.oci.errors import TarError, UnsafePath
from pydockmagic.oci.layer import Kind, LayerEntry, TarReader
from pydockmagic.oci.layer.entry import clean_path
from pydockmagic.oci.layer.reader import ByteStream, TarMember
from pydockmagic.oci.layer.xattrs import travels

from .tree import Found, Tree

__all__ = ["Packed", "PackedTree", "Spool"]

_CHUNK = 1 << 20
_TYPES = {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK, Kind.FIFO: stat.S_IFIFO}


class Spool:
    """An upload, in memory or in a file, of which any piece can be read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._memory = file.getvalue() if isinstance(file, io.BytesIO) else None

    def read_at(self, offset: int, size: int) -> bytes:
        """Read a piece."""
        if self._memory is not None:
            return self._memory[offset : offset + size]
        return os.pread(self._file.fileno(), size, offset)


@dataclass
class _Node:
    """A file of the tar; also its attributes, in the words of ``os.stat_result``."""

    st_mode: int
    st_uid: int = 0
    st_gid: int = 0
    st_size: int = 0
    st_mtime_ns: int = 0
    st_nlink: int = 1
    st_ino: int = 0
    st_dev: int = -1
    st_rdev: int = 0
    link: str = ""
    offset: int = 0
    extents: tuple[tuple[int, int], ...] | None = None
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    children: dict[str, _Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Packed(Found):
    """One thing in a tar."""

    status: _Node
    spool: Spool

    def read_link(self) -> str:
        """Give a symlink's text."""
        return self.status.link

    def open(self) -> AbstractContextManager[ByteStream]:
        """Read the content in pieces."""
        return nullcontext(_Pieces(self._pieces()))

    def write_to(self, descriptor: int) -> None:
        """Write the content; the holes of a sparse file are filled."""
        for piece in self._pieces():
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]

    def attributes(self) -> Mapping[str, bytes]:
        """Give the extended attributes that travel."""
        return self.status.xattrs

    def _pieces(self) -> Iterator[bytes]:
        node = self.status
        at, stored = 0, node.offset
        for start, length in ((0, node.st_size),) if node.extents is None else node.extents:
            yield from _zeros(start - at)
            yield from self._stored(stored, length)
            at, stored = start + length, stored + length
        yield from _zeros(node.st_size - at)

    def _stored(self, offset: int, length: int) -> Iterator[bytes]:
        while length > 0:
            data = self.spool.read_at(offset, min(length, _CHUNK))
            if not data:
                raise TarError("unexpected EOF: the archive is cut short")
            yield data
            offset, length = offset + len(data), length - len(data)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, _CHUNK))
        count -= _CHUNK


class _Pieces:
    """An iterator of pieces as something to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Give at most ``size`` bytes."""
        data = self._rest or next(self._pieces, b"")
        self._rest = data[size:]
        return data[:size]


class _Located(TarReader):
    """A reader that knows where in the stream it is."""

    @property
    def offset(self) -> int:
        """Where the current member's data begins, as long as none of it was read."""
        return self.total - (len(self._buffer) - self._position)


class PackedTree(Tree[Packed]):
    """The tree of one plain tar."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the tar's directory from an open file. Blocks. Raises OciError."""
        self._root = _Node(stat.S_IFDIR | 0o755)
        self._spool = Spool(file)
        self._count = 0
        self._head: str | None = ""
        self._parent = self._root
        file.seek(0)
        reader = _Located(file)
        for member in reader:
            self._add(member, reader.offset)

    # -- reading the tar

    def _add(self, member: TarMember, offset: int) -> None:
        entry = member.entry
        path = clean_path(entry.path)
        if not path:
            return
        head, _, name = path.rpartition("/")
        if entry.kind is Kind.HARDLINK:
            node = self._linked(entry)
        elif entry.kind in _TYPES:
            node = self._node(member, offset)
        else:
            return
        if head != self._head:
            self._head, self._parent = head, self._directory(head)
        siblings = self._parent.children
        before = siblings.get(name)
        if before is not None and stat.S_ISDIR(before.st_mode) and stat.S_ISDIR(node.st_mode):
            node.children = before.children
        siblings[name] = node
        if entry.kind is not Kind.FILE or before is not None:
            self._head = None  # the same path may lead elsewhere now

    def _node(self, member: TarMember, offset: int) -> _Node:
        entry = member.entry
        self._count += 1
        return _Node(
            st_mode=_TYPES[entry.kind] | (0o777 if entry.kind is Kind.SYMLINK else entry.mode),
            st_uid=entry.uid,
            st_gid=entry.gid,
            st_size=entry.size,
            st_mtime_ns=member.mtime_ns,
            st_ino=self._count,
            link=entry.linkname,
            offset=offset,
            extents=member.extents,
            xattrs={name: value for name, value in entry.xattrs if travels(name)},
        )

    def _linked(self, entry: LayerEntry) -> _Node:
        target = self.find("/" + clean_path(entry.linkname), follow_last=False)
        if target is None or target.is_dir:
            raise UnsafePath(f"{entry.path!r}: hard link to {entry.linkname!r}, which is not there")
        target.status.st_nlink += 1
        return target.status

    def _directory(self, path: str) -> _Node:
        """Find the directory that a member goes into; what is missing is made."""
        try:
            found, missing = self.resolve(path)
        except OSError:
            raise UnsafePath(f"{path!r} is no directory, yet the archive has entries below it") from None
        node = found.status
        if not stat.S_ISDIR(node.st_mode):
            raise UnsafePath(f"{path!r} is no directory, yet the archive has entries below it")
        for name in missing:
            node.children[name] = _Node(stat.S_IFDIR | 0o755)
            node = node.children[name]
        return node

    # -- looking at it

    def root(self) -> Packed:
        """Give the root directory."""
        return Packed((), self._root, self._spool)

    def child(self, directory: Packed, name: str) -> Packed | None:
        """Look one name up in a directory."""
        node = directory.status.children.get(name)
        return None if node is None else Packed((*directory.names, name), node, self._spool)

    def children(self, directory: Packed) -> Iterator[Packed]:
        """Give what is in a directory, sorted by name as bytes."""
        for name in sorted(directory.status.children, key=os.fsencode):
            yield Packed((*directory.names, name), directory.status.children[name], self._spool)

    def remove(self, found: Packed) -> None:
        """Take something out of the tree."""
        at = self._root
        for name in found.names[:-1]:
            at = at.children[name]
        del at.children[found.names[-1]]
