"""From a container's record to what the runtime driver is told (``runtime.spec.ContainerSpec``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pydockmagic.engine.runtime.spec import (
    CgroupLimits,
    ContainerSpec,
    Mount,
    Namespaces,
    PortForward,
    ProcessSpec,
    Rlimit,
    Root,
)
from pydockmagic.engine.volumes.records import MountPoint

from .config import ContainerConfig, HostConfig, ThrottleDevice
from .hostdevices import check_throttled, device_rules, devices
from .logoptions import log_target
from .merging import environment
from .records import ContainerRecord
from .security import capabilities, check_sysctls, parse_security
from .validation import ALL_CAPABILITIES

__all__ = ["Files", "build", "capabilities", "exec_process", "limits", "parse_security"]


class Files(msgspec.Struct, frozen=True):
    """A container's own files on the host."""

    directory: Path
    log: Path
    hostname: Path
    hosts: Path
    resolv_conf: Path

    @classmethod
    def of(cls, root: Path, container_id: str) -> Files:
        """Name the files of a container below ``root`` (``containers`` in the data root)."""
        home = root / container_id
        return cls(home, home / f"{container_id}-json.log", home / "hostname", home / "hosts", home / "resolv.conf")


def limits(host: HostConfig) -> CgroupLimits:
    """Give the limits in the runtime's terms."""

    def rates(devices: list[ThrottleDevice] | None) -> tuple[tuple[str, int], ...]:
        return tuple((device.path, device.rate) for device in devices or ())

    return CgroupLimits(
        memory=host.memory,
        memory_swap=host.memory_swap,
        memory_reservation=host.memory_reservation,
        nano_cpus=host.nano_cpus,
        cpu_shares=host.cpu_shares,
        cpu_period=host.cpu_period,
        cpu_quota=host.cpu_quota,
        cpuset_cpus=host.cpuset_cpus,
        cpuset_mems=host.cpuset_mems,
        pids=max(host.pids_limit or 0, 0),
        blkio_weight=host.blkio_weight,
        memory_swappiness=-1 if host.memory_swappiness is None else host.memory_swappiness,
        device_weights=tuple((device.path, device.weight) for device in host.blkio_weight_device or ()),
        oom_kill_disable=bool(host.oom_kill_disable),
        device_read_bps=rates(host.blkio_device_read_bps),
        device_write_bps=rates(host.blkio_device_write_bps),
        device_read_iops=rates(host.blkio_device_read_iops),
        device_write_iops=rates(host.blkio_device_write_iops),
        device_rules=tuple(host.device_cgroup_rules or ()) + (("a *:* rwm",) if host.privileged else ()),
    )


def build(  # noqa: PLR0913 - what only the caller can know, each by name
    record: ContainerRecord,
    root: Root,
    files: Files,
    bundle: Path,
    *,
    net: str,
    forwards: Sequence[PortForward],
    namespace_of: Callable[[str, str], str],
    hostname: str,
    source_of: Callable[[MountPoint], Path],
    console_size: tuple[int, int] = (0, 0),
) -> ContainerSpec:
    """Put the whole specification together. ``namespace_of(container, kind)`` gives the path of another's namespace."""
    config, host = record.config, record.host_config
    security = parse_security(host.security_opt)
    check_sysctls(host)
    check_throttled(host)
    given = devices(host)
    kept = limits(host)
    kept = msgspec.structs.replace(kept, device_rules=device_rules(given) + kept.device_rules)

    def joined(mode: str, kind: str, default: str = "private") -> str:
        if mode.startswith("container:"):
            return namespace_of(mode.partition(":")[2], kind)
        return "host" if mode == "host" else default

    process = ProcessSpec(
        args=(record.path, *record.args),
        env=tuple(environment(config, hostname, record.link_environment)),
        cwd=config.working_dir or "/",
        user=config.user,
        groups=tuple(host.group_add or ()),
        tty=config.tty,
        open_stdin=config.open_stdin,
        console_size=console_size,
        capabilities=capabilities(host),
        no_new_privileges=security.no_new_privileges,
        seccomp="unconfined" if host.privileged else security.seccomp,
        rlimits=tuple(Rlimit(limit.name, limit.soft, limit.hard) for limit in host.ulimits or ()),
        oom_score_adj=host.oom_score_adj,
    )
    return ContainerSpec(
        id=record.id,
        bundle=str(bundle),
        hostname=hostname if host.uts_mode != "host" else "",
        domainname=config.domainname,
        root=root,
        process=process,
        mounts=tuple(_mounts(record, files, source_of)),
        namespaces=Namespaces(
            net=joined(host.network_mode, "net", net),
            pid=joined(host.pid_mode, "pid"),
            ipc="private" if host.ipc_mode == "none" else joined(host.ipc_mode, "ipc"),
            uts="host" if host.uts_mode == "host" else "private",
            cgroup="host" if host.cgroupns_mode == "host" else "private",
        ),
        cgroup_parent=host.cgroup_parent or "/docker",
        limits=kept,
        devices=tuple(given),
        masked_paths=tuple(host.masked_paths or ()),
        readonly_paths=tuple(host.readonly_paths or ()),
        sysctls=tuple((host.sysctls or {}).items()),
        shm_size=-1 if host.ipc_mode == "none" else host.shm_size,
        privileged=host.privileged,
        init=host.init is True,
        log=log_target(record, str(files.log)),
        ports=tuple(forwards),
    )


def _mounts(record: ContainerRecord, files: Files, source_of: Callable[[MountPoint], Path]) -> list[Mount]:
    """Give all mounts, outer directories before inner ones."""
    result = [_mount(mount, source_of) for mount in record.mounts]
    taken = {mount.target for mount in result}
    for target, source in (
        ("/etc/resolv.conf", files.resolv_conf),
        ("/etc/hostname", files.hostname),
        ("/etc/hosts", files.hosts),
    ):
        if target not in taken:
            result.append(Mount(kind="bind", target=target, source=str(source)))
    return sorted(result, key=lambda mount: (mount.target.count("/"), mount.target))


def _mount(mount: MountPoint, source_of: Callable[[MountPoint], Path]) -> Mount:
    if mount.kind == "tmpfs":
        return Mount(
            kind="tmpfs", target=mount.destination, source="tmpfs", options=mount.options, read_only=not mount.writable
        )
    source = str(source_of(mount))
    return Mount(
        kind="bind",
        target=mount.destination,
        source=source,
        read_only=not mount.writable,
        propagation=mount.propagation or "rprivate",
        options=() if mount.recursive else ("bind",),
        deep_read_only=mount.deep_read_only,
    )


def exec_process(  # noqa: PLR0913 - what a client may change, each by name
    config: ContainerConfig,
    host: HostConfig,
    *,
    args: Sequence[str],
    env: Sequence[str],
    cwd: str,
    user: str,
    tty: bool,
    open_stdin: bool,
    privileged: bool,
    hostname: str,
    console_size: tuple[int, int],
    linked: Sequence[str] = (),
) -> ProcessSpec:
    """Describe one more process in a container: as the first one, but for what the client changes."""
    security = parse_security(host.security_opt)
    merged = msgspec.structs.replace(config, env=[*(config.env or []), *env], tty=tty)
    everything = frozenset(ALL_CAPABILITIES)
    return ProcessSpec(
        args=tuple(args),
        env=tuple(environment(merged, hostname, linked)),
        cwd=cwd or config.working_dir or "/",
        user=user or config.user,
        groups=tuple(host.group_add or ()),
        tty=tty,
        open_stdin=open_stdin,
        console_size=console_size,
        capabilities=everything if privileged else capabilities(host),
        no_new_privileges=security.no_new_privileges,
        seccomp="unconfined" if privileged or host.privileged else security.seccomp,
        rlimits=tuple(Rlimit(limit.name, limit.soft, limit.hard) for limit in host.ulimits or ()),
        oom_score_adj=host.oom_score_adj,
    )
