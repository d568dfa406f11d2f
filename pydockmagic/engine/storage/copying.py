"""Copying files with everything that makes them what they are: owner, mode, times, attributes, hard links, holes.

A reflink where the filesystem has them (ioctl_ficlone(2)), else copy_file_range(2), else plain reads; a file's holes
stay holes.
"""

# ruff: noqa: PTH101, PTH102, PTH115, PTH211 - a walk over a hundred thousand files keeps its paths as plain strings
from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable

from .form import Seen, is_overlay_xattr

__all__ = ["copy_entries", "copy_metadata", "same_content", "same_metadata"]

_FICLONE = 0x40049409
_CHUNK = 1 << 20


def copy_entries(entries: Iterable[Seen], target: str) -> None:
    """Copy the entries (parents first) below ``target``; hard links among them stay hard links.

    What this process may not do (give files away, make devices) is left out, as everywhere without privilege.
    """
    links: dict[tuple[int, int], str] = {}
    directories: list[tuple[str, Seen]] = []
    for entry in entries:
        destination = f"{target}/{entry.path}"
        status = entry.stat
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(destination, 0o700)
            directories.append((destination, entry))
            continue
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and identity in links:
            os.link(links[identity], destination, follow_symlinks=False)
            continue
        if _copy_one(entry.source, destination, status):
            copy_metadata(entry.source, destination, status)
            links[identity] = destination
    # Last and from the inside out: a closed mode would keep us out, and entries change their directory's times.
    for destination, entry in reversed(directories):
        copy_metadata(entry.source, destination, entry.stat)


def _copy_one(source: str, target: str, status: os.stat_result) -> bool:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        _copy_content(source, target, status.st_size)
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
    else:
        try:
            os.mknod(target, mode, status.st_rdev)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            return False
    return True


def open_readable(path: str) -> int:
    """Open a file for reading, also one of ours whose mode forbids it (without privilege that counts)."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except PermissionError:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        os.chmod(path, mode | 0o400)
        try:
            return os.open(path, flags)
        finally:
            os.chmod(path, mode)


def _copy_content(source: str, target: str, size: int) -> None:
    reader = open_readable(source)
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if not size:
                return
            try:
                fcntl.ioctl(writer, _FICLONE, reader)
            except OSError:
                _copy_data(reader, writer, size)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_data(reader: int, writer: int, size: int) -> None:
    """Copy the parts of a file that hold data (lseek(2), SEEK_DATA) and leave the rest as holes."""
    position = 0
    while position < size:
        try:
            start = os.lseek(reader, position, os.SEEK_DATA)
        except OSError:
            break  # ENXIO: only a hole is left
        end = os.lseek(reader, start, os.SEEK_HOLE)
        _copy_range(reader, writer, start, end)
        position = end
    os.ftruncate(writer, size)


def _copy_range(reader: int, writer: int, start: int, end: int) -> None:
    while start < end:
        try:
            count = os.copy_file_range(reader, writer, end - start, start, start)
        except OSError:  # across filesystems on old kernels, or refused by a filter
            count = os.pwrite(writer, os.pread(reader, min(_CHUNK, end - start), start), start)
        if not count:
            break  # the file was cut short while we read it
        start += count


def copy_metadata(source: str, target: str, status: os.stat_result) -> None:
    """Give ``target`` the owner, attributes, mode and times of ``source``; overlayfs's own attributes stay behind."""
    with contextlib.suppress(PermissionError):
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    for name, value in xattrs(source).items():
        with contextlib.suppress(OSError):
            os.setxattr(target, name, value, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def xattrs(path: str) -> dict[str, bytes]:
    """Read the extended attributes of a file that belong to its content."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listxattr(path, follow_symlinks=False):
            if not is_overlay_xattr(name):
                with contextlib.suppress(OSError):
                    found[name] = os.getxattr(path, name, follow_symlinks=False)
    return found


def same_metadata(one: str, one_stat: os.stat_result, two: str, two_stat: os.stat_result) -> bool:
    """Tell whether two entries agree in all but the content of a file; a directory's times do not count."""
    a, b = one_stat, two_stat
    if (a.st_mode, a.st_uid, a.st_gid) != (b.st_mode, b.st_uid, b.st_gid):
        return False
    if stat.S_ISDIR(a.st_mode):
        return xattrs(one) == xattrs(two)
    if a.st_mtime_ns != b.st_mtime_ns or a.st_rdev != b.st_rdev:
        return False
    if stat.S_ISLNK(a.st_mode):
        return os.readlink(one) == os.readlink(two)
    return (not stat.S_ISREG(a.st_mode) or a.st_size == b.st_size) and xattrs(one) == xattrs(two)


def same_content(one: str, two: str) -> bool:
    """Compare two regular files byte by byte."""
    first, second = open_readable(one), open_readable(two)
    try:
        while True:
            left, right = os.read(first, _CHUNK), os.read(second, _CHUNK)
            if left != right:
                return False
            if not left:
                return True
    finally:
        os.close(first)
        os.close(second)
