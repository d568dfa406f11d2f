"""What a process would see through a stack of layers, without mounting them.

Every path is looked up one name at a time, and symlinks are followed inside the stack only, as a process chrooted into
it would: an image or a context cannot point the builder at anything outside. Layers do not change while they are
looked at (they are read-only, and a context belongs to its build alone).
"""

# ruff: noqa: PTH115, PTH208 - walks keep their paths as plain strings, for speed
from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydockmagic.engine.storage.form import is_opaque, is_whiteout

__all__ = ["Found", "View", "names_of"]

_MOST_LINKS = 40


def names_of(path: str) -> list[str]:
    """Split a path into names; ``.`` and empty ones say nothing, ``..`` stays."""
    return [name for name in path.split("/") if name not in ("", ".")]


@dataclass(frozen=True)
class Found:
    """One thing that is seen. ``names`` is where, ``source`` the file on disk, ``below`` a directory's directories."""

    names: tuple[str, ...]
    source: str
    status: os.stat_result
    below: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The place as an absolute path inside the view."""
        return "/" + "/".join(self.names)

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symlink."""
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.status.st_mode)


class View:
    """A stack of directories in overlayfs form, topmost first."""

    def __init__(self, layers: Sequence[Path | str]) -> None:
        self._layers = tuple(os.fspath(layer) for layer in layers)

    def root(self) -> Found:
        """Give the root directory."""
        below = self._until_opaque(self._layers)
        if not below:
            return Found((), "", os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, 0, 0, 0)))
        return Found((), below[0], os.lstat(below[0]), below)

    @staticmethod
    def _until_opaque(directories: Sequence[str]) -> tuple[str, ...]:
        kept: list[str] = []
        for directory in directories:
            kept.append(directory)
            if is_opaque(directory):
                break
        return tuple(kept)

    def child(self, directory: Found, name: str) -> Found | None:
        """Look one name up in a directory."""
        first: tuple[str, os.stat_result] | None = None
        below: list[str] = []
        for base in directory.below:
            path = f"{base}/{name}"
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if is_whiteout(path, status):
                break
            if not stat.S_ISDIR(status.st_mode):
                return (
                    Found((*directory.names, name), path, status)
                    if first is None
                    else self._dir(directory, name, first, below)
                )
            first = first or (path, status)
            below.append(path)
            if is_opaque(path):
                break
        return None if first is None else self._dir(directory, name, first, below)

    @staticmethod
    def _dir(directory: Found, name: str, first: tuple[str, os.stat_result], below: list[str]) -> Found:
        return Found((*directory.names, name), first[0], first[1], tuple(below))

    def children(self, directory: Found) -> Iterator[Found]:
        """Give what is in a directory, sorted by name as bytes."""
        names: set[str] = set()
        for base in directory.below:
            names.update(os.listdir(base))
        for name in sorted(names, key=os.fsencode):
            found = self.child(directory, name)
            if found is not None:
                yield found

    def walk(self, top: Found) -> Iterator[Found]:
        """Give all below a directory, each directory before what is in it."""
        pending = [iter([*self.children(top)])]
        while pending:
            found = next(pending[-1], None)
            if found is None:
                pending.pop()
                continue
            yield found
            if found.is_dir:
                pending.append(iter([*self.children(found)]))

    def resolve(self, path: str, *, follow_last: bool = True) -> tuple[Found, tuple[str, ...]]:
        """Follow a path as far as there is something; gives that and the names that are missing after it.

        ``..`` stops at the root. Raises NotADirectoryError where the path goes on below a file, OSError (ELOOP).
        """
        trail = [self.root()]
        missing: list[str] = []
        pending = names_of(path)[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                if missing:
                    missing.pop()
                elif len(trail) > 1:
                    trail.pop()
                continue
            if missing:
                missing.append(name)
                continue
            if not trail[-1].is_dir:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), f"{trail[-1].path}/{name}")
            found = self.child(trail[-1], name)
            if found is None:
                missing.append(name)
            elif found.is_link and (pending or follow_last):
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.readlink(found.source)
                if target.startswith("/"):
                    del trail[1:]
                pending += names_of(target)[::-1]
            else:
                trail.append(found)
        return trail[-1], tuple(missing)

    def find(self, path: str, *, follow_last: bool = True) -> Found | None:
        """Find what is at a path; None where there is nothing."""
        try:
            found, missing = self.resolve(path, follow_last=follow_last)
        except (NotADirectoryError, OSError):
            return None
        return None if missing else found

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """Read a regular file, at most ``limit`` bytes of it; None where there is none."""
        found = self.find(path)
        if found is None or not found.is_file:
            return None
        descriptor = os.open(found.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.read(descriptor, limit)
        finally:
            os.close(descriptor)
