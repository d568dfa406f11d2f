"""Copying trees from one root into another, for ``COPY``, ``ADD`` and ``docker cp``: neither root can be left.

Which name goes where, and what a symlink at either end means, is the caller's to decide (with `resolve_in_root`);
here the named entry is copied under the new name with everything below it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from .roots import fd_path, make_parents_in_root, open_beneath, open_readable, remove_entry, resolve_in_root
from .xattrs import read_xattrs, write_xattrs

__all__ = ["CopyRules", "copy_into_root"]

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FAST_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM}


class CopyRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy takes over and what it is given.

    ``owner`` (uid, gid), ``mode`` and ``mtime_ns`` replace what the source has; None keeps it. ``chown=False`` leaves
    owners alone (a disk with one user). ``devices``: whether device nodes are made; without, they are left out.
    """

    owner: tuple[int, int] | None = None
    mode: int | None = None
    mtime_ns: int | None = None
    chown: bool = True
    devices: bool = True


class _Level:
    """One pair of directories being copied: descriptors, paths, and the names still to do."""

    __slots__ = ("fresh", "names", "source", "source_fd", "status", "target", "target_fd")

    def __init__(self, source_fd: int, target_fd: int, paths: tuple[str, str], *, fresh: bool) -> None:
        self.source_fd, self.target_fd = source_fd, target_fd
        self.source, self.target = paths
        self.fresh = fresh
        """Whether the target's mode, owner and time are ours to set."""
        self.status = os.fstat(source_fd)
        self.names = sorted(os.listdir(source_fd), key=os.fsencode, reverse=True)


def copy_into_root(
    source_root: int, source: str, target_root: int, target: str, rules: CopyRules | None = None
) -> list[tuple[str, str]]:
    """Copy a file or a directory tree; roots are open descriptors. Gives (source, target) of every entry made.

    Symlinks above either end are followed inside their root; the last component is taken as itself, and a file or
    link in the target's place is replaced. A directory that exists keeps its own mode, owner and time at the top, and
    is merged into; below, it takes over those of the source. Missing directories above the target are made (0755).

    Raises ``IsADirectoryError`` for a file onto a directory, ``NotADirectoryError`` the other way round.
    """
    source = resolve_in_root(source_root, source, follow_last=False)
    target = resolve_in_root(target_root, target, follow_last=False)
    return _Copy(rules or CopyRules()).run(source_root, source, target_root, target)


class _Copy:
    """One run of `copy_into_root`."""

    def __init__(self, rules: CopyRules) -> None:
        self._rules = rules
        self._links: dict[tuple[int, int], str] = {}
        self._done: list[tuple[str, str]] = []
        self._target_root = -1

    def run(self, source_root: int, source: str, target_root: int, target: str) -> list[tuple[str, str]]:
        self._target_root = target_root
        head, _, name = target.rpartition("/")
        source_head, _, source_name = source.rpartition("/")
        owner = (self._rules.owner or (0, 0)) if self._rules.chown else None
        _, made = make_parents_in_root(target_root, head, owner=owner, mtime_ns=self._rules.mtime_ns)
        self._done += [("", directory) for directory in made]
        with ExitStack() as stack:
            parent = open_beneath(source_root, source_head, _DIRECTORY)
            stack.callback(os.close, parent)
            target_parent = open_beneath(target_root, head, _DIRECTORY)
            stack.callback(os.close, target_parent)
            status = os.stat(source_name or ".", dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                top = self._enter((parent, source_name or "."), (target_parent, name or "."), (source, target))
                self._tree(top)
            else:
                self._entry((parent, source_name, source), (target_parent, name, target), status)
        return self._done

    def _enter(self, source: tuple[int, str], target: tuple[int, str], paths: tuple[str, str]) -> _Level:
        """Open a directory on both sides, making it on the target's."""
        target_fd, name = target
        fresh = False
        if name != ".":
            try:
                os.mkdir(name, 0o700, dir_fd=target_fd)
                fresh = True
            except FileExistsError:
                pass
        below = os.open(name, _DIRECTORY, dir_fd=target_fd)
        try:
            source_fd = os.open(source[1], _DIRECTORY, dir_fd=source[0])
        except BaseException:
            os.close(below)
            raise
        if fresh:
            self._done.append(paths)
        return _Level(source_fd, below, paths, fresh=fresh)

    def _tree(self, top: _Level) -> None:
        stack = [top]
        try:
            while stack:
                level = stack[-1]
                if not level.names:
                    if level.fresh:
                        xattrs = read_xattrs(level.source_fd)[0]
                        self._dress(level.target_fd, level.status, xattrs)
                    stack.pop()
                    os.close(level.source_fd)
                    os.close(level.target_fd)
                    continue
                name = level.names.pop()
                status = os.stat(name, dir_fd=level.source_fd, follow_symlinks=False)
                paths = (_join(level.source, name), _join(level.target, name))
                if stat.S_ISDIR(status.st_mode):
                    below = self._enter((level.source_fd, name), (level.target_fd, name), paths)
                    if not below.fresh:
                        below.fresh = True
                        self._done.append(paths)
                    stack.append(below)
                else:
                    self._entry((level.source_fd, name, paths[0]), (level.target_fd, name, paths[1]), status)
        finally:
            for level in stack:
                os.close(level.source_fd)
                os.close(level.target_fd)

    def _entry(self, source: tuple[int, str, str], target: tuple[int, str, str], status: os.stat_result) -> None:
        """Copy anything but a directory."""
        source_fd, source_name, source_path = source
        target_fd, name, path = target
        kind = stat.S_IFMT(status.st_mode)
        is_device = kind in {stat.S_IFCHR, stat.S_IFBLK}
        if kind == stat.S_IFSOCK or (is_device and not self._rules.devices):
            return
        _clear(target_fd, name)
        self._done.append((source_path, path))
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                self._link(first, target_fd, name)
                return
        if kind == stat.S_IFREG:
            self._file(source_fd, source_name, status, (target_fd, name))
            return
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(source_name, dir_fd=source_fd), name, dir_fd=target_fd)
        elif kind == stat.S_IFIFO:
            os.mkfifo(name, 0o600, dir_fd=target_fd)
        else:
            os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=target_fd)
        self._dress_plain(target_fd, name, status)

    def _link(self, first: str, target_fd: int, name: str) -> None:
        head, _, first_name = first.rpartition("/")
        first_fd = open_beneath(self._target_root, head, _DIRECTORY)
        try:
            os.link(first_name, name, src_dir_fd=first_fd, dst_dir_fd=target_fd, follow_symlinks=False)
        finally:
            os.close(first_fd)

    def _file(self, source_fd: int, source_name: str, status: os.stat_result, target: tuple[int, str]) -> None:
        target_fd, name = target
        with ExitStack() as stack:
            reading = open_readable(source_name, _READ, source_fd, status)
            stack.callback(os.close, reading)
            status = os.fstat(reading)
            writing = os.open(name, _NEW_FILE, 0o600, dir_fd=target_fd)
            stack.callback(os.close, writing)
            for offset, length in _extents(reading, status):
                _copy_range(reading, writing, offset, length)
            os.ftruncate(writing, status.st_size)
            self._dress(writing, status, read_xattrs(reading)[0])

    def _dress(self, fd: int, status: os.stat_result, xattrs: tuple[tuple[str, bytes], ...]) -> None:
        rules = self._rules
        if rules.chown:
            os.fchown(fd, *(rules.owner or (status.st_uid, status.st_gid)))
        os.fchmod(fd, status.st_mode & 0o7777 if rules.mode is None else rules.mode)
        write_xattrs(fd, xattrs, strict=rules.chown)
        mtime_ns = status.st_mtime_ns if rules.mtime_ns is None else rules.mtime_ns
        os.utime(fd, ns=(mtime_ns, mtime_ns))

    def _dress_plain(self, target_fd: int, name: str, status: os.stat_result) -> None:
        rules = self._rules
        if rules.chown:
            owner = rules.owner or (status.st_uid, status.st_gid)
            os.chown(name, *owner, dir_fd=target_fd, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target_fd)
            try:
                mode = status.st_mode & 0o7777 if rules.mode is None else rules.mode
                os.chmod(fd_path(fd), mode)  # noqa: PTH101 - a descriptor, no path
            finally:
                os.close(fd)
        mtime_ns = status.st_mtime_ns if rules.mtime_ns is None else rules.mtime_ns
        os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=target_fd, follow_symlinks=False)


def _join(head: str, name: str) -> str:
    return f"{head}/{name}" if head else name


def _clear(target_fd: int, name: str) -> None:
    """Remove what a copy replaces; a directory is never replaced by a file."""
    if not name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "/")
    try:
        status = os.stat(name, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    remove_entry(target_fd, name)


def _extents(fd: int, status: os.stat_result) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of a file's data; holes are left out."""
    if status.st_blocks * 512 >= status.st_size:
        yield 0, status.st_size
        return
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                raise
            return  # nothing but a hole follows
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end - start


def _copy_range(source: int, target: int, offset: int, length: int) -> None:
    """Copy bytes at the same offset, inside the kernel where it can."""
    try:
        while length:
            copied = os.copy_file_range(source, target, length, offset, offset)
            if not copied:
                break
            offset, length = offset + copied, length - copied
    except OSError as exc:
        if exc.errno not in _NO_FAST_COPY:
            raise
    # Some file systems copy nothing without an error; what is left is copied by hand.
    while length and (data := os.pread(source, min(length, _CHUNK), offset)):
        view = memoryview(data)
        while view:
            written = os.pwrite(target, view, offset)
            view, offset, length = view[written:], offset + written, length - written
