"""Limits of a container: what is refused, and what this kernel cannot keep, in the words of moby's daemon_unix.go.

A limit that cannot be kept is a warning, and its field is emptied, so that ``docker inspect`` shows what holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

import msgspec

from pydockmagic.engine.errors import Conflict, InvalidParameter

from .config import HostConfig, UpdateRequest

__all__ = ["check_resources", "kernel_memory", "updated"]

_MIN_MEMORY = 6 << 20
_CPU_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_UNSUPPORTED = "Your kernel does not support "
_NOT_MOUNTED = " or the cgroup is not mounted. "
_KERNEL_MEMORY = "Specifying a kernel memory limit is deprecated and will be removed in a future release."
_NO_BRAKE = (
    "OOM killer is disabled for the container, but no memory limit is set, "
    "this can result in the system running out of resources."
)
_THROTTLES = (
    ("blkio_device_read_bps", "BPS Block I/O read limit", "Block I/O BPS read limit"),
    ("blkio_device_write_bps", "BPS Block I/O write limit", "Block I/O BPS write limit"),
    ("blkio_device_read_iops", "IOPS Block read limit", "Block I/O IOPS read limit"),
    ("blkio_device_write_iops", "IOPS Block write limit", "Block I/O IOPS write limit"),
)
_UPDATABLE = (
    "cpu_shares", "memory", "nano_cpus", "blkio_weight", "cpu_period", "cpu_quota", "cpu_realtime_period",
    "cpu_realtime_runtime", "cpuset_cpus", "cpuset_mems", "memory_reservation", "memory_swap",
)  # fmt: skip


def check_resources(host: HostConfig, support: Collection[str], *, update: bool = False) -> list[str]:
    """Check the limits of ``host`` against what the kernel offers (``runtime.cgroups``); give Docker's warnings.

    Changes ``host``: limits that cannot be kept are taken out. Raises ``InvalidParameter``.
    """
    warnings: list[str] = []
    _check_memory(host, support, warnings, update=update)
    _check_oom(host, support, warnings)
    _check_pids(host, support, warnings)
    _check_cpu(host, support, warnings)
    _check_cpu_sets(host, support, warnings)
    _check_blkio(host, support, warnings)
    return warnings


def _check_memory(host: HostConfig, support: Collection[str], warnings: list[str], *, update: bool) -> None:
    if host.memory and host.memory < _MIN_MEMORY:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")
    if host.memory > 0 and "memory" not in support:
        warnings.append(f"{_UNSUPPORTED}memory limit capabilities{_NOT_MOUNTED}Limitation discarded.")
        host.memory, host.memory_swap = 0, -1
    if host.memory > 0 and host.memory_swap != -1 and "swap" not in support:
        warnings.append(f"{_UNSUPPORTED}swap limit capabilities{_NOT_MOUNTED}Memory limited without swap.")
        host.memory_swap = -1
    if 0 < host.memory_swap < host.memory:
        raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.memory == 0 and host.memory_swap > 0 and not update:
        raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
    if host.memory_swappiness == -1:
        host.memory_swappiness = None
    if host.memory_swappiness is not None and "swappiness" not in support:
        warnings.append(f"{_UNSUPPORTED}memory swappiness capabilities{_NOT_MOUNTED}Memory swappiness discarded.")
        host.memory_swappiness = None
    if host.memory_swappiness is not None and not 0 <= host.memory_swappiness <= 100:
        raise InvalidParameter(f"Invalid value: {host.memory_swappiness}, valid memory swappiness range is 0-100")
    _check_reservation(host, support, warnings)


def _check_reservation(host: HostConfig, support: Collection[str], warnings: list[str]) -> None:
    if host.memory_reservation > 0 and "reservation" not in support:
        warnings.append(f"{_UNSUPPORTED}memory soft limit capabilities{_NOT_MOUNTED}Limitation discarded.")
        host.memory_reservation = 0
    if 0 < host.memory_reservation < _MIN_MEMORY:
        raise InvalidParameter("Minimum memory reservation allowed is 6MB")
    if 0 < host.memory < host.memory_reservation:
        raise InvalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage")


def kernel_memory(asked: int) -> list[str]:
    """Answer a kernel memory limit, which clients before API 1.42 send: no kernel of today keeps one."""
    if not asked:
        return []
    if 0 < asked < _MIN_MEMORY:
        raise InvalidParameter("Minimum kernel memory limit allowed is 6MB")
    return [_KERNEL_MEMORY]


def _check_oom(host: HostConfig, support: Collection[str], warnings: list[str]) -> None:
    if host.oom_kill_disable is not None and "oom_kill_disable" not in support:
        if host.oom_kill_disable:
            warnings.append(f"{_UNSUPPORTED}OomKillDisable. OomKillDisable discarded.")
        host.oom_kill_disable = None
    if host.oom_kill_disable and host.memory == 0:
        warnings.append(_NO_BRAKE)


def _check_pids(host: HostConfig, support: Collection[str], warnings: list[str]) -> None:
    if host.pids_limit is not None and "pids" not in support:
        if host.pids_limit > 0:
            warnings.append(f"{_UNSUPPORTED}PIDs limit capabilities{_NOT_MOUNTED}PIDs limit discarded.")
        host.pids_limit = None


def _check_cpu(host: HostConfig, support: Collection[str], warnings: list[str]) -> None:
    if host.nano_cpus > 0:
        if host.cpu_period > 0:
            raise InvalidParameter("Conflicting options: Nano CPUs and CPU Period cannot both be set")
        if host.cpu_quota > 0:
            raise InvalidParameter("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    cpus = os.cpu_count() or 1
    if not 0 <= host.nano_cpus <= cpus * 1_000_000_000:
        raise InvalidParameter(f"Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if host.cpu_shares < 0:
        raise InvalidParameter(f"invalid CPU shares ({host.cpu_shares}): value must be a positive integer")
    if host.cpu_shares > 0 and "cpu_shares" not in support:
        warnings.append(f"{_UNSUPPORTED}CPU shares{_NOT_MOUNTED}Shares discarded.")
        host.cpu_shares = 0
    if (host.nano_cpus or host.cpu_period or host.cpu_quota) and "cpu_cfs" not in support:
        # dockerd refuses --cpus then; here a course's command goes on, as with every other limit
        warnings.append(f"{_UNSUPPORTED}CPU CFS scheduler. CPU period/quota discarded.")
        host.nano_cpus = host.cpu_period = host.cpu_quota = 0
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidParameter("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < 1000:
        raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if host.cpu_percent > 0:
        warnings.append("linux does not support CPU percent. Percent discarded.")
        host.cpu_percent = 0


def _check_cpu_sets(host: HostConfig, support: Collection[str], warnings: list[str]) -> None:
    if (host.cpuset_cpus or host.cpuset_mems) and "cpuset" not in support:
        warnings.append(f"{_UNSUPPORTED}cpuset{_NOT_MOUNTED}Cpuset discarded.")
        host.cpuset_cpus = host.cpuset_mems = ""
    _check_cpu_set(host.cpuset_cpus, "cpus", "CPUs", "/sys/devices/system/cpu/online")
    _check_cpu_set(host.cpuset_mems, "mems", "memory nodes", "/sys/devices/system/node/online")


def _check_cpu_set(asked: str, option: str, label: str, available: str) -> None:
    if not asked:
        return
    if not _CPU_LIST.fullmatch(asked):
        raise InvalidParameter(f"Invalid value {asked} for cpuset {option}: invalid format: {asked}")
    try:
        with open(available, encoding="ascii") as file:  # noqa: PTH123 - a one-line file of the kernel
            there = file.read().strip()
    except OSError:
        return
    if not _numbers(asked) <= _numbers(there):
        raise InvalidParameter(f"Requested {label} are not available - requested {asked}, available: {there}")


def _numbers(text: str) -> set[int]:
    result: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        result.update(range(int(first), int(last or first) + 1))
    return result


def _check_blkio(host: HostConfig, support: Collection[str], warnings: list[str]) -> None:
    if host.blkio_weight > 0 and "blkio_weight" not in support:
        warnings.append(f"{_UNSUPPORTED}Block I/O weight{_NOT_MOUNTED}Weight discarded.")
        host.blkio_weight = 0
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise InvalidParameter("Range of blkio weight is from 10 to 1000")
    if host.io_maximum_bandwidth or host.io_maximum_iops:
        raise InvalidParameter("Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps")
    if host.blkio_weight_device and "blkio_weight_device" not in support:
        warnings.append(f"{_UNSUPPORTED}Block I/O weight_device{_NOT_MOUNTED}Weight-device discarded.")
        host.blkio_weight_device = []
    for field, what, short in _THROTTLES:
        if getattr(host, field) and "blkio_throttle" not in support:
            warnings.append(f"{_UNSUPPORTED}{what}{_NOT_MOUNTED}{short} discarded.")
            setattr(host, field, [])


def updated(host: HostConfig, request: UpdateRequest, support: Collection[str]) -> tuple[HostConfig, list[str]]:
    """Give the limits after ``docker update``, and warnings. What is asked is checked alone, then beside the old."""
    asked = HostConfig(**{name: getattr(request, name) for name in _UPDATABLE}, pids_limit=request.pids_limit)
    warnings = [*kernel_memory(request.kernel_memory), *check_resources(asked, support, update=True)]
    _refuse_conflicts(host, asked)
    changes = {name: value for name in _UPDATABLE if (value := getattr(asked, name))}
    if asked.pids_limit is not None:
        changes["pids_limit"] = max(asked.pids_limit, 0)  # 0 and -1 both take the limit away
    if request.restart_policy is not None and request.restart_policy.name:
        changes["restart_policy"] = request.restart_policy
    return msgspec.structs.replace(host, **changes), warnings


def _refuse_conflicts(host: HostConfig, asked: HostConfig) -> None:
    """Raise ``Conflict`` where a new limit cannot be beside one that is set (moby's ``UpdateContainer``)."""
    smaller = host.memory_swap != -1 and asked.memory > host.memory_swap and asked.memory_swap == 0
    conflicts = (
        (asked.nano_cpus and host.cpu_period, "Nano CPUs cannot be updated as CPU Period has already been set"),
        (asked.nano_cpus and host.cpu_quota, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        (asked.cpu_period and host.nano_cpus, "CPU Period cannot be updated as NanoCPUs has already been set"),
        (asked.cpu_quota and host.nano_cpus, "CPU Quota cannot be updated as NanoCPUs has already been set"),
    )
    for wrong, what in conflicts:
        if wrong:
            raise Conflict(f"Conflicting options: {what}")
    if smaller:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
