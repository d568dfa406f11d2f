"""What an image's configuration adds to a container's: moby's rules of precedence, and Docker's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from pydockmagic.engine.runtime import defaults

from .config import ContainerConfig, HealthConfig, HostConfig, LogConfig, RestartPolicy

__all__ = [
    "DEFAULT_PATH",
    "command_line",
    "environment",
    "fill_host_config",
    "merge_image",
    "words",
]

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHM_SIZE = 64 << 20


def words(value: list[str] | str | None) -> list[str] | None:
    """Read a command that a client may give as one string or as a list."""
    return [value] if isinstance(value, str) else value


def merge_image(config: ContainerConfig, image: Mapping[str, Any]) -> None:
    """Fill what the client left open from the ``config`` object of the image. Changes ``config``."""
    config.cmd = words(config.cmd)
    config.entrypoint = words(config.entrypoint)
    config.user = config.user or str(image.get("User") or "")
    config.working_dir = config.working_dir or str(image.get("WorkingDir") or "")
    _merge_command(config, image)
    _merge_environment(config, image)
    config.labels = {**(image.get("Labels") or {}), **config.labels}
    if exposed := {**(image.get("ExposedPorts") or {}), **(config.exposed_ports or {})}:
        config.exposed_ports = {_with_protocol(port): value or {} for port, value in exposed.items()}
    if volumes := {**(image.get("Volumes") or {}), **(config.volumes or {})}:
        config.volumes = {path: {} for path in volumes}
    else:
        config.volumes = None
    if config.stop_signal is UNSET and image.get("StopSignal"):
        config.stop_signal = str(image["StopSignal"])
    if config.shell is UNSET and image.get("Shell"):
        config.shell = list(image["Shell"])
    _merge_health(config, image)


def _merge_command(config: ContainerConfig, image: Mapping[str, Any]) -> None:
    if not config.entrypoint:
        if not config.cmd:
            config.cmd = words(image.get("Cmd"))
        if config.entrypoint is None:
            config.entrypoint = words(image.get("Entrypoint"))
    if config.entrypoint == [""]:
        config.entrypoint = None  # --entrypoint "" takes the image's away


def _merge_environment(config: ContainerConfig, image: Mapping[str, Any]) -> None:
    own = list(config.env or [])
    names = {entry.partition("=")[0] for entry in own}
    inherited = [entry for entry in image.get("Env") or [] if entry.partition("=")[0] not in names]
    config.env = own + inherited if own or inherited else config.env or image.get("Env")


def _merge_health(config: ContainerConfig, image: Mapping[str, Any]) -> None:
    raw = image.get("Healthcheck")
    if not raw:
        return
    inherited = msgspec.convert(raw, HealthConfig)
    if config.healthcheck is UNSET:
        config.healthcheck = inherited
        return
    given = {name: value for name, value in msgspec.structs.asdict(config.healthcheck).items() if value}
    config.healthcheck = msgspec.structs.replace(inherited, **given)


def _with_protocol(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def command_line(config: ContainerConfig) -> list[str]:
    """Give the whole command: entrypoint, then arguments."""
    return [*(words(config.entrypoint) or []), *(words(config.cmd) or [])]


def environment(config: ContainerConfig, hostname: str, linked: Sequence[str] = ()) -> list[str]:
    """Give the environment in Docker's order: PATH, HOSTNAME, TERM, links, then the configured, replacing."""
    result = {"PATH": DEFAULT_PATH, "HOSTNAME": f"HOSTNAME={hostname}"}
    if config.tty:
        result["TERM"] = "TERM=xterm"
    result |= {entry.partition("=")[0]: entry for entry in linked}
    for entry in config.env or []:
        name, equals, _ = entry.partition("=")
        if equals:
            result[name] = entry
        else:
            result.pop(name, None)  # "-e NAME" for a variable that the client does not have takes it away
    return list(result.values())


def fill_host_config(host: HostConfig, *, cgroup_version: str, runtime: str) -> None:
    """Put Docker's defaults where the client left zero values. Changes ``host``."""
    host.network_mode = "bridge" if host.network_mode in ("", "default") else host.network_mode
    host.ipc_mode = host.ipc_mode or "private"
    host.cgroupns_mode = host.cgroupns_mode or ("host" if host.privileged or cgroup_version == "1" else "private")
    host.shm_size = host.shm_size or DEFAULT_SHM_SIZE
    host.runtime = host.runtime or runtime
    host.log_config = LogConfig(type=host.log_config.type or "json-file", config=host.log_config.config)
    host.restart_policy = RestartPolicy(
        name=host.restart_policy.name or "no", maximum_retry_count=host.restart_policy.maximum_retry_count
    )
    host.port_bindings = {_with_protocol(port): bindings for port, bindings in host.port_bindings.items()}
    if host.memory > 0 and host.memory_swap == 0:
        host.memory_swap = 2 * host.memory
    if host.pids_limit is not None and host.pids_limit <= 0:
        host.pids_limit = None
    if not host.oom_kill_disable and cgroup_version == "2":
        host.oom_kill_disable = None
    if host.security_opt is None and (host.privileged or "host" in (host.ipc_mode, host.pid_mode)):
        host.security_opt = ["label=disable"]
    if not host.privileged:
        host.masked_paths = list(defaults.MASKED_PATHS) if host.masked_paths is None else host.masked_paths
        host.readonly_paths = list(defaults.READONLY_PATHS) if host.readonly_paths is None else host.readonly_paths
