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

from .options import Filesystem

__all__ = ["Mounter"]

_T = TypeVar("_T")
_CLONE_FS = 0x200
_EXPLAINED = {errno.EPERM: " (without root only tmpfs and bind volumes can be mounted)"}


class Mounter:
    """Mounts in the engine's namespace and in that of the process ``keeper`` names. All methods block."""

    def __init__(self, keeper: Callable[[], int]) -> None:
        self._keeper = keeper

    def mount(self, target: Path, what: Filesystem) -> None:
        """Mount a filesystem over a directory."""
        try:
            tree = self._inside(lambda: _mounted(str(target), what))
        except OSError as error:
            raise EngineError(_sentence(target, what, error)) from None
        _attach(tree, target)

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
        """Do something in the keeper's mount namespace: on a thread of its own, which shares no root with others."""

        def enter_and_work() -> _T:
            linux.unshare(_CLONE_FS)
            descriptor = os.open(f"/proc/{self._keeper()}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                linux.setns(descriptor, linux.CLONE_NEWNS)
            finally:
                os.close(descriptor)
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


def _sentence(target: Path, what: Filesystem, error: OSError) -> str:
    flags = f", flags: {what.flags:#x}" if what.flags else ""
    data = f", data: {what.data}" if what.data else ""
    reason = os.strerror(error.errno or 0).lower() + _EXPLAINED.get(error.errno or 0, "")
    return (
        f"error while mounting volume '{target}': failed to mount local volume: "
        f"mount {what.device}:{target}{flags}{data}: {reason}"
    )
