"""Hears when the kernel kills in a container for want of memory, at the moment it does.

On cgroup v1 an eventfd is registered (``admin-guide/cgroup-v1/memory.rst``, 9 and 10), on v2 ``memory.events`` is
watched with inotify(7). Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Mapping

from .cgroups_base import Cgroup
from .loop import READ, Loop

__all__ = ["OomWatch"]

_IN_MODIFY = 2
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC


class OomWatch:
    """Calls ``tell`` for each time; where the kernel cannot say, never."""

    def __init__(self, cgroup: Cgroup, loop: Loop, tell: Callable[[], None]) -> None:
        self._cgroup, self._loop, self._tell = cgroup, loop, tell
        self._counted = 0
        self._descriptor = -1
        with contextlib.suppress(OSError):
            self._descriptor = _listen(cgroup.paths())
        if self._descriptor >= 0:
            loop.watch(self._descriptor, READ, lambda _events: self.look())

    def look(self) -> None:
        """Tell of what has happened since the last look."""
        if self._descriptor < 0:
            return
        try:
            os.read(self._descriptor, 4096)
        except BlockingIOError:
            return
        count = self._cgroup.oom_count()
        # v1 says so before the kernel has chosen whom to kill and counted it; v2 for other events as well
        if self._cgroup.version == 1 or count > self._counted:
            self._tell()
        self._counted = count

    def close(self) -> None:
        """Hear no more; before the cgroup goes, which v1 would tell as well."""
        if self._descriptor >= 0:
            self._loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def _listen(paths: Mapping[str, str]) -> int:
    if "memory" in paths:
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            _register(paths["memory"], event)
        except OSError:
            os.close(event)
            raise
        return event
    return _watch_file(f"{paths['unified']}/memory.events") if "unified" in paths else -1


def _register(directory: str, event: int) -> None:
    control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
    try:
        order = os.open(f"{directory}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(order, f"{event} {control}".encode())
        finally:
            os.close(order)
    finally:
        os.close(control)


def _watch_file(path: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.inotify_init1(ctypes.c_int(_NONBLOCK_CLOEXEC)))
    if descriptor >= 0 and libc.inotify_add_watch(descriptor, os.fsencode(path), ctypes.c_uint32(_IN_MODIFY)) < 0:
        os.close(descriptor)
        return -1
    return descriptor
