"""Extended attributes of layers: which ones travel, and how overlayfs marks whiteouts and opaque directories.

Only file capabilities and the user's own attributes travel. Labels of the host's security modules mean nothing on
another machine, and overlayfs' own attributes would let an image redirect lookups below the mount, so those are
neither written into a layer nor ever set from one.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

__all__ = [
    "is_opaque",
    "is_whiteout_file",
    "mark_opaque",
    "mark_whiteout_file",
    "read_xattrs",
    "travels",
    "write_xattrs",
]

_OVERLAY = ("trusted.overlay.", "user.overlay.")
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_GONE = {errno.ENODATA, *_UNSUPPORTED}


def travels(name: str) -> bool:
    """Tell whether an attribute belongs into a layer."""
    return name == "security.capability" or (name.startswith("user.") and not name.startswith(_OVERLAY))


def read_xattrs(fd: int) -> tuple[tuple[tuple[str, bytes], ...], bool, bool]:
    """Read a file or directory: its travelling attributes, whether it is opaque, whether it is a whiteout."""
    try:
        names = os.listxattr(fd)
    except OSError as exc:
        if exc.errno in _UNSUPPORTED:
            return (), False, False
        raise
    if not names:
        return (), False, False
    kept = []
    for name in sorted(names):
        if travels(name):
            with suppress(FileNotFoundError):
                kept.append((name, os.getxattr(fd, name)))
    return tuple(kept), is_opaque(fd, names), is_whiteout_file(names)


def is_opaque(fd: int, names: list[str]) -> bool:
    """Tell whether a directory hides the lower layers' content (the value ``x`` only announces whiteout files)."""
    return any(prefix + "opaque" in names and os.getxattr(fd, prefix + "opaque") == b"y" for prefix in _OVERLAY)


def is_whiteout_file(names: list[str]) -> bool:
    """Tell whether an empty file with these attributes is a whiteout (Linux 6.7, ``overlay.whiteout``)."""
    return any(prefix + "whiteout" in names for prefix in _OVERLAY)


def mark_opaque(fd: int, *, user: bool) -> None:
    """Make a directory opaque, in the privileged or in the ``userxattr`` form."""
    os.setxattr(fd, _OVERLAY[user] + "opaque", b"y")


def mark_whiteout_file(fd: int, directory_fd: int, *, user: bool) -> None:
    """Make an empty file a whiteout; its directory must announce that it holds some, unless it is opaque."""
    prefix = _OVERLAY[user]
    os.setxattr(fd, prefix + "whiteout", b"")
    with suppress(FileExistsError):
        os.setxattr(directory_fd, prefix + "opaque", b"x", os.XATTR_CREATE)


def write_xattrs(fd: int, xattrs: tuple[tuple[str, bytes], ...], *, strict: bool) -> None:
    """Set the attributes that travel and leave the others out.

    A file system without attributes drops them; without ``strict`` a missing permission does too.
    """
    for name, value in xattrs:
        if not travels(name):
            continue
        try:
            os.setxattr(fd, name, value)
        except OSError as exc:
            if exc.errno not in _UNSUPPORTED and (strict or exc.errno not in {errno.EPERM, errno.EACCES}):
                raise
