"""Cgroups: what counts, limits, freezes and kills the processes of a container, on v1, v2 and hybrid machines.

``create`` makes one and sets its limits; what this machine cannot limit is a warning in Docker's words, never
silence. Standard library only: the zygote and the supervisors import this and stay small.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from typing import Any

from . import cgroups_v1, cgroups_v2
from .cgroups_base import Cgroup, NullCgroup, discarded
from .cgroups_v1 import CgroupV1
from .cgroups_v2 import CgroupV2

__all__ = ["Cgroup", "Layout", "NullCgroup", "create", "layout", "load"]


class Layout:
    """What this machine mounts and lets us write: ``version`` (0 none, 1 also for hybrid, 2), hierarchies, support."""

    def __init__(self, mounts: Mapping[str, str]) -> None:
        self.unified = mounts.get("unified", "")
        self.hierarchies = {name: path for name, path in mounts.items() if name != "unified"}
        self.base = ""
        self.version = 0
        self.support: set[str] = set()
        if any(not name.startswith("name=") for name in self.hierarchies):
            writable = {name: path for name, path in mounts.items() if os.access(path, os.W_OK)}
            self.hierarchies = writable
            self.support = cgroups_v1.support(writable)
            self.version = 1 if writable else 0
        elif self.unified:
            base = cgroups_v2.delegated_base(self.unified)
            if base is not None:
                self.version, self.base = 2, base
                self.support = cgroups_v2.support(self.unified, base)


_known: list[Layout] = []


def layout() -> Layout:
    """Look once at what is mounted, and remember it for this process."""
    if not _known:
        _known.append(Layout(_mounts()))
    return _known[0]


def create(parent: str, container_id: str, limits: Mapping[str, Any]) -> Cgroup:
    """Make the cgroup ``parent/container_id`` with its limits (the fields of ``spec.CgroupLimits``).

    What is left of an earlier one of this name is used again. Raises OSError where the kernel refuses a value;
    nothing is left behind then.
    """
    machine = layout()
    relative = f"{parent.strip('/')}/{container_id}"
    group: Cgroup = NullCgroup({})
    try:
        if machine.version == 1:
            group = CgroupV1.create(machine.hierarchies, relative)
        elif machine.version == 2:
            group = CgroupV2.create(machine.unified, machine.base, relative)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    if not group.paths():
        return NullCgroup({}, discarded(limits, ()))
    group.warnings += discarded(limits, group.support() if isinstance(group, CgroupV2) else machine.support)
    try:
        group.allow_devices(limits.get("device_rules") or ())
        group.update(limits)
    except BaseException:
        with contextlib.suppress(OSError):
            group.remove()
        raise
    return group


def load(paths: Mapping[str, str]) -> Cgroup:
    """Give the cgroup that ``paths()`` described, in this or an earlier process."""
    if not paths:
        return NullCgroup({})
    return CgroupV2(paths) if set(paths) == {"unified"} else CgroupV1(paths)


def _mounts() -> dict[str, str]:
    """Give controller -> where its hierarchy is mounted; ``unified`` is the v2 tree, ``name=systemd`` its v1 twin."""
    found: dict[str, str] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            kind, _, options = rest.split(" ", 2)
            path = fields.split(" ")[4]
            if kind == "cgroup2":
                found.setdefault("unified", path)
            elif kind == "cgroup":
                for option in options.strip().split(","):
                    if option.startswith("name=") or option in _V1_CONTROLLERS:
                        found.setdefault(option, path)
    return found


_V1_CONTROLLERS = frozenset(
    ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio")
)
