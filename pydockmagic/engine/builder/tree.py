"""Trees that COPY reads from, whatever holds them: looking paths up without ever leaving their root.

Every path is looked up one name at a time, and symlinks are followed inside the tree only, as a process chrooted into
it would: an image or a context cannot point the builder at anything outside.
"""

# ruff: noqa: D102 - what the attributes of os.stat_result are stands with os.stat_result
from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydockmagic.oci.layer.reader import ByteStream

__all__ = ["Found", "Status", "Tree", "names_of"]

_MOST_LINKS = 40


class Status(Protocol):
    """What ``os.stat_result`` says of a file, as far as it is needed."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_uid(self) -> int: ...
    @property
    def st_gid(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_nlink(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_ino(self) -> int: ...
    @property
    def st_rdev(self) -> int: ...


def names_of(path: str) -> list[str]:
    """Split a path into names; ``.`` and empty ones say nothing, ``..`` stays."""
    return [name for name in path.split("/") if name not in ("", ".")]


@dataclass(frozen=True)
class Found(ABC):
    """One thing in a tree; ``names`` is where, symlinks on the way resolved."""

    names: tuple[str, ...]
    status: Status

    @abstractmethod
    def read_link(self) -> str:
        """Give a symlink's text."""

    @abstractmethod
    def open(self) -> AbstractContextManager[ByteStream]:
        """Open a regular file for reading from its beginning."""

    @abstractmethod
    def write_to(self, descriptor: int) -> None:
        """Write a regular file's content to an open file."""

    @abstractmethod
    def attributes(self) -> Mapping[str, bytes]:
        """Give the extended attributes that belong to the content."""

    @property
    def path(self) -> str:
        """The place as an absolute path inside the tree."""
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


F = TypeVar("F", bound=Found)


class Tree(ABC, Generic[F]):
    """A tree of files. What holds it says what is in a directory; the rest follows."""

    @abstractmethod
    def root(self) -> F:
        """Give the root directory."""

    @abstractmethod
    def child(self, directory: F, name: str) -> F | None:
        """Look one name up in a directory."""

    @abstractmethod
    def children(self, directory: F) -> Iterator[F]:
        """Give what is in a directory, sorted by name as bytes."""

    def walk(self, top: F) -> Iterator[F]:
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

    def resolve(self, path: str, *, follow_last: bool = True) -> tuple[F, tuple[str, ...]]:
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
                target = found.read_link()
                if target.startswith("/"):
                    del trail[1:]
                pending += names_of(target)[::-1]
            else:
                trail.append(found)
        return trail[-1], tuple(missing)

    def find(self, path: str, *, follow_last: bool = True) -> F | None:
        """Find what is at a path; None where there is nothing."""
        try:
            found, missing = self.resolve(path, follow_last=follow_last)
        except OSError:
            return None
        return None if missing else found

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """Read a regular file, at most ``limit`` bytes of it; None where there is none."""
        found = self.find(path)
        if found is None or not found.is_file:
            return None
        parts: list[bytes] = []
        with found.open() as stream:
            while limit > 0 and (data := stream.read(limit)):
                parts.append(data)
                limit -= len(data)
        return b"".join(parts)
