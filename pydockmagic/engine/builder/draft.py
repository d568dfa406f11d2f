"""A layer in the making: files are put into a directory in overlayfs form, over the layers that are there already.

No mount is needed and the storage driver does not matter, so the same inputs give the same layer everywhere.
Directories on the way to a new file are taken up from the layers below with all they have, as overlayfs would.
"""

# ruff: noqa: PTH101, PTH102, PTH108, PTH112, PTH114, PTH211 - walks keep their paths as plain strings, for speed
from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from pydockmagic.engine.storage.copying import copy_metadata

from .tree import Found
from .view import Seen, View

__all__ = ["Draft", "Owner"]

Owner = tuple[int, int] | None
"""(uid, gid), or None to keep the source's own."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Draft:
    """The changes of one step. ``time_ns`` is the time that new things bear."""

    def __init__(self, directory: Path, lower: Sequence[Path], time_ns: int) -> None:
        self.directory = os.fspath(directory)
        self.time_ns = time_ns
        self.view = View([directory, *lower])
        self._times: dict[str, int] = {}
        self._links: dict[tuple[int, int], str] = {}
        self.changed = False
        directory.mkdir(mode=0o755)
        root = View(lower).root()
        if root.source:
            copy_metadata(root.source, self.directory, root.status)

    def place(self, names: Sequence[str]) -> str:
        """Give the path on disk of a place in the layer."""
        return "/".join((self.directory, *names))

    def directory_at(self, names: Sequence[str], owner: Owner = None, mode: int = 0o755) -> None:
        """Make sure that there is a directory, and those above it. ``names`` holds no symlink.

        Raises NotADirectoryError where something else is in the way.
        """
        at = self.view.root()
        for depth, name in enumerate(names, 1):
            found = self.view.child(at, name)
            path = self.place(names[:depth])
            if found is None:
                os.mkdir(path, 0o700)
                self._set(path, owner or (0, 0), mode, self.time_ns)
                self.changed = True
                found = self.view.child(at, name)
            elif not found.is_dir:
                raise NotADirectoryError(20, os.strerror(20), found.path)
            elif found.source != path:
                self._take_up(found, path)
                found = self.view.child(at, name)
            if found is None:
                raise FileNotFoundError(2, os.strerror(2), path)
            at = found

    def _take_up(self, found: Seen, path: str) -> None:
        os.mkdir(path, 0o700)
        copy_metadata(found.source, path, found.status)
        self._times[path] = found.status.st_mtime_ns

    def _set(self, path: str, owner: tuple[int, int], mode: int, mtime_ns: int) -> None:
        """Set owner, mode and time. A disk with a single user keeps everything its own."""
        with contextlib.suppress(PermissionError, OSError):
            os.chown(path, *owner, follow_symlinks=False)
        if not os.path.islink(path):
            os.chmod(path, mode)
        os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
        if os.path.isdir(path) and not os.path.islink(path):
            self._times[path] = mtime_ns

    def _clear(self, names: Sequence[str]) -> str:
        """Make room for something that is no directory: whatever this layer has there goes."""
        path = self.place(names)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                shutil.rmtree(path)
                self._times = {kept: at for kept, at in self._times.items() if not f"{kept}/".startswith(f"{path}/")}
            else:
                os.unlink(path)
        self.changed = True
        return path

    def write(self, names: Sequence[str], content: bytes, owner: Owner, mode: int) -> None:
        """Put a file with this content; its directory must be there."""
        path = self._clear(names)
        descriptor = os.open(path, _NEW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        self._set(path, owner or (0, 0), mode, self.time_ns)

    def merge_directory(self, names: Sequence[str], source: Found, owner: Owner, mode: int | None, ns: int) -> None:
        """Put a directory as the source has it; one that is there takes its attributes and keeps its content."""
        at = self.view.find("/" + "/".join(names), follow_last=False)
        if at is not None and not at.is_dir:
            # A directory in the place of a file: overlayfs shows it alone, and nothing from below the file.
            os.mkdir(self._clear(names), 0o700)
        else:
            self.directory_at(names)
        self._dress(self.place(names), source, owner, mode, ns)
        self.changed = True

    def copy(self, names: Sequence[str], source: Found, owner: Owner, mode: int | None, ns: int) -> None:
        """Put a copy of a file, symlink or device; hard links among the sources stay hard links."""
        path = self._clear(names)
        status = source.status
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and identity in self._links and os.path.lexists(self._links[identity]):
            os.link(self._links[identity], path, follow_symlinks=False)
            return
        if source.is_link:
            os.symlink(source.read_link(), path)
        elif source.is_file:
            descriptor = os.open(path, _NEW, 0o600)
            try:
                source.write_to(descriptor)
            finally:
                os.close(descriptor)
        elif stat.S_ISSOCK(status.st_mode):
            return
        else:
            os.mknod(path, status.st_mode, status.st_rdev)
        self._dress(path, source, owner, mode, ns)
        self._links[identity] = path

    def _dress(self, path: str, source: Found, owner: Owner, mode: int | None, ns: int) -> None:
        status = source.status
        own = (status.st_uid, status.st_gid) if owner is None else owner
        self._set(path, own, stat.S_IMODE(status.st_mode) if mode is None else mode, ns)
        # Last: giving a file away takes its capabilities.
        for name, value in source.attributes().items():
            with contextlib.suppress(OSError):
                os.setxattr(path, name, value, follow_symlinks=False)

    def finish(self) -> None:
        """Set the times of directories, which filling them has changed."""
        for path in sorted(self._times, reverse=True):
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, ns=(self._times[path], self._times[path]), follow_symlinks=False)
