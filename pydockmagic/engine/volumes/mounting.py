"""Mounting a volume that is a filesystem of its own, where containers see it and where the engine sees it.

A container's mount namespace is made from the zygote's, which outlives the engine: a mount that containers share has
to be there. The engine's own namespace dies with it, so it takes a copy of the mount, for ``docker cp`` and the like.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.runtime import linux
from pydockmagic.engine.runtime.refusal import reason

from .options import Filesystem

__all__ = ["Mounter"]

_T = TypeVar("_T")
_CLONE_FS = 0x200
_EXPLAINED = {errno.EPERM: " (without root only tmpfs and bind volumes can be mounted)"}


class Mounter:
    """Mounts in the engine's namespace and in that of the process ``keeper`` names. All methods block."""

    def __init__(self, keeper: Callable[[], int], host: int | None = None) -> None:
        self._keeper = keeper
        self._host = host

    @property
    def can_share(self) -> bool:
        """Whether mounts made inside a container can travel to the host: its mount namespace can be entered."""
        return self._host is not None

    def mount(self, target: Path, what: Filesystem) -> None:
        """Mount a filesystem over a directory."""
        try:
            tree = self._inside(lambda: _mounted(str(target), what))
        except OSError as error:
            raise EngineError(_sentence(target, what, error)) from None
        _attach(tree, target)

    def share(self, source: str, place: Path) -> None:
        """Put the host's own mount of a path at ``place``: a peer of it, where the engine's mounts only follow."""
        assert self._host is not None
        tree = _on_thread(self._host, lambda: linux.clone_tree(source, recursive=True))
        if Path(source).is_dir():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.touch(mode=0o600)
        self._inside(lambda: _attach(tree, place))

    def unshare(self, place: Path) -> None:
        """Take away what ``share`` put there, if anything."""
        if not place.exists():
            return
        if self._keeper():
            self._inside(lambda: _part(str(place)))
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink()

    def adopt(self, target: Path) -> bool:
        """See again what an earlier engine mounted; tell whether there was something."""
        if not self._keeper():
            return False
        tree = self._inside(lambda: linux.clone_tree(str(target)) if target.is_mount() else -1)
        if tree >= 0:
            _attach(tree, target)
        return tree >= 0

    def unmount(self, target: Path) -> None:
        """Take the filesystem away again; not being mounted is no error."""
        _detach(target)
        if self._keeper():
            self._inside(lambda: _detach(target))

    def _inside(self, work: Callable[[], _T]) -> _T:
        """Do something in the keeper's mount namespace."""
        descriptor = os.open(f"/proc/{self._keeper()}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _on_thread(descriptor, work)
        finally:
            os.close(descriptor)


def _on_thread(namespace: int, work: Callable[[], _T]) -> _T:
    """Do something in a mount namespace: on a thread of its own, which shares no root with others."""

    def enter_and_work() -> _T:
        linux.unshare(_CLONE_FS)
        linux.setns(namespace, linux.CLONE_NEWNS)
        return work()

    with ThreadPoolExecutor(1, thread_name_prefix="mounting") as thread:
        return thread.submit(enter_and_work).result()


def _mounted(target: str, what: Filesystem) -> int:
    """Mount, and give a copy of the mount for another namespace."""
    linux.mount(what.device, target, what.kind, what.flags, what.data)
    if what.flags & linux.MS_BIND and what.flags & ~(linux.MS_BIND | linux.MS_REC):
        linux.mount("", target, flags=linux.MS_REMOUNT | what.flags & ~linux.MS_REC)  # a bind takes no flags at first
    return linux.clone_tree(target)


def _attach(tree: int, target: Path) -> None:
    try:
        linux.attach_tree(tree, str(target))
    finally:
        os.close(tree)


def _detach(target: Path) -> None:
    try:
        linux.umount(str(target), linux.MNT_DETACH)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def _part(place: str) -> None:
    """Unmount a peer of the host's mounts, and nothing of the host's with it."""
    try:
        linux.mount("", place, flags=linux.MS_SLAVE | linux.MS_REC)
    except OSError as error:
        if error.errno != errno.EINVAL:  # nothing is mounted there
            raise
        return
    linux.umount(place, linux.MNT_DETACH)


def _sentence(target: Path, what: Filesystem, error: OSError) -> str:
    flags = f", flags: {what.flags:#x}" if what.flags else ""
    data = f", data: {what.data}" if what.data else ""
    why = reason(error) + _EXPLAINED.get(error.errno or 0, "")
    return (
        f"error while mounting volume '{target}': failed to mount local volume: "
        f"mount {what.device}:{target}{flags}{data}: {why}"
    )
