"""One file system entry of a layer, as data.

Paths are relative to the root, without leading or trailing slash (``etc/passwd``); bytes that are no UTF-8 travel as
surrogate escapes, as ``os.fsdecode`` makes them. The root itself has no entry, as in Docker's own layers.
A deleted name is an entry of its own (`Kind.WHITEOUT`) under the name that it hides, and a directory that hides all of
its lower content is ``opaque``: how either is written in a tar or on disk is the business of reader, writer and scan.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from typing import Self

import msgspec

from pydockmagic.oci.errors import LimitExceeded, UnsafePath

__all__ = [
    "OPAQUE_NAME",
    "WHITEOUT_META_PREFIX",
    "WHITEOUT_PREFIX",
    "Kind",
    "LayerEntry",
    "clean_path",
    "sort_key",
    "sort_names",
]

WHITEOUT_PREFIX = ".wh."
WHITEOUT_META_PREFIX = ".wh..wh."
OPAQUE_NAME = ".wh..wh..opq"

_PATH_MAX = 4096


class Kind(enum.StrEnum):
    """What an entry is. ``code`` is the place in this order, and stands for it in a stored index: append only."""

    code: int

    def __new__(cls, value: str) -> Self:
        """Make a numbered member; looking a member up by hash is slow, an attribute is not."""
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.code = len(cls.__members__)
        return kind

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    FIFO = "fifo"
    WHITEOUT = "whiteout"


class LayerEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry. ``mode`` holds the twelve permission bits, ``mtime`` whole Unix seconds, as Docker's layers do.

    ``linkname`` is a symlink's text, or the path of the entry that a hard link shares its content with.
    ``device`` is (major, minor). ``xattrs`` are sorted by name; overlayfs' own never appear.
    """

    path: str
    kind: Kind
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    linkname: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    opaque: bool = False


def sort_key(path: str) -> bytes:
    """Give the key that layers are sorted by: names compared as bytes, one directory level after the other.

    It is the order of a depth-first walk through sorted directories (Go's ``filepath.Walk``, ``tar --sort=name``), so
    that a layer can be written while it is walked and every subtree is one unbroken run.
    """
    return os.fsencode(path).replace(b"/", b"\0")


def sort_names(names: Iterable[str]) -> list[str]:
    """Sort the names of one directory by their bytes."""
    names = list(names)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return sorted(names, key=os.fsencode)
    names.sort()  # code points sort as their UTF-8 does, but for the escapes of other bytes
    return names


def clean_path(name: str) -> str:
    """Normalise a name from an archive, lexically, as ``filepath.Clean`` does; the root is the empty string.

    Raises `UnsafePath` for a name that climbs out of the root or holds a NUL, `LimitExceeded` for one beyond PATH_MAX.
    """
    if "\0" in name:
        raise UnsafePath(f"name {name!r} holds a NUL byte")
    if len(name) >= _PATH_MAX:
        raise LimitExceeded(f"name of {len(name)} characters is too long: {name[:80]!r}...")
    if "/." not in name and "//" not in name and name[:1] not in {"", ".", "/"}:
        return name.removesuffix("/")
    parts: list[str] = []
    for part in name.split("/"):
        if part in {"", "."}:
            continue
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        elif not name.startswith("/"):
            raise UnsafePath(f"{name!r} is outside of the root")
    return "/".join(parts)
