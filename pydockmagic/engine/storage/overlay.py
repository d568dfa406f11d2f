"""The ``overlay2`` driver: layers and one writable directory per container, joined by the kernel.

Each key has ``overlay2/KEY/{diff,work,layers}``: the upper directory, overlayfs's own work directory, and the paths of
the layers below it (relative to the data root, which may be moved). The container's own mount is made by the runtime
driver from ``root()``; ``mount()`` is for the engine's looks inside (copying, building).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from pydockmagic.engine.runtime.spec import Root

from .mounts import detach_below, mount_overlay, unmount
from .trash import Trash

__all__ = ["OverlayDriver"]


class OverlayDriver:
    """A ``StorageDriver`` on overlayfs. ``userxattr`` is for a user namespace, where ``trusted.`` is out of reach."""

    name = "overlay2"

    def __init__(self, data_root: Path, *, userxattr: bool = False, filesystem: str = "") -> None:
        self._data_root = data_root.resolve()
        self._home = self._data_root / "overlay2"
        self._home.mkdir(parents=True, exist_ok=True, mode=0o710)
        self._userxattr = userxattr
        self._filesystem = filesystem
        self._trash = Trash(self._data_root / "trash")
        self._mounted: dict[str, int] = {}
        self._looked: dict[str, int] = {}
        self._lock = threading.Lock()
        # An image from scratch has no layer, and overlayfs wants at least one.
        self._nothing = self._home / ".empty"
        self._nothing.mkdir(exist_ok=True, mode=0o755)
        detach_below(self._home)
        self._trash.discard_half_made(self._home)

    def create(self, key: str, layers: Sequence[Path]) -> None:
        """Make an empty writable layer over ``layers`` (topmost first)."""
        with self._trash.staged(self._home / key) as stage:
            self._make(stage, layers)

    def _make(self, stage: Path, layers: Sequence[Path]) -> None:
        stage.mkdir(mode=0o710)
        (stage / "diff").mkdir(mode=0o755)
        (stage / "work").mkdir(mode=0o700)
        if layers:
            # The upper directory is the container's "/": it looks as the image made it.
            below = layers[0].stat()
            os.chown(stage / "diff", below.st_uid, below.st_gid)
            (stage / "diff").chmod(below.st_mode & 0o7777)
        (stage / "layers").write_text(json.dumps([self._relative(layer) for layer in layers]))

    def root(self, key: str, *, read_only: bool = False) -> Root:
        """Describe the overlay that the runtime driver mounts inside the container."""
        return Root(
            kind="overlay",
            upper=str(self._path(key) / "diff"),
            work=str(self._path(key) / "work"),
            lower=tuple(str(path) for path in self._lower(key)),
            userxattr=self._userxattr,
            read_only=read_only,
        )

    def mount(self, key: str) -> Path:
        """Mount the root in the engine's own mount namespace and give its path; counted, undone by ``unmount``."""
        home = self._path(key)
        target = home / "merged"
        with self._lock:
            if not self._mounted.get(key):
                target.mkdir(exist_ok=True, mode=0o700)
                mount_overlay(target, self._lower(key), home / "diff", home / "work", userxattr=self._userxattr)
            self._mounted[key] = self._mounted.get(key, 0) + 1
        return target

    def unmount(self, key: str) -> None:
        """Undo one ``mount``."""
        with self._lock:
            count = self._mounted.get(key, 0)
            if count > 1:
                self._mounted[key] = count - 1
            elif count == 1:
                del self._mounted[key]
                unmount(self._home / key / "merged")

    def look(self, key: str) -> Path:
        """Mount the root for reading, beside the container's own mount; counted, undone by ``unlook``.

        An upper directory belongs to one mount, so here it is the topmost of the lower ones.
        """
        view = self._path(key) / "view"
        with self._lock:
            if not self._looked.get(key):
                for name in ("diff", "work", "merged"):
                    (view / name).mkdir(parents=True, exist_ok=True, mode=0o700)
                lower = [self._home / key / "diff", *self._lower(key)]
                mount_overlay(
                    view / "merged", lower, view / "diff", view / "work", userxattr=self._userxattr, read_only=True
                )
            self._looked[key] = self._looked.get(key, 0) + 1
        return view / "merged"

    def unlook(self, key: str) -> None:
        """Undo one ``look``."""
        with self._lock:
            count = self._looked.pop(key, 0)
            if count > 1:
                self._looked[key] = count - 1
            elif count == 1:
                unmount(self._home / key / "view" / "merged")
                self._trash.discard(self._home / key / "view")

    def changes(self, key: str) -> Path:
        """Give the upper directory."""
        return self._path(key) / "diff"

    def adopt(self, key: str, target: Path) -> None:
        """Move the upper directory to ``target``, where it is a read-only layer from now on; ``key`` is gone."""
        home = self._path(key)
        self._forget_mount(key)
        (home / "diff").rename(target)
        self._trash.discard(home)

    def remove(self, key: str) -> None:
        """Throw the writable layer away. Idempotent."""
        self._forget_mount(key)
        self._trash.discard(self._home / key)

    def keys(self) -> list[str]:
        """Name every writable layer on disk."""
        return sorted(entry.name for entry in self._home.iterdir() if not entry.name.startswith("."))

    def status(self) -> list[tuple[str, str]]:
        """Give the lines that ``docker info`` shows below the driver's name."""
        return [
            ("Backing Filesystem", self._filesystem or "<unknown>"),
            ("Supports d_type", "true"),
            ("Using metacopy", "false"),
            ("Native Overlay Diff", "true"),
            ("userxattr", str(self._userxattr).lower()),
        ]

    def _path(self, key: str) -> Path:
        home = self._home / key
        if not home.is_dir():
            raise KeyError(key)
        return home

    def _lower(self, key: str) -> list[Path]:
        layers = json.loads((self._home / key / "layers").read_text())
        return [self._data_root / layer for layer in layers] or [self._nothing]

    def _relative(self, layer: Path) -> str:
        resolved = layer.resolve()
        return str(resolved.relative_to(self._data_root) if resolved.is_relative_to(self._data_root) else resolved)

    def _forget_mount(self, key: str) -> None:
        with self._lock:
            if self._mounted.pop(key, 0):
                unmount(self._home / key / "merged")
            if self._looked.pop(key, 0):
                unmount(self._home / key / "view" / "merged")
