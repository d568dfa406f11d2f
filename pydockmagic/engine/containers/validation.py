"""What a new container may not ask for, in the words of moby's ``verifyContainerSettings``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Mapping

from msgspec import UNSET

from pydockmagic.engine.errors import EngineError, InvalidParameter

from .config import ContainerConfig, HostConfig, RestartPolicy
from .resources import check_resources
from .signals import parse_signal

__all__ = [
    "ALL_CAPABILITIES",
    "check_config",
    "check_host_config",
    "check_name",
    "clean_capabilities",
]

_UNDEFINED = "This would result in undefined behavior"
HOST_AND_LINKS = f"host type networking can't be used with links. {_UNDEFINED}"
CONTAINER_AND_LINKS = f"container type network can't be used with links. {_UNDEFINED}"
_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")

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


def check_host_config(host: HostConfig, config: ContainerConfig, runtime: str, support: Collection[str]) -> list[str]:
    """Check the host's half against what the kernel offers (``support``); give warnings, and take out what it lacks."""
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
        raise InvalidParameter(f"invalid isolation: \"{host.isolation}\" - linux only supports 'default'")
    if host.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.storage_opt is not UNSET and host.storage_opt:
        _refuse_storage_options(host.storage_opt)
    _check_modes(host, config)
    warnings = check_resources(host, support)
    if host.network_mode == "host" and host.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    return warnings


def _refuse_storage_options(options: Mapping[str, str]) -> None:
    for name in options:
        if name.lower() != "size":
            raise EngineError(f"Unknown option {name}")
    raise EngineError("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")


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
        raise InvalidParameter("invalid network mode: invalid container format container:<name|id>")
    if host.userns_mode not in ("", "host"):
        raise InvalidParameter(f"invalid userns mode: {host.userns_mode}")


def _names_container(mode: str) -> bool:
    kind, _, name = mode.partition(":")
    return kind == "container" and bool(name)
