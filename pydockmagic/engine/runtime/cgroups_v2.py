"""Cgroup v2: one hierarchy for all controllers (Linux ``admin-guide/cgroup-v2``).

Devices are guarded by a BPF program (``devices_bpf``). Where the kernel takes none, the runtime takes CAP_MKNOD from
containers instead, so that they have only the device nodes that they are given; ``doctor`` names the difference.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from . import devices_bpf
from .cgroups_base import Cgroup, block_device, cpu_quota, flat_keyed, make_directories, read_text, write_text

__all__ = ["CgroupV2", "delegated_base", "support"]

_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


def support(top: str, base: str) -> set[str]:
    """Say which limits can be kept below ``base``: controllers that are on there, or can be turned on."""
    there = set((read_text(f"{top}{base}/cgroup.controllers") or "").split())
    offered = {"freezer"}
    if "memory" in there:
        offered |= {"memory", "reservation"}
        if os.path.exists("/proc/swaps"):
            offered.add("swap")
    if "cpu" in there:
        offered |= {"cpu_shares", "cpu_cfs"}
    if "io" in there:
        offered |= {"blkio_weight", "blkio_weight_device", "blkio_throttle"}
    return offered | (there & {"pids", "cpuset"})


def delegated_base(top: str) -> str | None:
    """Find where this process may make cgroups: ``""`` is the top, None nowhere.

    An ordinary user has what systemd delegated (``user@UID.service``); the nearest writable parent of the own cgroup
    is taken, because a process may only be moved within what is delegated.
    """
    if _writable(top):
        return ""
    own = ""
    for line in (read_text("/proc/self/cgroup") or "").splitlines():
        if line.startswith("0::"):
            own = line[3:].rstrip("/")
    best = None
    while own and _writable(top + own):
        best, own = own, own.rpartition("/")[0]
    return best


def _writable(path: str) -> bool:
    files = (path, f"{path}/cgroup.procs", f"{path}/cgroup.subtree_control")
    return all(os.access(file, os.W_OK) for file in files)


class CgroupV2(Cgroup):
    """A container's one directory."""

    version = 2

    @classmethod
    def create(cls, top: str, base: str, relative: str) -> CgroupV2:
        """Make ``base/relative`` below ``top`` with every controller turned on that can be."""
        parent = top + base
        path = parent
        for path in make_directories(parent, relative):
            _turn_on(path.rpartition("/")[0])
        return cls({"unified": path})

    def _guard_devices(self, rules: Sequence[str]) -> bool:
        try:
            devices_bpf.attach(self._directory, rules)
        except OSError:  # no BPF in this kernel, or none for us
            return False
        return True

    def support(self) -> set[str]:
        """Say which limits this very cgroup can keep: what could not be turned on above is not there."""
        return support(self._directory, "")

    def freeze(self) -> None:
        """Freeze, and wait until the kernel says that all stand still."""
        write_text(f"{self._directory}/cgroup.freeze", "1")
        deadline = time.monotonic() + 10
        while flat_keyed(read_text(f"{self._directory}/cgroup.events")).get("frozen") != 1:
            if time.monotonic() > deadline:
                self.thaw()
                raise OSError(errno.EBUSY, "unable to freeze")
            time.sleep(0.001)

    def thaw(self) -> None:
        """Thaw."""
        with contextlib.suppress(FileNotFoundError):
            write_text(f"{self._directory}/cgroup.freeze", "0")

    def oom_count(self) -> int:
        """Read ``oom_kill`` of memory.events."""
        return flat_keyed(read_text(f"{self._directory}/memory.events")).get("oom_kill", 0)

    def update(self, limits: Mapping[str, Any]) -> None:
        """Set the limits given, in v2's units (weights instead of shares, swap without the memory)."""
        memory, swap = int(limits.get("memory") or 0), int(limits.get("memory_swap") or 0)
        quota, period = cpu_quota(limits)
        pids = int(limits.get("pids") or 0)
        values = {
            "memory.swap.max": "max" if swap == -1 else str(swap - memory) if swap > 0 and memory else "",
            "memory.max": "max" if memory < 0 else str(memory or ""),
            "memory.low": str(limits.get("memory_reservation") or ""),
            "pids.max": "max" if pids < 0 else str(pids or ""),
            "cpu.weight": _weight(int(limits.get("cpu_shares") or 0), 2, 262_144),
            "cpu.max": f"{'max' if quota <= 0 else quota} {period or 100_000}" if quota or period else "",
            "cpuset.cpus": str(limits.get("cpuset_cpus") or ""),
            "cpuset.mems": str(limits.get("cpuset_mems") or ""),
            "io.bfq.weight": str(limits.get("blkio_weight") or ""),
            "io.weight": _weight(int(limits.get("blkio_weight") or 0), 10, 1000),
        }
        for file, value in values.items():
            if value and os.path.exists(f"{self._directory}/{file}"):
                write_text(f"{self._directory}/{file}", value)
        for device, weight in limits.get("device_weights") or ():
            for file, value in (("io.bfq.weight", str(weight)), ("io.weight", _weight(weight, 10, 1000))):
                if os.path.exists(f"{self._directory}/{file}"):
                    write_text(f"{self._directory}/{file}", f"{block_device(device)} {value}")
        for name, key in (
            ("device_read_bps", "rbps"),
            ("device_write_bps", "wbps"),
            ("device_read_iops", "riops"),
            ("device_write_iops", "wiops"),
        ):
            for device, rate in limits.get(name) or ():
                if os.path.exists(f"{self._directory}/io.max"):
                    write_text(f"{self._directory}/io.max", f"{block_device(device)} {key}={rate}")

    def stats(self) -> dict[str, Any]:
        """Read the counters."""
        cpu = flat_keyed(self._read("cpu.stat"))
        return {
            "memory_usage": self._number("memory.current"),
            "memory_limit": self._number("memory.max"),
            "memory_stat": flat_keyed(self._read("memory.stat")),
            "cpu_usage_ns": _nanoseconds(cpu, "usage_usec"),
            "cpu_user_ns": _nanoseconds(cpu, "user_usec"),
            "cpu_system_ns": _nanoseconds(cpu, "system_usec"),
            "pids": self._number("pids.current"),
            "pids_limit": self._number("pids.max"),
            "blkio_bytes": _io(self._read("io.stat")),
            "throttled": (cpu.get("nr_periods", 0), cpu.get("nr_throttled", 0), cpu.get("throttled_usec", 0) * 1000),
        }

    @property
    def _directory(self) -> str:
        return self._directories["unified"]

    def _read(self, file: str) -> str | None:
        return read_text(f"{self._directory}/{file}")

    def _number(self, file: str) -> int | None:
        text = (self._read(file) or "").strip()
        return int(text) if text.isdigit() else None


def _turn_on(path: str) -> None:
    """Turn on our controllers for the children of ``path``, one by one, so that one refusal costs only itself."""
    offered = set((read_text(f"{path}/cgroup.controllers") or "").split())
    on = set((read_text(f"{path}/cgroup.subtree_control") or "").split())
    for controller in _CONTROLLERS:
        if controller not in offered - on:
            continue
        try:
            write_text(f"{path}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:  # EACCES where not delegated
            if error.errno == errno.EBUSY and _make_room(path):
                with contextlib.suppress(OSError):
                    write_text(f"{path}/cgroup.subtree_control", f"+{controller}")


def _make_room(path: str) -> bool:
    """Move the processes in ``path`` into a child of it: a cgroup may limit its children or hold processes, not both.

    Only for the top of a cgroup namespace (an engine as root inside a container), where everything is ours; the
    kernel's own root, which has no ``cgroup.type``, may do both anyway.
    """
    mounted = any(
        line.split(" ")[4] == path and " - cgroup2 " in line
        for line in (read_text("/proc/self/mountinfo") or "").splitlines()
    )
    if not mounted or not os.path.exists(f"{path}/cgroup.type"):
        return False
    child = f"{path}/init"
    with contextlib.suppress(FileExistsError):
        os.mkdir(child, 0o755)
    for pid in (read_text(f"{path}/cgroup.procs") or "").split():
        with contextlib.suppress(OSError):  # it ended meanwhile, or is of a namespace above
            write_text(f"{child}/cgroup.procs", pid)
    return True


def _weight(value: int, low: int, high: int) -> str:
    """Map a v1 weight (``low`` to ``high``) to v2's 1 to 10000, linearly, as runc does."""
    return str(1 + (max(low, min(value, high)) - low) * 9999 // (high - low)) if value else ""


def _nanoseconds(values: Mapping[str, int], key: str) -> int | None:
    return values[key] * 1000 if key in values else None


def _io(text: str | None) -> tuple[tuple[int, int, str, int], ...]:
    rows = []
    for line in (text or "").splitlines():
        device, *fields = line.split()
        major, _, minor = device.partition(":")
        values = dict(field.split("=", 1) for field in fields if "=" in field)
        if major.isdigit() and minor.isdigit():
            rows += [
                (int(major), int(minor), operation, int(values[key]))
                for operation, key in (("Read", "rbytes"), ("Write", "wbytes"))
                if key in values
            ]
    return tuple(rows)
