"""Layers in overlayfs form: how a directory says that something below it is gone or replaced, and what is seen through.

Follows the kernel's ``filesystems/overlayfs.rst``, "whiteouts and opaque directories": a whiteout is a character device
0:0 or an empty file with the xattr ``overlay.whiteout`` (prefix ``trusted.`` or, without privilege, ``user.``), an
opaque directory has the xattr ``overlay.opaque`` = ``y``.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Seen",
    "is_opaque",
    "is_overlay_xattr",
    "is_whiteout",
    "make_opaque",
    "make_whiteout",
    "merged",
    "overlay_prefix",
]

_PREFIXES = ("trusted.overlay.", "user.overlay.")
_prefix = {"value": ""}


@dataclass(frozen=True)
class Seen:
    """One name of the merged view: ``path`` relative to the root, ``source`` the file that is seen there."""

    path: str
    source: str
    stat: os.stat_result


def is_overlay_xattr(name: str) -> bool:
    """Tell whether an extended attribute belongs to overlayfs, not to the content of the layer."""
    return name.startswith(_PREFIXES)


def _has(path: str, name: str, value: bytes | None) -> bool:
    for prefix in _PREFIXES:
        with contextlib.suppress(OSError):
            found = os.getxattr(path, prefix + name, follow_symlinks=False)
            if value is None or found == value:
                return True
    return False


def is_whiteout(path: str, status: os.stat_result) -> bool:
    """Tell whether an entry of a layer says "this name is gone"."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and _has(path, "whiteout", None)


def is_opaque(path: str) -> bool:
    """Tell whether a directory of a layer hides everything below it."""
    return _has(path, "opaque", b"y")


def overlay_prefix(path: str) -> str:
    """Find, once, which xattr prefix this process may write: ``trusted.overlay.`` needs the real root."""
    if not _prefix["value"]:
        try:
            os.setxattr(path, "trusted.overlay.probe", b"y")
            os.removexattr(path, "trusted.overlay.probe")
            _prefix["value"] = "trusted.overlay."
        except OSError:
            _prefix["value"] = "user.overlay."
    return _prefix["value"]


def make_opaque(path: str) -> None:
    """Mark a directory: nothing of the layers below is seen in it."""
    os.setxattr(path, overlay_prefix(path) + "opaque", b"y")


def make_whiteout(path: str) -> None:
    """Make an entry that says "this name is gone"; ``path`` must not exist.

    A device 0:0 may be made by anybody since Linux 5.8, but not on overlayfs; there an empty file with an xattr does.
    """
    try:
        os.mknod(path, stat.S_IFCHR, 0)
    except PermissionError:
        parent = os.path.dirname(path)  # noqa: PTH120 - paths of a walk stay plain strings, for speed
        prefix = overlay_prefix(parent)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        os.setxattr(path, prefix + "whiteout", b"y")
        # The kernel looks for such whiteouts only in directories that announce them.
        if not is_opaque(parent):
            os.setxattr(parent, prefix + "opaque", b"x")


def merged(layers: Sequence[Path]) -> Iterator[Seen]:
    """Walk what is seen through a stack of layers (topmost first), parents before children; the root is not given."""
    pending: list[tuple[str, list[str]]] = [("", [os.fspath(layer) for layer in layers])]
    while pending:
        base, directories = pending.pop()
        for name, found in sorted(_names(directories).items()):
            path = f"{base}/{name}" if base else name
            source, status, below = found
            yield Seen(path, source, status)
            if stat.S_ISDIR(status.st_mode):
                pending.append((path, below))


def _names(directories: Sequence[str]) -> dict[str, tuple[str, os.stat_result, list[str]]]:
    """Give, by name, what is seen in one merged directory, and for a directory those of the layers that form it."""
    seen: dict[str, tuple[str, os.stat_result, list[str]]] = {}
    closed: set[str] = set()
    for directory in directories:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name in closed:
                    continue
                status = entry.stat(follow_symlinks=False)
                above = seen.get(entry.name)
                if is_whiteout(entry.path, status):
                    closed.add(entry.name)
                elif stat.S_ISDIR(status.st_mode):
                    seen[entry.name] = (
                        (*above[:2], [*above[2], entry.path]) if above else (entry.path, status, [entry.path])
                    )
                    if is_opaque(entry.path):
                        closed.add(entry.name)
                else:
                    if not above:
                        seen[entry.name] = (entry.path, status, [])
                    closed.add(entry.name)
        if is_opaque(directory):
            break
    return seen
