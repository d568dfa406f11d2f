"""Opening paths inside a root that somebody else may have filled, without ever leaving it.

Whatever a path says (``..``, absolute symlinks, links that change under our feet), it is looked up as a process
chrooted into the root would see it. Linux's openat2 does that in the kernel; where it is missing, or where the way
taken must be known, the same walk is made here, one component at a time, each opened relative to the directory before
and never through a symlink.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pydockmagic.oci.errors import UnsafePath

__all__ = [
    "fd_path",
    "make_parents_in_root",
    "open_beneath",
    "open_in_root",
    "open_readable",
    "open_root",
    "parent_in_root",
    "remove_children",
    "remove_entry",
    "resolve_in_root",
]

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_MAX_LINKS = 40
_MISSING = {errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EAGAIN}


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(root_fd: int, path: str, flags: int, mode: int, resolve: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, resolve | _RESOLVE_NO_MAGICLINKS)
    call = _libc().syscall
    for _ in range(8):  # EAGAIN: somebody renamed on the way, try again
        fd: int = call(_OPENAT2, root_fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in {errno.EAGAIN, errno.EINTR}:
            break
    raise OSError(code, os.strerror(code), path)


@functools.cache
def has_openat2() -> bool:
    """Tell whether the kernel has openat2 and no filter refuses it."""
    try:
        os.close(_openat2(-100, ".", os.O_PATH, 0, 0))
    except OSError:
        return False
    return True


def fd_path(fd: int) -> str:
    """Name an open file for the system calls that take no descriptor."""
    return f"/proc/self/fd/{fd}"


def open_root(directory: str | os.PathLike[str]) -> int:
    """Open a directory to use as a root; its own path is trusted and may hold symlinks."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_beneath(root_fd: int, path: str, flags: int, mode: int = 0o666) -> int:
    """Open a path below a directory through real directories only; a symlink anywhere on it gives ``ELOOP``.

    The last component is never followed either; ``O_PATH | O_NOFOLLOW`` opens a symlink itself.
    """
    path = path or "."
    if has_openat2():
        resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS
        if flags & os.O_PATH and flags & os.O_NOFOLLOW:
            # The kernel lets O_PATH|O_NOFOLLOW open a trailing symlink even here.
            return _openat2(root_fd, path, flags, mode, resolve)
        return _openat2(root_fd, path, flags | os.O_NOFOLLOW, mode, resolve)
    *parents, last = path.split("/")
    fd = root_fd
    try:
        for part in parents:
            if part == "..":
                raise UnsafePath(f"{path!r} is outside of the root")
            fd = _step(fd, root_fd, part)
        if last == "..":
            raise UnsafePath(f"{path!r} is outside of the root")
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
    finally:
        if fd != root_fd:
            os.close(fd)


def _step(fd: int, root_fd: int, name: str) -> int:
    try:
        below = os.open(name or ".", _DIRECTORY, dir_fd=fd)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise
    if fd != root_fd:
        os.close(fd)
    return below


def resolve_in_root(root_fd: int, path: str, *, follow_last: bool = True) -> str:
    """Give the path without symlinks that ``path`` means inside the root (relative, "" for the root itself).

    What does not exist yet is taken as it stands. Raises ``OSError`` (ELOOP, ENOTDIR) as the kernel would.
    """
    names: list[str] = []
    fds: list[int] = []
    pending = path.split("/")[::-1]
    links = 0
    try:
        while pending:
            name = pending.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                if names:
                    names.pop()
                    if len(fds) > len(names):
                        os.close(fds.pop())
                continue
            if len(fds) < len(names):  # below something that does not exist
                names.append(name)
                continue
            here = fds[-1] if fds else root_fd
            try:
                mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
            except FileNotFoundError:
                names.append(name)
                continue
            more = any(part not in {"", "."} for part in pending)
            if stat.S_ISLNK(mode) and (follow_last or more):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.readlink(name, dir_fd=here)
                if target.startswith("/"):
                    _close(fds)
                    names.clear()
                pending += target.split("/")[::-1]
                continue
            if more:
                fds.append(os.open(name, _DIRECTORY, dir_fd=here))
            names.append(name)
        return "/".join(names)
    finally:
        _close(fds)


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0o666) -> int:
    """Open a path as a process whose root is ``root_fd`` would; ``O_NOFOLLOW`` spares a last symlink as usual."""
    path = path.lstrip("/") or "."
    if has_openat2() and not flags & os.O_CREAT:
        return _openat2(root_fd, path, flags, mode, _RESOLVE_IN_ROOT)
    resolved = resolve_in_root(root_fd, path, follow_last=not flags & os.O_NOFOLLOW)
    return open_beneath(root_fd, resolved, flags, mode)


def open_readable(name: str, flags: int, dir_fd: int, status: os.stat_result) -> int:
    """Open an entry for reading although its mode may not let its owner read, which only matters to ordinary users.

    Some programs are installed to be run but not read (mode 4111). The mode is back before this returns.
    """
    try:
        return os.open(name, flags, dir_fd=dir_fd)
    except PermissionError:
        if status.st_uid != os.geteuid() or stat.S_ISLNK(status.st_mode):
            raise
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    mode = stat.S_IMODE(status.st_mode)
    try:
        os.chmod(fd_path(handle), mode | stat.S_IRUSR)  # noqa: PTH101 - a descriptor, no path
        try:
            return os.open(name, flags, dir_fd=dir_fd)
        finally:
            os.chmod(fd_path(handle), mode)  # noqa: PTH101 - a descriptor, no path
    finally:
        os.close(handle)


@contextmanager
def parent_in_root(root_fd: int, path: str) -> Iterator[tuple[int, str]]:
    """Open the directory that holds ``path``, symlinks on the way followed inside the root; gives it and the name."""
    head, _, name = path.strip("/").rpartition("/")
    if name in {"", ".", ".."}:
        raise UnsafePath(f"{path!r} names no entry of a directory")
    fd = open_in_root(root_fd, head, os.O_PATH | os.O_DIRECTORY)
    try:
        yield fd, name
    finally:
        os.close(fd)


def make_parents_in_root(
    root_fd: int, path: str, mode: int = 0o755, owner: tuple[int, int] | None = None, mtime_ns: int | None = None
) -> tuple[str, list[str]]:
    """Make a directory with all that is missing above it; symlinks on the way are followed inside the root.

    Gives the path without symlinks and the directories that were made, top first.
    """
    resolved = resolve_in_root(root_fd, path)
    made: list[str] = []
    names = resolved.split("/") if resolved else []
    fd = os.dup(root_fd)
    try:
        for depth, name in enumerate(names, 1):
            with suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=fd)
                made.append("/".join(names[:depth]))
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = below
            if made and made[-1] == "/".join(names[:depth]):
                if owner is not None:
                    os.fchown(fd, *owner)
                os.fchmod(fd, mode)  # mkdir's mode went through the umask
        if mtime_ns is not None:
            for directory in reversed(made):
                below = open_beneath(root_fd, directory, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.utime(below, ns=(mtime_ns, mtime_ns))
                finally:
                    os.close(below)
    finally:
        os.close(fd)
    return resolved, made


def remove_entry(parent_fd: int, name: str) -> bool:
    """Remove an entry of a directory with everything below it, following nothing; False if there was none."""
    try:
        os.unlink(name, dir_fd=parent_fd)
    except FileNotFoundError:
        return False
    except (IsADirectoryError, PermissionError) as exc:  # EISDIR on Linux; EPERM is POSIX's answer for a directory
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
        except NotADirectoryError:
            raise exc from None
        try:
            remove_children(fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent_fd)
    return True


def remove_children(directory_fd: int) -> None:
    """Empty a directory, following nothing. Goes down without recursion: a hostile tree may be very deep."""
    stack: list[tuple[int, str]] = [
        (os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory_fd), "")
    ]
    try:
        while stack:
            fd, name = stack[-1]
            below = _remove_plain(fd)
            if below is not None:
                stack.append(below)
                continue
            stack.pop()
            os.close(fd)
            if stack:
                os.rmdir(name, dir_fd=stack[-1][0])
    finally:
        for fd, _ in stack:
            os.close(fd)


def _remove_plain(fd: int) -> tuple[int, str] | None:
    """Remove all entries that go at once; gives the first directory with content, opened."""
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                try:
                    os.rmdir(entry.name, dir_fd=fd)
                except OSError as exc:
                    if exc.errno != errno.ENOTEMPTY:
                        raise
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    return os.open(entry.name, flags, dir_fd=fd), entry.name
            else:
                os.unlink(entry.name, dir_fd=fd)
    return None
