"""Cgroup v1, and hybrid machines: one hierarchy per controller (Linux ``admin-guide/cgroup-v1``).

The paths are dockerd's own with its cgroupfs driver: ``/sys/fs/cgroup/memory/docker/ID``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .cgroups_base import Cgroup, block_device, cpu_quota, flat_keyed, make_directories, read_text, write_text

__all__ = ["CgroupV1", "support"]

_MIN_SHARES, _MAX_SHARES = 2, 262_144
_UNLIMITED = 1 << 62
"""v1 shows "no limit" as a page-rounded 2**63."""


def support(mounts: Mapping[str, str]) -> set[str]:
    """Say which limits the mounted hierarchies can keep, judged by the files in their roots as dockerd does."""

    def has(controller: str, file: str = "cgroup.procs") -> bool:
        return controller in mounts and os.path.exists(f"{mounts[controller]}/{file}")

    files = {
        "memory": has("memory", "memory.limit_in_bytes"),
        "swap": has("memory", "memory.memsw.limit_in_bytes"),
        "reservation": has("memory", "memory.soft_limit_in_bytes"),
        "swappiness": has("memory", "memory.swappiness"),
        "oom_kill_disable": has("memory", "memory.oom_control"),
        "pids": has("pids"),
        "cpu_shares": has("cpu", "cpu.shares"),
        "cpu_cfs": has("cpu", "cpu.cfs_quota_us"),
        "cpuset": has("cpuset"),
        "blkio_weight": has("blkio", "blkio.weight"),
        "blkio_weight_device": has("blkio", "blkio.weight_device"),
        "blkio_throttle": has("blkio", "blkio.throttle.read_bps_device"),
        "devices": has("devices", "devices.allow"),
        "freezer": has("freezer"),
    }
    return {name for name, there in files.items() if there}


class CgroupV1(Cgroup):
    """A container's directories, one per hierarchy; ``unified`` among them on a hybrid machine."""

    version = 1

    @classmethod
    def create(cls, mounts: Mapping[str, str], relative: str) -> CgroupV1:
        """Make ``relative`` in every hierarchy that lets us. Those that refuse are left out."""
        directories: dict[str, str] = {}
        for controller, top in mounts.items():
            path = top
            try:
                for path in make_directories(top, relative):
                    if controller == "cpuset":
                        _inherit_cpuset(path)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
                continue
            directories[controller] = path
        return cls(directories)

    def _guard_devices(self, rules: Sequence[str]) -> bool:
        directory = self._directories.get("devices")
        if directory is None:
            return False
        write_text(f"{directory}/devices.deny", "a")
        for rule in rules:
            # A parent that forbids the device (an engine inside a container) wins, and EPERM says so.
            with contextlib.suppress(PermissionError):
                write_text(f"{directory}/devices.allow", rule)
        return True

    def freeze(self) -> None:
        """Freeze; the kernel may need several rounds while processes fork."""
        state = f"{self._need('freezer')}/freezer.state"
        deadline = time.monotonic() + 10
        write_text(state, "FROZEN")
        while (read_text(state) or "").strip() != "FROZEN":
            if time.monotonic() > deadline:
                write_text(state, "THAWED")
                raise OSError(errno.EBUSY, "unable to freeze")
            time.sleep(0.001)
            write_text(state, "FROZEN")

    def thaw(self) -> None:
        """Thaw."""
        if directory := self._directories.get("freezer"):
            with contextlib.suppress(FileNotFoundError):
                write_text(f"{directory}/freezer.state", "THAWED")

    def oom_count(self) -> int:
        """Read ``oom_kill`` of memory.oom_control."""
        return flat_keyed(self._read("memory", "memory.oom_control")).get("oom_kill", 0)

    def update(self, limits: Mapping[str, Any]) -> None:
        """Set the limits given; raises OSError where the kernel refuses one (a CPU that is not there, say)."""
        self._set_memory(limits)
        _check_shares(int(limits.get("cpu_shares") or 0))
        quota, period = cpu_quota(limits)
        for controller, file, value in (
            ("memory", "memory.soft_limit_in_bytes", limits.get("memory_reservation")),
            ("memory", "memory.oom_control", int(bool(limits.get("oom_kill_disable")))),
            ("memory", "memory.swappiness", _swappiness(limits)),
            ("pids", "pids.max", _pids(limits)),
            ("cpu", "cpu.shares", limits.get("cpu_shares")),
            ("cpu", "cpu.cfs_period_us", period),
            ("cpu", "cpu.cfs_quota_us", quota),
            ("cpuset", "cpuset.cpus", limits.get("cpuset_cpus")),
            ("cpuset", "cpuset.mems", limits.get("cpuset_mems")),
            ("blkio", "blkio.weight", limits.get("blkio_weight")),
        ):
            if value:
                self._write(controller, file, str(value))
        for name, file in (
            ("device_weights", "blkio.weight_device"),
            ("device_read_bps", "blkio.throttle.read_bps_device"),
            ("device_write_bps", "blkio.throttle.write_bps_device"),
            ("device_read_iops", "blkio.throttle.read_iops_device"),
            ("device_write_iops", "blkio.throttle.write_iops_device"),
        ):
            for device, rate in limits.get(name) or ():
                self._write("blkio", file, f"{block_device(device)} {rate}")

    def stats(self) -> dict[str, Any]:
        """Read the counters of each hierarchy."""
        cpu = flat_keyed(self._read("cpu", "cpu.stat"))
        limit = self._number("memory", "memory.limit_in_bytes")
        return {
            "memory_usage": self._number("memory", "memory.usage_in_bytes"),
            "memory_limit": None if limit is None or limit >= _UNLIMITED else limit,
            "memory_max_usage": self._number("memory", "memory.max_usage_in_bytes"),
            "memory_failures": self._number("memory", "memory.failcnt"),
            "memory_stat": flat_keyed(self._read("memory", "memory.stat")),
            "cpu_usage_ns": self._number("cpuacct", "cpuacct.usage"),
            "cpu_user_ns": self._number("cpuacct", "cpuacct.usage_user"),
            "cpu_system_ns": self._number("cpuacct", "cpuacct.usage_sys"),
            "per_cpu_ns": [int(text) for text in (self._read("cpuacct", "cpuacct.usage_percpu") or "").split()],
            "pids": self._number("pids", "pids.current"),
            "pids_limit": self._number("pids", "pids.max"),
            "blkio_bytes": _blkio(self._read("blkio", "blkio.throttle.io_service_bytes_recursive")),
            "blkio_operations": _blkio(self._read("blkio", "blkio.throttle.io_serviced_recursive")),
            "throttled": (cpu.get("nr_periods", 0), cpu.get("nr_throttled", 0), cpu.get("throttled_time", 0)),
        }

    def _set_memory(self, limits: Mapping[str, Any]) -> None:
        """Set memory and memory+swap in the order in which the kernel takes them: memory may never exceed the sum."""
        memory, swap = int(limits.get("memory") or 0), int(limits.get("memory_swap") or 0)
        writes: list[Callable[[], None]] = []
        if memory:
            writes.append(lambda: self._write_memory(memory))
        if swap and self._read("memory", "memory.memsw.limit_in_bytes") is not None:
            writes.append(lambda: self._write("memory", "memory.memsw.limit_in_bytes", str(swap)))
        current = self._number("memory", "memory.memsw.limit_in_bytes")
        if current is not None and (swap == -1 or swap > current):
            writes.reverse()
        for write in writes:
            write()

    def _write_memory(self, memory: int) -> None:
        try:
            self._write("memory", "memory.limit_in_bytes", str(memory))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            usage = self._number("memory", "memory.usage_in_bytes")
            peak = self._number("memory", "memory.max_usage_in_bytes")
            sentence = f"unable to set memory limit to {memory} (current usage: {usage}, peak usage: {peak})"
            raise OSError(errno.EBUSY, sentence) from error

    def _need(self, controller: str) -> str:
        directory = self._directories.get(controller)
        if directory is None:
            raise OSError(errno.EOPNOTSUPP, f"the {controller} cgroup is not mounted here, or is not writable")
        return directory

    def _read(self, controller: str, file: str) -> str | None:
        directory = self._directories.get(controller)
        return None if directory is None else read_text(f"{directory}/{file}")

    def _number(self, controller: str, file: str) -> int | None:
        text = (self._read(controller, file) or "").strip()
        return int(text) if text.isdigit() else None

    def _write(self, controller: str, file: str, text: str) -> None:
        """Write where the kernel has the file; where it lacks it, ``support`` has already led to a warning."""
        directory = self._directories.get(controller)
        if directory is not None and os.path.exists(f"{directory}/{file}"):
            write_text(f"{directory}/{file}", text)


def _pids(limits: Mapping[str, Any]) -> str:
    pids = int(limits.get("pids") or 0)
    return "" if pids == 0 else "max" if pids < 0 else str(pids)


def _check_shares(shares: int) -> None:
    """Refuse shares that the kernel would silently make others of, as runc does."""
    head = "error during container init: error setting cgroup config for procHooks process: "
    if shares and shares < _MIN_SHARES:
        raise OSError(errno.EINVAL, f"{head}the minimum allowed cpu-shares is {_MIN_SHARES}")
    if shares > _MAX_SHARES:
        raise OSError(errno.EINVAL, f"{head}the maximum allowed cpu-shares is {_MAX_SHARES}")


def _swappiness(limits: Mapping[str, Any]) -> str:
    swappiness = int(limits.get("memory_swappiness", -1))
    return str(swappiness) if swappiness >= 0 else ""


def _inherit_cpuset(path: str) -> None:
    """Give a new cpuset its parent's CPUs and memory nodes: it starts empty, and an empty one takes no process."""
    parent = path.rpartition("/")[0]
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not (read_text(f"{path}/{file}") or "").strip():
            write_text(f"{path}/{file}", (read_text(f"{parent}/{file}") or "").strip())


def _blkio(text: str | None) -> tuple[tuple[int, int, str, int], ...]:
    rows = []
    for line in (text or "").splitlines():
        device, *rest = line.split()
        if ":" in device and len(rest) == 2:
            major, minor = device.split(":")
            rows.append((int(major), int(minor), rest[0], int(rest[1])))
    return tuple(rows)
