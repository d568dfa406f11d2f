"""The ``vfs`` driver: each container gets a full copy of its image; for data roots where overlayfs cannot be mounted.

``vfs/KEY/root`` is the copy, ``vfs/KEY/base.json`` what is needed to tell later what was changed: the layers, when the
copy was finished, and the inode of each directory. A changed file shows in its inode times; a renamed directory takes
its files along unchanged, and shows in its own inode number.
"""

# ruff: noqa: PTH102, PTH104 - a walk over a hundred thousand files keeps its paths as plain strings
from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pydockmagic.engine.runtime.spec import Root

from .copying import copy_entries, copy_metadata, same_content, same_metadata
from .form import Seen, make_whiteout, merged
from .trash import Trash

__all__ = ["CopyDriver"]

# Inode times advance with the kernel's tick (10 ms at most): what is younger than this is compared byte by byte.
_TICK_NS = 50_000_000


class _Base(msgspec.Struct, frozen=True):
    """What the copy was made from."""

    layers: list[str]
    finished_ns: int
    directories: dict[str, int]


class CopyDriver:
    """A ``StorageDriver`` that copies."""

    name = "vfs"

    def __init__(self, data_root: Path, *, filesystem: str = "") -> None:
        self._data_root = data_root.resolve()
        self._home = self._data_root / "vfs"
        self._home.mkdir(parents=True, exist_ok=True, mode=0o710)
        self._filesystem = filesystem
        self._trash = Trash(self._data_root / "trash")
        self._trash.discard_half_made(self._home)

    def create(self, key: str, layers: Sequence[Path]) -> None:
        """Copy what is seen through ``layers`` (topmost first)."""
        with self._trash.staged(self._home / key) as stage:
            self._make(stage, layers)

    def _make(self, stage: Path, layers: Sequence[Path]) -> None:
        stage.mkdir(mode=0o710)
        root = stage / "root"
        root.mkdir(mode=0o755)
        copy_entries(merged(layers), str(root))
        if layers:
            copy_metadata(str(layers[0]), str(root), layers[0].stat())
        mark = stage / "base.json"
        mark.touch()
        base = _Base([self._relative(layer) for layer in layers], mark.stat().st_ctime_ns, _directory_inodes(root))
        mark.write_bytes(msgspec.json.encode(base))

    def root(self, key: str, *, read_only: bool = False) -> Root:
        """Describe the copy."""
        return Root(kind="directory", upper=str(self._path(key) / "root"), read_only=read_only)

    def mount(self, key: str) -> Path:
        """Give the copy's path: nothing needs mounting."""
        return self._path(key) / "root"

    def unmount(self, key: str) -> None:
        """Do nothing: nothing was mounted."""

    def look(self, key: str) -> Path:
        """Give the copy's path."""
        return self._path(key) / "root"

    def unlook(self, key: str) -> None:
        """Do nothing: nothing was mounted."""

    def changes(self, key: str) -> Path:
        """Gather what differs from the layers, in overlayfs form. Files are hard links to the container's own."""
        home = self._path(key)
        target = home / "changes"
        self._trash.discard(target)
        self._gather(home, target, move=False)
        return target

    def adopt(self, key: str, target: Path) -> None:
        """Move what differs from the layers to ``target`` as a new layer; ``key`` is gone."""
        home = self._path(key)
        gathered = home / "adopted"
        self._trash.discard(gathered)
        self._gather(home, gathered, move=True)
        gathered.rename(target)
        self._trash.discard(home)

    def remove(self, key: str) -> None:
        """Throw the copy away. Idempotent."""
        self._trash.discard(self._home / key)

    def keys(self) -> list[str]:
        """Name every copy on disk."""
        return sorted(entry.name for entry in self._home.iterdir() if not entry.name.startswith("."))

    def status(self) -> list[tuple[str, str]]:
        """Give the lines that ``docker info`` shows below the driver's name."""
        return [("Backing Filesystem", self._filesystem or "<unknown>")]

    def _path(self, key: str) -> Path:
        home = self._home / key
        if not home.is_dir():
            raise KeyError(key)
        return home

    def _relative(self, layer: Path) -> str:
        resolved = layer.resolve()
        return str(resolved.relative_to(self._data_root) if resolved.is_relative_to(self._data_root) else resolved)

    def _gather(self, home: Path, target: Path, *, move: bool) -> None:
        base = msgspec.json.decode((home / "base.json").read_bytes(), type=_Base)
        layers = [self._data_root / layer for layer in base.layers]
        root = str(home / "root")
        comparison = _Comparison(base, {seen.path: seen for seen in merged(layers)})
        changed, deleted = comparison.run(root)
        stage = target.with_name(f".{target.name}")
        self._trash.discard(stage)
        stage.mkdir(mode=0o755)
        made = {""}
        for seen in changed:
            _make_parents(str(stage), seen.path, made)
            destination = f"{stage}/{seen.path}"
            if stat.S_ISDIR(seen.stat.st_mode):
                if seen.path not in made:
                    os.mkdir(destination, 0o700)
                    made.add(seen.path)
            elif move:
                os.rename(seen.source, destination)
            else:
                os.link(seen.source, destination, follow_symlinks=False)
        for path in deleted:
            _make_parents(str(stage), path, made)
            make_whiteout(f"{stage}/{path}")
        for path in sorted(made, reverse=True):
            original = f"{root}/{path}" if path else root
            copy_metadata(original, f"{stage}/{path}" if path else str(stage), os.lstat(original))
        stage.rename(target)


class _Comparison:
    """Finds what differs between a copy and what it was copied from."""

    def __init__(self, base: _Base, original: dict[str, Seen]) -> None:
        self._original = original
        self._young_ns = base.finished_ns - _TICK_NS
        self._directories = base.directories

    def run(self, root: str) -> tuple[list[Seen], list[str]]:
        """Give the added and changed entries (parents first), and the topmost names that are gone."""
        changed: list[Seen] = []
        present: set[str] = set()
        moved: set[str] = set()
        for seen in merged_copy(root):
            present.add(seen.path)
            parent = seen.path.rpartition("/")[0]
            if stat.S_ISDIR(seen.stat.st_mode) and (
                parent in moved or self._directories.get(seen.path) != seen.stat.st_ino
            ):
                moved.add(seen.path)
            before = self._original.get(seen.path)
            if before is None or self._differs(before, seen, suspicious=parent in moved):
                changed.append(seen)
        return changed, self._deleted(present)

    def _differs(self, before: Seen, now: Seen, *, suspicious: bool) -> bool:
        if not same_metadata(before.source, before.stat, now.source, now.stat):
            return True
        if not stat.S_ISREG(now.stat.st_mode):
            return False
        if suspicious or now.stat.st_ctime_ns >= self._young_ns:
            return not same_content(before.source, now.source)
        return False

    def _deleted(self, present: set[str]) -> list[str]:
        """Give the names that are gone; what was below them needs no word. Below a replaced directory neither."""
        gone = []
        for path in self._original:
            parent = path.rpartition("/")[0]
            if path not in present and (not parent or parent in present):
                gone.append(path)
        return gone


def merged_copy(root: str) -> list[Seen]:
    """Walk a copy, parents before children; devices 0:0 in it are the container's own files, not whiteouts."""
    found: list[Seen] = []
    pending = [""]
    while pending:
        base = pending.pop()
        with os.scandir(f"{root}/{base}" if base else root) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                path = f"{base}/{entry.name}" if base else entry.name
                status = entry.stat(follow_symlinks=False)
                found.append(Seen(path, entry.path, status))
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
    return found


def _directory_inodes(root: Path) -> dict[str, int]:
    return {s.path: s.stat.st_ino for s in merged_copy(str(root)) if stat.S_ISDIR(s.stat.st_mode)}


def _make_parents(stage: str, path: str, made: set[str]) -> None:
    """Make the directories above an entry: overlayfs form needs them, with the metadata of the copy's own."""
    missing = []
    parent = path.rpartition("/")[0]
    while parent not in made:
        missing.append(parent)
        parent = parent.rpartition("/")[0]
    for directory in reversed(missing):
        os.mkdir(f"{stage}/{directory}", 0o700)
        made.add(directory)
