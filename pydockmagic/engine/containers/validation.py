"""What a new container may not ask for, in the words of moby's ``verifyContainerSettings``."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable

from msgspec import UNSET

from pydockmagic.engine.errors import EngineError, InvalidParameter

from .config import ContainerConfig, HostConfig, RestartPolicy
from .signals import parse_signal

__all__ = [
    "ALL_CAPABILITIES",
    "check_config",
    "check_host_config",
    "check_name",
    "check_resources",
    "clean_capabilities",
]

_UNDEFINED = "This would result in undefined behavior"
HOST_AND_LINKS = f"host type networking can't be used with links. {_UNDEFINED}"
CONTAINER_AND_LINKS = f"container type network can't be used with links. {_UNDEFINED}"
_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_MIN_MEMORY = 6 << 20
_CPU_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")

_CAPABILITY_WORDS = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
ALL_CAPABILITIES = tuple(f"CAP_{name}" for name in _CAPABILITY_WORDS.split())
"""In the order of their numbers (capabilities(7))."""


def check_name(name: str) -> str:
    """Give the name without its slash, or raise ``InvalidParameter``."""
    if not _NAME.fullmatch(name):
        raise InvalidParameter(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def check_config(config: ContainerConfig) -> None:
    """Check the portable half; cleans the working directory."""
    if config.working_dir:
        if not config.working_dir.startswith("/"):
            raise InvalidParameter(
                f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
            )
        config.working_dir = posixpath.normpath(config.working_dir)
    for entry in config.env or []:
        if entry.startswith("=") or not entry:
            raise InvalidParameter(f"invalid environment variable: {entry}")
    if config.stop_signal is not UNSET and config.stop_signal:
        parse_signal(config.stop_signal)
    health = config.healthcheck
    if health is not UNSET:
        for value, label in (
            (health.interval, "Interval"),
            (health.timeout, "Timeout"),
            (health.start_period, "StartPeriod"),
            (health.start_interval, "StartInterval"),
        ):
            if value is not UNSET and value and value < 1_000_000:
                raise InvalidParameter(f"{label} in Healthcheck cannot be less than 1ms")
        if health.retries is not UNSET and health.retries < 0:
            raise InvalidParameter("Retries in Healthcheck cannot be negative")


def check_host_config(host: HostConfig, config: ContainerConfig, runtime: str) -> list[str]:
    """Check the host's half; give warnings."""
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")
    check_restart_policy(host.restart_policy)
    for extra in host.extra_hosts or []:
        if ":" not in extra and "=" not in extra:
            raise InvalidParameter(f'invalid ExtraHosts: bad format for add-host: "{extra}"')
    host.cap_add = clean_capabilities(host.cap_add, "CapAdd")
    host.cap_drop = clean_capabilities(host.cap_drop, "CapDrop")
    if host.runtime and host.runtime not in (runtime, "runc"):
        raise InvalidParameter(f"unknown or invalid runtime name: {host.runtime}")
    if host.isolation not in ("", "default"):
        raise InvalidParameter(f"invalid isolation '{host.isolation}' on linux")
    if host.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.volume_driver not in ("", "local"):
        raise EngineError(
            f'error looking up volume plugin {host.volume_driver}: plugin "{host.volume_driver}" not found'
        )
    _check_modes(host, config)
    return check_resources(host)


def check_restart_policy(policy: RestartPolicy) -> None:
    """Check a restart policy."""
    if policy.name not in ("", "no", "always", "on-failure", "unless-stopped"):
        raise InvalidParameter(f"invalid restart policy '{policy.name}'")
    if policy.name in ("always", "unless-stopped", "no") and policy.maximum_retry_count:
        raise InvalidParameter(f"maximum retry count cannot be used with restart policy '{policy.name}'")
    if policy.maximum_retry_count < 0:
        raise InvalidParameter("maximum retry count cannot be negative")


def clean_capabilities(names: list[str] | None, option: str) -> list[str] | None:
    """Give capabilities in their full names, or raise ``InvalidParameter`` for unknown ones."""
    if names is None:
        return None
    result = []
    for name in names:
        upper = name.upper()
        full = upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"
        if full != "ALL" and full not in ALL_CAPABILITIES:
            raise InvalidParameter(f'invalid {option}: unknown capability: "{full}"')
        result.append(full)
    return sorted(set(result))


def _check_modes(host: HostConfig, config: ContainerConfig) -> None:
    """Check namespaces that exclude other options."""
    network = host.network_mode
    joined = network.startswith("container:")
    conflicts: list[tuple[bool, str]] = [
        (joined and bool(config.hostname), "hostname and the network mode"),
        (host.uts_mode == "host" and bool(config.hostname), "hostname and the UTS mode"),
        (joined and bool(host.links), CONTAINER_AND_LINKS),
        (network == "host" and bool(host.links), HOST_AND_LINKS),
        ((joined or network == "host") and bool(host.dns) and joined, "dns and the network mode"),
        (joined and bool(host.extra_hosts), "custom host-to-IP mapping and the network mode"),
        (joined and bool(config.mac_address), "mac-address and the network mode"),
        (
            joined and bool(host.port_bindings or host.publish_all_ports),
            "port publishing and the container type network mode",
        ),
        (joined and bool(config.exposed_ports), "port exposing and the container type network mode"),
    ]
    for wrong, what in conflicts:
        if wrong:
            raise InvalidParameter(f"conflicting options: {what}")
    checks: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
        (host.pid_mode, "PID", lambda m: m in ("", "host") or _names_container(m)),
        (host.ipc_mode, "IPC", lambda m: m in ("", "none", "private", "shareable", "host") or _names_container(m)),
        (host.uts_mode, "UTS", lambda m: m in ("", "host")),
        (host.cgroupns_mode, "cgroup namespace", lambda m: m in ("", "host", "private")),
    )
    for mode, label, valid in checks:
        if not valid(mode):
            raise InvalidParameter(f"invalid {label} mode: {mode}")
    if joined and not _names_container(network):
        raise InvalidParameter("invalid container format container:<name|id>")
    if host.userns_mode not in ("", "host"):
        raise InvalidParameter(f"invalid userns mode: {host.userns_mode}")


def _names_container(mode: str) -> bool:
    kind, _, name = mode.partition(":")
    return kind == "container" and bool(name)


def check_resources(host: HostConfig) -> list[str]:
    """Check limits; give Docker's warnings. Also for updates."""
    _check_memory(host)
    _check_cpu(host)
    if host.pids_limit is not None and host.pids_limit < -1:
        raise InvalidParameter(f"invalid PidsLimit: {host.pids_limit}")
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise InvalidParameter("Range of blkio weight is from 10 to 1000")
    return []


def _check_memory(host: HostConfig) -> None:
    if host.memory and host.memory < _MIN_MEMORY:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")
    if host.memory > 0 and 0 < host.memory_swap < host.memory:
        raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.memory == 0 and host.memory_swap > 0:
        raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
    swappiness = host.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidParameter(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if 0 < host.memory_reservation < _MIN_MEMORY:
        raise InvalidParameter("Minimum memory reservation allowed is 6MB")
    if host.memory and host.memory_reservation > host.memory:
        raise InvalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpu(host: HostConfig) -> None:
    if host.nano_cpus:
        if host.cpu_period:
            raise InvalidParameter("Conflicting options: Nano CPUs and CPU Period cannot both be set")
        if host.cpu_quota:
            raise InvalidParameter("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
        cpus = os.cpu_count() or 1
        if not 0 < host.nano_cpus <= cpus * 1_000_000_000:
            raise InvalidParameter(f"Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if host.cpu_shares < 0:
        raise InvalidParameter(f"invalid CPU shares ({host.cpu_shares}): value must be a positive integer")
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidParameter("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < 1000:
        raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    _check_cpu_set(host.cpuset_cpus, "cpus", "CPUs", "/sys/devices/system/cpu/online")
    _check_cpu_set(host.cpuset_mems, "mems", "memory nodes", "/sys/devices/system/node/online")


def _check_cpu_set(asked: str, option: str, label: str, available: str) -> None:
    if not asked:
        return
    if not _CPU_LIST.fullmatch(asked):
        raise InvalidParameter(f"Invalid value {asked} for cpuset {option}")
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
