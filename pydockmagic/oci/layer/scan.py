"""From a layer's directory to its index, its digest and its tar, in one pass.

The directory is in overlayfs form, as a storage driver leaves it: a deleted name is a character device 0:0 (or an
empty file with the ``overlay.whiteout`` attribute), a replaced directory has ``overlay.opaque=y``. The tar is what the
image-spec v1.1 (layer.md) asks for. The same directory always gives the same bytes: sorted names, whole seconds, no
user names, hard links to the first of their names.

Left out, because a layer cannot hold them: sockets, and files and directories whose name begins with ``.wh.``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Protocol

from pydockmagic.oci.errors import LayerError

from .entry import WHITEOUT_PREFIX, Kind, LayerEntry
from .header import END, encode_entry, encode_opaque_marker, padding
from .index import IndexBuilder, ScannedLayer
from .roots import open_beneath, open_root
from .xattrs import read_xattrs

__all__ = ["ScannedLayer", "iter_tar", "scan", "write_tar"]

Owners = Mapping[str, tuple[int, int]]

_CHUNK = 1 << 20
_SMALL = 1 << 17
_KEEP_OPEN = 100
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SPECIAL = {stat.S_IFCHR: Kind.CHARACTER_DEVICE, stat.S_IFBLK: Kind.BLOCK_DEVICE, stat.S_IFIFO: Kind.FIFO}


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


def scan(
    directory: str | os.PathLike[str], *, clamp_ns: int | None = None, owners: Owners | None = None
) -> ScannedLayer:
    """Index a layer directory and compute the digest of its tar, reading every file once.

    ``clamp_ns``: modification times later than this are set to it, in the tar and on disk alike.
    ``owners``: path -> (uid, gid) where the disk does not hold the true owner.
    """
    walk = _Walk(clamp_ns, owners)
    digest = hashlib.sha256()
    for chunk in walk.chunks(directory):
        digest.update(chunk)
    index = walk.builder.index
    return ScannedLayer(index, "sha256:" + digest.hexdigest(), index.content_size)


def iter_tar(
    directory: str | os.PathLike[str], *, clamp_ns: int | None = None, owners: Owners | None = None
) -> Iterator[bytes]:
    """Yield the tar of a layer directory in pieces of about a megabyte: the bytes whose digest `scan` gives."""
    return _Walk(clamp_ns, owners).chunks(directory)


def write_tar(
    directory: str | os.PathLike[str],
    out: BinaryIO | _Writable,
    *,
    clamp_ns: int | None = None,
    owners: Owners | None = None,
) -> ScannedLayer:
    """Write the tar of a layer directory to a file object; gives what `scan` gives."""
    walk = _Walk(clamp_ns, owners)
    digest = hashlib.sha256()
    for chunk in walk.chunks(directory):
        digest.update(chunk)
        out.write(chunk)
    index = walk.builder.index
    return ScannedLayer(index, "sha256:" + digest.hexdigest(), index.content_size)


class _Frame:
    """One directory on the way down: its descriptor, the prefix of its names, the names still to come."""

    __slots__ = ("fd", "names", "path", "prefix")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self.prefix = path + "/" if path else ""
        with os.scandir(fd) as entries:
            # Statting here, through the descriptor, is cheaper than by name later, and the order is settled at once.
            found = [(os.fsencode(entry.name), entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        found.sort(reverse=True)
        self.names = found


class _Walk:
    """A depth-first walk that emits tar bytes and fills an index on the way."""

    def __init__(self, clamp_ns: int | None, owners: Owners | None) -> None:
        self.builder = IndexBuilder()
        self._clamp = clamp_ns
        self._owners = owners
        self._inodes: dict[tuple[int, int], str] = {}
        self._pieces: list[bytes] = []
        self._pending = 0

    def chunks(self, directory: str | os.PathLike[str]) -> Iterator[bytes]:
        """Yield the tar. Directories far above are closed meanwhile, so that depth costs no descriptors."""
        root_fd = open_root(directory)
        stack: list[_Frame] = []
        try:
            if read_xattrs(root_fd)[1]:
                self.builder.index.root_opaque = True
                self._pieces.append(encode_opaque_marker(LayerEntry("", Kind.DIRECTORY)))
            stack.append(_Frame(os.dup(root_fd), ""))
            while stack:
                frame = stack[-1]
                if not frame.names:
                    stack.pop()
                    os.close(frame.fd)
                    continue
                if frame.fd < 0:
                    frame.fd = open_beneath(root_fd, frame.path, os.O_RDONLY | os.O_DIRECTORY)
                _, name, status = frame.names.pop()
                if stat.S_ISDIR(status.st_mode):
                    if name.startswith(WHITEOUT_PREFIX):
                        continue
                    stack.append(self._directory(frame, name, status))
                    if len(stack) > _KEEP_OPEN and stack[-_KEEP_OPEN].fd >= 0:
                        os.close(stack[-_KEEP_OPEN].fd)
                        stack[-_KEEP_OPEN].fd = -1
                elif stat.S_ISREG(status.st_mode):
                    yield from self._file(frame, name, status)
                else:
                    self._other(frame, name, status)
                if self._pending >= _CHUNK:
                    yield self._flush()
            self._pieces.append(END)
            yield self._flush()
        finally:
            for frame in stack:
                if frame.fd >= 0:
                    os.close(frame.fd)
            os.close(root_fd)

    def _flush(self) -> bytes:
        chunk = b"".join(self._pieces)
        self._pieces.clear()
        self._pending = 0
        return chunk

    def _emit(self, entry: LayerEntry) -> None:
        self.builder.add(entry)
        header = encode_entry(entry)
        if entry.opaque:
            header += encode_opaque_marker(entry)
        self._pieces.append(header)
        self._pending += len(header)

    def _owner(self, path: str, status: os.stat_result) -> tuple[int, int]:
        if self._owners is not None and (owner := self._owners.get(path)) is not None:
            return owner
        return status.st_uid, status.st_gid

    def _mtime(self, status: os.stat_result, at: int | str, dir_fd: int | None = None) -> int:
        """Give the whole seconds to write down, after bringing a late time on disk down to the clamp."""
        mtime_ns = status.st_mtime_ns
        if self._clamp is not None and mtime_ns > self._clamp:
            mtime_ns = self._clamp
            if isinstance(at, int):
                os.utime(at, ns=(mtime_ns, mtime_ns))
            else:
                os.utime(at, ns=(mtime_ns, mtime_ns), dir_fd=dir_fd, follow_symlinks=False)
        return mtime_ns // 1_000_000_000

    def _directory(self, frame: _Frame, name: str, status: os.stat_result) -> _Frame:
        path = frame.prefix + name
        fd = os.open(name, _READ | os.O_DIRECTORY, dir_fd=frame.fd)
        try:
            xattrs, opaque, _ = read_xattrs(fd)
            below = _Frame(fd, path)
            self._emit(
                LayerEntry(
                    path,
                    Kind.DIRECTORY,
                    0,
                    status.st_mode & 0o7777,
                    *self._owner(path, status),
                    self._mtime(status, fd),
                    xattrs=xattrs,
                    opaque=opaque,
                )
            )
        except BaseException:
            os.close(fd)
            raise
        return below

    def _linked(self, frame: _Frame, name: str, status: os.stat_result) -> bool:
        """Emit a hard link if another name of this inode was there before; else remember this one."""
        path = frame.prefix + name
        first = self._inodes.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        mtime = self._mtime(status, name, frame.fd)
        owner = self._owner(first, status)
        self._emit(LayerEntry(path, Kind.HARDLINK, 0, status.st_mode & 0o7777, *owner, mtime, first))
        return True

    def _file(self, frame: _Frame, name: str, status: os.stat_result) -> Iterator[bytes]:
        path = frame.prefix + name
        fd = os.open(name, _READ, dir_fd=frame.fd)
        try:
            xattrs, _, whiteout = read_xattrs(fd)
            size = status.st_size
            if whiteout and not size:
                self._emit(LayerEntry(path, Kind.WHITEOUT))
                return
            if name.startswith(WHITEOUT_PREFIX):
                return
            if status.st_nlink > 1 and self._linked(frame, name, status):
                return
            mtime = self._mtime(status, fd)
            owner = self._owner(path, status)
            self._emit(LayerEntry(path, Kind.FILE, size, status.st_mode & 0o7777, *owner, mtime, xattrs=xattrs))
            left = size
            while left:
                data = os.read(fd, min(left, _CHUNK))
                if not data:
                    raise LayerError(f"{path!r} changed as it was read")
                left -= len(data)
                self._pieces.append(data)
                self._pending += len(data)
                if self._pending >= _CHUNK:
                    yield self._flush()
            if fill := padding(size):
                self._pieces.append(bytes(fill))
                self._pending += fill
        finally:
            os.close(fd)

    def _other(self, frame: _Frame, name: str, status: os.stat_result) -> None:
        path = frame.prefix + name
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFCHR and status.st_rdev == 0:
            # overlayfs shares one inode among many whiteouts, so links are not looked at; nor is anything else of it.
            self._emit(LayerEntry(path, Kind.WHITEOUT))
            return
        if name.startswith(WHITEOUT_PREFIX) or kind == stat.S_IFSOCK:
            return
        if status.st_nlink > 1 and self._linked(frame, name, status):
            return
        mode = status.st_mode & 0o7777
        mtime = self._mtime(status, name, frame.fd)
        owner = self._owner(path, status)
        if kind == stat.S_IFLNK:
            target = os.readlink(name, dir_fd=frame.fd)
            self._emit(LayerEntry(path, Kind.SYMLINK, 0, mode, *owner, mtime, target))
            return
        device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind != stat.S_IFIFO else (0, 0)
        self._emit(LayerEntry(path, _SPECIAL[kind], 0, mode, *owner, mtime, device=device))
