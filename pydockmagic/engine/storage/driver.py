"""The interface of a storage driver: from a stack of read-only layers to a container's writable root, and back.

A layer is a directory in overlayfs form: deleted names are whiteouts (character device 0:0, or a plain empty file
with the ``user.overlay.whiteout`` xattr when rootless), replaced directories carry ``overlay.opaque``.
The copy driver turns its changes into the same form when asked, so everyone above sees one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydockmagic.engine.runtime.spec import Root

__all__ = ["StorageDriver"]


class StorageDriver(Protocol):
    """Gives each key (a container id) one writable layer over given layers. Methods may block: call in a thread."""

    name: str
    """``overlay2`` or ``vfs``: the names that ``docker info`` shows."""

    def create(self, key: str, layers: Sequence[Path]) -> None:
        """Make an empty writable layer over ``layers`` (topmost first)."""
        ...

    def root(self, key: str, *, read_only: bool = False) -> Root:
        """Describe the root for the runtime driver, which mounts it inside the container."""
        ...

    def mount(self, key: str) -> Path:
        """Mount the root in the engine's own mount namespace and give its path; counted, undone by ``unmount``."""
        ...

    def unmount(self, key: str) -> None:
        """Undo one ``mount``."""
        ...

    def look(self, key: str) -> Path:
        """Give the root for reading while a container has it mounted; counted, undone by ``unlook``."""
        ...

    def unlook(self, key: str) -> None:
        """Undo one ``look``."""
        ...

    def changes(self, key: str) -> Path:
        """Give the directory with the writable layer in overlayfs form (the overlay driver's upper directory)."""
        ...

    def adopt(self, key: str, target: Path) -> None:
        """Move the writable layer to ``target`` as a new read-only layer; ``key`` is gone afterwards."""
        ...

    def remove(self, key: str) -> None:
        """Throw the writable layer away (renamed into the trash at once, deleted in the background). Idempotent."""
        ...

    def keys(self) -> list[str]:
        """Name every writable layer on disk, for cleaning up after a crash."""
        ...

    def status(self) -> list[tuple[str, str]]:
        """Give the lines that ``docker info`` shows below the driver's name."""
        ...
