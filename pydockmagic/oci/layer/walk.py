"""The walk that turns a directory tree into tar bytes and an index, depth first, in one pass."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

import msgspec

from pydockmagic.oci.errors import LayerError

from .entry import WHITEOUT_PREFIX, Kind, LayerEntry, sort_names
from .header import BLOCK, END, encode_entry, encode_opaque_marker, padding
from .index import IndexBuilder
from .roots import open_beneath, open_readable
from .xattrs import read_xattrs

__all__ = ["Owners", "TreeWalk", "WalkRules"]

Owners = Mapping[str, tuple[int, int]]
"""Path -> (uid, gid), where the disk holds one user only; what is not in it is root's."""

_CHUNK = 1 << 20
_SMALL = 1 << 18
_KEEP_OPEN = 100
_ROOT = (0, 0)
_PADDINGS = tuple(bytes(padding(size)) for size in range(BLOCK))
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SPECIAL = {stat.S_IFCHR: Kind.CHARACTER_DEVICE, stat.S_IFBLK: Kind.BLOCK_DEVICE, stat.S_IFIFO: Kind.FIFO}


class WalkRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a tree is written down.

    ``layer``: it is in overlayfs form, and whiteouts and opaque marks are understood; else everything is what it seems.
    ``clamp_ns``: later modification times are set to this, on disk too. ``mtime``: all times are written as this.
    ``owners``: a side table of owners; ``owner``: one owner for all.
    """

    layer: bool = True
    clamp_ns: int | None = None
    mtime: int | None = None
    owners: Owners | None = None
    owner: tuple[int, int] | None = None


class _Frame:
    """One directory on the way down: its descriptor, where it lies, the prefix of its names, the names to come."""

    __slots__ = ("fd", "names", "path", "prefix")

    def __init__(self, fd: int, path: str, prefix: str) -> None:
        self.fd = fd
        self.path = path
        self.prefix = prefix
        with os.scandir(fd) as entries:
            # Statting here, through the descriptor, is cheaper than by name later, and the order is settled at once.
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
        self.names = [(name, found[name]) for name in reversed(sort_names(found))]


class TreeWalk:
    """One walk; ``builder`` holds the index of what was passed so far."""

    def __init__(self, rules: WalkRules) -> None:
        self.builder = IndexBuilder()
        self._layer = rules.layer
        self._clamp = rules.clamp_ns
        self._fixed_mtime = rules.mtime
        self._owners = rules.owners
        self._fixed_owner = rules.owner
        self._inodes: dict[tuple[int, int], str] = {}
        self._pieces: list[bytes] = []
        self._pending = 0

    def contents(self, root_fd: int) -> Iterator[bytes]:
        """Yield the tar of what lies in a directory, the directory itself left out."""
        if self._layer and read_xattrs(root_fd)[1]:
            self.builder.index.root_opaque = True
            self._pieces.append(encode_opaque_marker(LayerEntry("", Kind.DIRECTORY)))
        yield from self._descend(root_fd, _Frame(os.dup(root_fd), "", ""))

    def entry(self, root_fd: int, path: str, name: str) -> Iterator[bytes]:
        """Yield the tar of one entry of a tree, with all below it, under another name. ``path`` holds no symlinks."""
        head, _, last = path.rpartition("/")
        parent_fd = open_beneath(root_fd, head, os.O_RDONLY | os.O_DIRECTORY)
        try:
            status = os.stat(last or ".", dir_fd=parent_fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                yield from self._descend(root_fd, self._directory(parent_fd, last or ".", (path, name), status))
                return
            if stat.S_ISREG(status.st_mode):
                fd, left = self._file(parent_fd, last, name, status)
                if left:
                    yield from self._content(fd, left, name)
            else:
                self._plain(parent_fd, last, name, status)
            self._pieces.append(END)
            yield self._flush()
        finally:
            os.close(parent_fd)

    def _descend(self, root_fd: int, top: _Frame) -> Iterator[bytes]:
        """Walk down. Directories far above are closed meanwhile, so that depth costs no descriptors."""
        stack = [top]
        try:
            while stack:
                frame = stack[-1]
                if not frame.names:
                    stack.pop()
                    os.close(frame.fd)
                    if stack and stack[-1].fd < 0:
                        stack[-1].fd = open_beneath(root_fd, stack[-1].path, os.O_RDONLY | os.O_DIRECTORY)
                    continue
                name, status = frame.names.pop()
                if stat.S_ISREG(status.st_mode):
                    fd, left = self._file(frame.fd, name, frame.prefix + name, status)
                    if left:
                        yield from self._content(fd, left, frame.prefix + name)
                elif not stat.S_ISDIR(status.st_mode):
                    self._plain(frame.fd, name, frame.prefix + name, status)
                elif not (self._layer and name.startswith(WHITEOUT_PREFIX)):
                    below = f"{frame.path}/{name}" if frame.path else name
                    stack.append(self._directory(frame.fd, name, (below, frame.prefix + name), status))
                    if len(stack) > _KEEP_OPEN and stack[-_KEEP_OPEN].fd >= 0:
                        os.close(stack[-_KEEP_OPEN].fd)
                        stack[-_KEEP_OPEN].fd = -1
                if self._pending >= _CHUNK:
                    yield self._flush()
            self._pieces.append(END)
            yield self._flush()
        finally:
            for frame in stack:
                if frame.fd >= 0:
                    os.close(frame.fd)

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
        if self._fixed_owner is not None:
            return self._fixed_owner
        if self._owners is not None:
            return self._owners.get(path, _ROOT)
        return status.st_uid, status.st_gid

    def _mtime(self, status: os.stat_result, at: int | str, dir_fd: int | None = None) -> int:
        """Give the whole seconds to write down, after bringing a late time on disk down to the clamp."""
        if self._fixed_mtime is not None:
            return self._fixed_mtime
        mtime_ns = status.st_mtime_ns
        if self._clamp is not None and mtime_ns > self._clamp:
            mtime_ns = self._clamp
            if isinstance(at, int):
                os.utime(at, ns=(mtime_ns, mtime_ns))
            else:
                os.utime(at, ns=(mtime_ns, mtime_ns), dir_fd=dir_fd, follow_symlinks=False)
        return mtime_ns // 1_000_000_000

    def _directory(self, dir_fd: int, name: str, paths: tuple[str, str], status: os.stat_result) -> _Frame:
        disk_path, path = paths
        fd = open_readable(name, _READ | os.O_DIRECTORY, dir_fd, status)
        try:
            xattrs, opaque, _ = read_xattrs(fd)
            frame = _Frame(fd, disk_path, path + "/" if path else "")
            if path:
                self._emit(
                    LayerEntry(
                        path,
                        Kind.DIRECTORY,
                        0,
                        status.st_mode & 0o7777,
                        *self._owner(path, status),
                        self._mtime(status, fd),
                        xattrs=xattrs,
                        opaque=opaque and self._layer,
                    )
                )
        except BaseException:
            os.close(fd)
            raise
        return frame

    def _plain(self, dir_fd: int, name: str, path: str, status: os.stat_result) -> None:
        """Write anything but a directory or a file."""
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFCHR and status.st_rdev == 0 and self._layer:
            # overlayfs shares one inode among many whiteouts, so links are not looked at; nor is anything else of it.
            self._emit(LayerEntry(path, Kind.WHITEOUT))
            return
        if kind == stat.S_IFSOCK or (self._layer and name.startswith(WHITEOUT_PREFIX)):
            return
        if status.st_nlink > 1 and self._linked(dir_fd, name, path, status):
            return
        mode = status.st_mode & 0o7777
        mtime = self._mtime(status, name, dir_fd)
        owner = self._owner(path, status)
        if kind == stat.S_IFLNK:
            self._emit(LayerEntry(path, Kind.SYMLINK, 0, mode, *owner, mtime, os.readlink(name, dir_fd=dir_fd)))
            return
        device = (0, 0) if kind == stat.S_IFIFO else (os.major(status.st_rdev), os.minor(status.st_rdev))
        self._emit(LayerEntry(path, _SPECIAL[kind], 0, mode, *owner, mtime, device=device))

    def _linked(self, dir_fd: int, name: str, path: str, status: os.stat_result) -> bool:
        """Emit a hard link if another name of this inode was there before; else remember this one."""
        first = self._inodes.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        mtime = self._mtime(status, name, dir_fd)
        owner = self._owner(first, status)
        self._emit(LayerEntry(path, Kind.HARDLINK, 0, status.st_mode & 0o7777, *owner, mtime, first))
        return True

    def _file(self, dir_fd: int, name: str, path: str, status: os.stat_result) -> tuple[int, int]:
        """Write a file's header, and its content if that is small; else give its open descriptor and its size."""
        fd = open_readable(name, _READ, dir_fd, status)
        large = False
        try:
            xattrs, _, whiteout = read_xattrs(fd)
            size = status.st_size
            if self._layer and whiteout and not size:
                self._emit(LayerEntry(path, Kind.WHITEOUT))
                return -1, 0
            if self._layer and name.startswith(WHITEOUT_PREFIX):
                return -1, 0
            if status.st_nlink > 1 and self._linked(dir_fd, name, path, status):
                return -1, 0
            mtime = self._mtime(status, fd)
            uid, gid = self._owner(path, status)
            self._emit(LayerEntry(path, Kind.FILE, size, status.st_mode & 0o7777, uid, gid, mtime, "", (0, 0), xattrs))
            if size > _SMALL:
                large = True
                return fd, size
            if size:
                data = os.read(fd, size)
                if len(data) < size:
                    data += _rest(fd, size - len(data), path)
                self._pieces += (data, _PADDINGS[size % BLOCK])
                self._pending += size
            return -1, 0
        finally:
            if not large:
                os.close(fd)

    def _content(self, fd: int, size: int, path: str) -> Iterator[bytes]:
        """Yield a large file's content and close it."""
        try:
            yield self._flush()
            left = size
            while left:
                data = os.read(fd, min(left, _CHUNK))
                if not data:
                    raise LayerError(f"{path!r} changed as it was read")
                left -= len(data)
                yield data
            self._pieces.append(_PADDINGS[size % BLOCK])
        finally:
            os.close(fd)


def _rest(fd: int, size: int, path: str) -> bytes:
    """Read on after a short read; a file that has become shorter cannot be written as it was announced."""
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise LayerError(f"{path!r} changed as it was read")
        data += more
    return data
