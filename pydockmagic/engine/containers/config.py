"""What a client asks for when it creates a container: Config, HostConfig and NetworkingConfig of the Engine API.

Field names are Docker's in snake case; JSON keys, orders and defaults are those of ``docker inspect``. ``UNSET`` marks
fields that Docker leaves out when they are empty. Null in a request means "not given", as in Go.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pydockmagic.engine.volumes.records import MountSpec

__all__ = [
    "ContainerConfig",
    "CreateRequest",
    "DeviceMapping",
    "EndpointSettings",
    "HealthConfig",
    "HostConfig",
    "LogConfig",
    "NetworkingConfig",
    "PortBinding",
    "RestartPolicy",
    "ThrottleDevice",
    "Ulimit",
    "UpdateRequest",
    "WeightDevice",
]

_SPECIAL = {
    "uts_mode": "UTSMode",
    "container_id_file": "ContainerIDFile",
    "kernel_memory_tcp": "KernelMemoryTCP",
    "blkio_device_read_iops": "BlkioDeviceReadIOps",
    "blkio_device_write_iops": "BlkioDeviceWriteIOps",
    "io_maximum_iops": "IOMaximumIOps",
    "io_maximum_bandwidth": "IOMaximumBandwidth",
    "ipam_config": "IPAMConfig",
    "network_id": "NetworkID",
    "endpoint_id": "EndpointID",
    "ip_address": "IPAddress",
    "ip_prefix_len": "IPPrefixLen",
    "ipv6_gateway": "IPv6Gateway",
    "global_ipv6_address": "GlobalIPv6Address",
    "global_ipv6_prefix_len": "GlobalIPv6PrefixLen",
    "dns_names": "DNSNames",
    "ipv4_address": "IPv4Address",
    "ipv6_address": "IPv6Address",
    "link_local_ips": "LinkLocalIPs",
}


def _docker_name(field: str) -> str:
    return _SPECIAL.get(field) or "".join(part.capitalize() for part in field.split("_"))


class _Api(msgspec.Struct, rename=_docker_name, kw_only=True):
    """An object of the API."""


class _FrozenApi(msgspec.Struct, rename=_docker_name, kw_only=True, frozen=True):
    """An object of the API that never changes."""


class HealthConfig(_FrozenApi, frozen=True):
    """A health check; times in nanoseconds, zero inherits from the image or Docker's default."""

    test: list[str] | UnsetType = UNSET
    interval: int | UnsetType = UNSET
    timeout: int | UnsetType = UNSET
    start_period: int | UnsetType = UNSET
    start_interval: int | UnsetType = UNSET
    retries: int | UnsetType = UNSET


class ContainerConfig(_Api):
    """What is part of an image as well: the portable half of a container's configuration."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Any] | UnsetType = UNSET
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: list[str] | str | None = None
    healthcheck: HealthConfig | UnsetType = UNSET
    args_escaped: bool | UnsetType = UNSET
    image: str = ""
    volumes: dict[str, Any] | None = None
    working_dir: str = ""
    entrypoint: list[str] | str | None = None
    network_disabled: bool | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    on_build: list[str] | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    stop_signal: str | UnsetType = UNSET
    stop_timeout: int | UnsetType = UNSET
    shell: list[str] | UnsetType = UNSET


class LogConfig(_FrozenApi, frozen=True):
    """Where the output goes."""

    type: str = ""
    config: dict[str, str] = msgspec.field(default_factory=dict)


class PortBinding(_FrozenApi, frozen=True):
    """One published address; empty means any."""

    host_ip: str = ""
    host_port: str = ""


class RestartPolicy(_FrozenApi, frozen=True):
    """When a container is started again by itself."""

    name: str = ""
    maximum_retry_count: int = 0


class DeviceMapping(_FrozenApi, frozen=True):
    """A host device in the container."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class ThrottleDevice(_FrozenApi, frozen=True):
    """A rate for one block device."""

    path: str = ""
    rate: int = 0


class WeightDevice(_FrozenApi, frozen=True):
    """A weight for one block device."""

    path: str = ""
    weight: int = 0


class Ulimit(_FrozenApi, frozen=True):
    """A resource limit of the container's processes."""

    name: str = ""
    hard: int = 0
    soft: int = 0


class HostConfig(_Api):
    """What belongs to this host: limits, namespaces, mounts, ports."""

    binds: list[str] | None = None
    container_id_file: str = ""
    log_config: LogConfig = msgspec.field(default_factory=LogConfig)
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding] | None] = msgspec.field(default_factory=dict)
    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] | None = None
    console_size: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    annotations: dict[str, str] | UnsetType = UNSET
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    cgroupns_mode: str = ""
    dns: list[str] = msgspec.field(default_factory=list)
    dns_options: list[str] = msgspec.field(default_factory=list)
    dns_search: list[str] = msgspec.field(default_factory=list)
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] | None = None
    storage_opt: dict[str, str] | UnsetType = UNSET
    tmpfs: dict[str, str] | UnsetType = UNSET
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] | UnsetType = UNSET
    runtime: str = ""
    isolation: str = ""
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = None
    blkio_device_write_iops: list[ThrottleDevice] | None = None
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: list[str] | None = None
    device_requests: list[dict[str, Any]] | None = None
    kernel_memory_tcp: int | UnsetType = UNSET
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = 0
    io_maximum_bandwidth: int = 0
    mounts: list[MountSpec] | UnsetType = UNSET
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | UnsetType = UNSET


class EndpointSettings(_Api):
    """How a container takes part in one network."""

    ipam_config: dict[str, Any] | None = None
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    network_id: str = ""
    endpoint_id: str = ""
    gateway: str = ""
    ip_address: str = ""
    ip_prefix_len: int = 0
    ipv6_gateway: str = ""
    global_ipv6_address: str = ""
    global_ipv6_prefix_len: int = 0
    dns_names: list[str] | None = None


class NetworkingConfig(_Api):
    """The networks to join at the first start."""

    endpoints_config: dict[str, EndpointSettings | None] = msgspec.field(default_factory=dict)


class CreateRequest(ContainerConfig):
    """The body of ``POST /containers/create``, and of its query what is no part of the container."""

    platform: str = ""
    kernel_memory: int = 0
    """Of ``HostConfig``, which clients before API 1.42 send."""

    host_config: HostConfig = msgspec.field(default_factory=HostConfig)
    networking_config: NetworkingConfig = msgspec.field(default_factory=NetworkingConfig)


class UpdateRequest(_Api):
    """The body of ``POST /containers/{id}/update``; zero and null change nothing."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    blkio_weight: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory_reservation: int = 0
    memory_swap: int = 0
    kernel_memory: int = 0
    pids_limit: int | None = None
    restart_policy: RestartPolicy | None = None
