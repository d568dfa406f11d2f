"""What both cgroup versions share: the interface, reading and writing control files, Docker's warnings.

Standard library only, and little of it: the zygote and the supervisors import this and stay small.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = [
    "ALL_DEVICES",
    "DEFAULT_DEVICES",
    "Cgroup",
    "NullCgroup",
    "block_device",
    "cpu_quota",
    "discarded",
    "flat_keyed",
    "make_directories",
    "read_text",
    "remove_tree",
    "write_text",
]

DEFAULT_DEVICES = (
    "b *:* m",
    "c *:* m",
    "c 1:3 rwm",  # null
    "c 1:5 rwm",  # zero
    "c 1:7 rwm",  # full
    "c 1:8 rwm",  # random
    "c 1:9 rwm",  # urandom
    "c 5:0 rwm",  # tty
    "c 5:1 rwm",  # console
    "c 5:2 rwm",  # ptmx
    "c 10:200 rwm",  # net/tun
    "c 136:* rwm",  # pts
)
"""What dockerd 20.10 lets every container use; making any node (``m``) is allowed, opening it is not."""

ALL_DEVICES = "a *:* rwm"
PROC_WAIT_SECONDS = 10.0
"""How long removal waits for killed processes to be gone; a process in disk wait may take its time."""

_NOT_MOUNTED = "or the cgroup is not mounted."
_WARNINGS = (
    # (limit, what the kernel must offer, Docker's sentence): moby daemon/daemon_unix.go,
    # verifyPlatformContainerResources, in its order.
    ("memory", "memory", f"memory limit capabilities {_NOT_MOUNTED} Limitation discarded."),
    ("memory", "swap", f"swap limit capabilities {_NOT_MOUNTED} Memory limited without swap."),
    ("memory_reservation", "reservation", f"memory soft limit capabilities {_NOT_MOUNTED} Limitation discarded."),
    ("oom_kill_disable", "oom_kill_disable", "OomKillDisable. OomKillDisable discarded."),
    ("pids", "pids", f"PIDs limit capabilities {_NOT_MOUNTED} PIDs limit discarded."),
    ("nano_cpus", "cpu_cfs", "CPU CFS scheduler. CPU period/quota discarded."),
    ("cpu_shares", "cpu_shares", f"CPU shares {_NOT_MOUNTED} Shares discarded."),
    ("cpu_period", "cpu_cfs", "CPU CFS scheduler. CPU period/quota discarded."),
    ("cpu_quota", "cpu_cfs", "CPU CFS scheduler. CPU period/quota discarded."),
    ("cpuset_cpus", "cpuset", f"cpuset {_NOT_MOUNTED} Cpuset discarded."),
    ("cpuset_mems", "cpuset", f"cpuset {_NOT_MOUNTED} Cpuset discarded."),
    ("blkio_weight", "blkio_weight", f"Block I/O weight {_NOT_MOUNTED} Weight discarded."),
    (
        "device_read_bps",
        "blkio_throttle",
        f"BPS Block I/O read limit {_NOT_MOUNTED} Block I/O BPS read limit discarded.",
    ),
    (
        "device_write_bps",
        "blkio_throttle",
        f"BPS Block I/O write limit {_NOT_MOUNTED} Block I/O BPS write limit discarded.",
    ),
    (
        "device_read_iops",
        "blkio_throttle",
        f"IOPS Block read limit {_NOT_MOUNTED} Block I/O IOPS read limit discarded.",
    ),
    (
        "device_write_iops",
        "blkio_throttle",
        f"IOPS Block write limit {_NOT_MOUNTED} Block I/O IOPS write limit discarded.",
    ),
)


def discarded(limits: Mapping[str, Any], support: Iterable[str]) -> list[str]:
    """Give Docker's warning for each limit that is asked for and that ``support`` lacks, each once."""
    offered = set(support)
    found: dict[str, None] = {}
    for name, need, sentence in _WARNINGS:
        if not limits.get(name) or need in offered:
            continue
        if need == "swap" and ("memory" not in offered or limits.get("memory_swap") == -1):
            continue  # nothing is limited, or swap was not to be limited
        found[f"Your kernel does not support {sentence}"] = None
    return list(found)


def cpu_quota(limits: Mapping[str, Any]) -> tuple[int, int]:
    """Give (quota, period) in microseconds; a quota of 0 means that none is asked for, -1 unlimited."""
    period = int(limits.get("cpu_period") or 0)
    if nano := int(limits.get("nano_cpus") or 0):
        period = period or 100_000
        return nano * period // 1_000_000_000, period
    return int(limits.get("cpu_quota") or 0), period


def block_device(path: str) -> str:
    """Give ``major:minor`` of a block device's path. Raises OSError with Docker's wording."""
    try:
        number = os.stat(path).st_rdev
    except OSError as error:
        raise OSError(error.errno, f"no such file or directory: {path}") from error
    return f"{os.major(number)}:{os.minor(number)}"


def read_text(path: str) -> str | None:
    """Read a control file; None where the kernel has no such file or does not let us."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def write_text(path: str, text: str) -> None:
    """Write a control file in one call, as the kernel wants it. Raises OSError naming the file."""
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"failed to write {text!r} to {path}: {os.strerror(error.errno or 0)}") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def flat_keyed(text: str | None) -> dict[str, int]:
    """Parse ``key value`` lines (memory.stat, cpu.stat); lines of another shape are left out."""
    result: dict[str, int] = {}
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if value.lstrip("-").isdigit():
            result[key] = int(value)
    return result


def make_directories(top: str, relative: str) -> Iterator[str]:
    """Make ``top/relative`` step by step, giving each directory, existing ones too."""
    path = top
    for part in relative.split("/"):
        if part in ("", ".", ".."):
            continue
        path = f"{path}/{part}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o755)
        yield path


def remove_tree(path: str, deadline: float) -> None:
    """Remove a cgroup and those below it, waiting for dying processes until ``deadline`` (monotonic).

    Raises OSError (EBUSY) when processes outlast it.
    """
    pause = 0.0005
    while True:
        try:
            for directory, _, _ in os.walk(path, topdown=False):
                os.rmdir(directory)
            return
        except FileNotFoundError:
            if not os.path.isdir(path):
                return
        except OSError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(pause)  # a killed process leaves its cgroup a moment after it was reaped
            pause = min(pause * 2, 0.05)


class Cgroup:
    """One container's cgroup, in every hierarchy that this machine mounts. ``warnings`` are Docker's."""

    version = 0

    def __init__(self, directories: Mapping[str, str], warnings: Iterable[str] = ()) -> None:
        self._directories = dict(directories)
        self.warnings: list[str] = list(warnings)
        self.guards_devices = False
        """Whether processes in it can open only the devices that are allowed; ``allow_devices`` sets it."""

    def paths(self) -> dict[str, str]:
        """Give controller -> directory; ``load`` takes it back in another process."""
        return dict(self._directories)

    def allow_devices(self, rules: Iterable[str]) -> None:
        """Deny every device but Docker's default ones and ``rules``; the rule ``a *:* rwm`` allows all."""
        extra = tuple(rules)
        self.guards_devices = ALL_DEVICES in extra or self._guard_devices((*DEFAULT_DEVICES, *extra))

    def _guard_devices(self, _rules: Sequence[str]) -> bool:
        """Let only these devices be opened; tell whether that can be had here."""
        return False

    def enter(self, pid: int) -> None:
        """Move a process into the cgroup (all its threads; children born later follow by themselves)."""
        for directory in self._directories.values():
            write_text(f"{directory}/cgroup.procs", str(pid))

    def procs(self) -> list[int]:
        """List every process in the cgroup and those below it, as this process' pid namespace numbers them."""
        directory = self._main_directory()
        found: set[int] = set()
        if directory:
            for path, _, _ in os.walk(directory):
                found.update(int(pid) for pid in (read_text(f"{path}/cgroup.procs") or "").split())
        found.discard(0)  # a process of a foreign pid namespace shows as 0
        return sorted(found)

    def freeze(self) -> None:
        """Stop every process in the cgroup; returns once all stand still."""
        raise NotImplementedError

    def thaw(self) -> None:
        """Let them go on."""
        raise NotImplementedError

    def oom_count(self) -> int:
        """Count the processes that the kernel killed for want of memory."""
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """Read the counters, as the fields of ``driver.CgroupStats``."""
        raise NotImplementedError

    def update(self, limits: Mapping[str, Any]) -> None:
        """Set the limits given; those that are 0 or empty stay as they are. Raises OSError where one is refused."""
        raise NotImplementedError

    def kill(self) -> None:
        """Send SIGKILL to every process in the cgroup, until none is left to send it to."""
        unified = self._directories.get("unified")
        if unified and os.path.exists(f"{unified}/cgroup.kill"):
            write_text(f"{unified}/cgroup.kill", "1")
            self.thaw()  # a frozen v1 process dies only once thawed
            return
        for _ in range(100):  # a process may fork between the listing and the killing
            processes = self.procs()
            if not processes:
                return
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.thaw()
            time.sleep(0.002)

    def remove(self) -> None:
        """Remove the cgroup; its processes must have been killed, and are waited for. Idempotent.

        Raises OSError when they outlast ten seconds.
        """
        deadline = time.monotonic() + PROC_WAIT_SECONDS
        for directory in self._directories.values():
            remove_tree(directory, deadline)

    def _main_directory(self) -> str | None:
        for name in ("unified", "freezer", "pids", "memory"):
            if name in self._directories:
                return self._directories[name]
        return next(iter(self._directories.values()), None)


class NullCgroup(Cgroup):
    """Where nothing is writable (rootless without delegation): limits nothing, counts nothing, and says so."""

    def enter(self, pid: int) -> None:
        """Do nothing: the process stays in the cgroup of the engine."""

    def freeze(self) -> None:
        """Raise: without a cgroup there is no freezer."""
        raise OSError(95, "the cgroup is not writable here, so a container cannot be paused")

    def thaw(self) -> None:
        """Do nothing: nothing can have been frozen."""

    def oom_count(self) -> int:
        """Give 0: nothing is counted."""
        return 0

    def stats(self) -> dict[str, Any]:
        """Give nothing."""
        return {}

    def update(self, limits: Mapping[str, Any]) -> None:
        """Warn about each limit that is asked for."""
        self.warnings += [text for text in discarded(limits, ()) if text not in self.warnings]
