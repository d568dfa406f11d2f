"""A ``docker run`` line into Config, HostConfig and NetworkingConfig (docker/cli, command/container/opts.go)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydockmagic.commands.grammar.kinds import ValueProblem

from . import devices, mounts, networks, pairs, ports

if TYPE_CHECKING:
    from pydockmagic.commands.grammar import Parsed

__all__ = ["ContainerConfig", "container_config", "restart_policy"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """The three parts of a create request."""

    config: Json
    host_config: Json
    networking_config: Json

    def request(self) -> Json:
        """Return the body of ``POST /containers/create``."""
        return {**self.config, "HostConfig": self.host_config, "NetworkingConfig": self.networking_config}


def container_config(parsed: Parsed, directory: Path, environ: Mapping[str, str]) -> ContainerConfig:
    """Turn the options and arguments of ``run`` or ``create`` into a request; files are read below ``directory``.

    Raises ``ValueProblem`` with docker's sentence.
    """
    _check_combinations(parsed)
    binds, anonymous = mounts.volumes(parsed.list("volume"), directory)
    exposed, bindings = ports.parse_specs(ports.standard_notation(parsed.list("publish")))
    ports.expose(parsed.list("expose"), exposed)
    attached = networks.attachments(parsed)
    host = _host_config(parsed, directory)
    host["Binds"] = binds or None
    host["PortBindings"] = bindings
    host["NetworkMode"] = attached[0].target
    config = _config(parsed, directory, environ)
    config["Volumes"] = anonymous
    if exposed:
        config["ExposedPorts"] = exposed
    if attached[0].mac:
        config["MacAddress"] = attached[0].mac
    return ContainerConfig(config, host, networks.networking_config(attached))


def _check_combinations(parsed: Parsed) -> None:
    mac = parsed.text("mac-address")
    if mac and not networks.is_mac(mac.strip()):
        raise ValueProblem(f"{mac} is not a valid mac address")
    swappiness = parsed.number("memory-swappiness")
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise ValueProblem(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    for option, kind in (("pid", "PID"), ("uts", "UTS"), ("userns", "USER")):
        if not _mode_is_valid(option, parsed.text(option)):
            raise ValueProblem(f"--{option}: invalid {kind} mode")
    cgroupns = parsed.text("cgroupns")
    if cgroupns not in {"", "host", "private"}:
        raise ValueProblem("--cgroupns: invalid CGROUP mode")
    if (
        parsed.flag("rm")
        and parsed.given("restart")
        and restart_policy(parsed.text("restart"))["Name"] not in {"", "no"}
    ):
        raise ValueProblem("conflicting options: cannot specify both --restart and --rm")


def _mode_is_valid(option: str, mode: str) -> bool:
    if option == "pid" and mode.startswith("container:"):
        return bool(mode.removeprefix("container:"))
    return mode in {"", "host"}


def restart_policy(text: str) -> Json:
    """Read a ``--restart`` value.

    Raises ``ValueProblem``.
    """
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueProblem("invalid restart policy format: no policy provided before colon")
    retries = 0
    if colon and count:
        digits = count[1:] if count[0] in "+-" else count
        if not digits.isascii() or not digits.isdigit():
            raise ValueProblem("invalid restart policy format: maximum retry count must be an integer")
        retries = int(count)
    return {"Name": name, "MaximumRetryCount": retries}


def _config(parsed: Parsed, directory: Path, environ: Mapping[str, str]) -> Json:
    attached = {str(name) for name in parsed.list("attach")}
    stdin = "stdin" in attached or parsed.flag("interactive")
    entrypoint: list[str] | None = None
    if parsed.given("entrypoint"):
        entrypoint = [parsed.text("entrypoint")]
    command = parsed.arguments[1:]
    env = pairs.environment(parsed.list("env-file"), parsed.list("env"), directory, environ)
    config: Json = {
        "Hostname": parsed.text("hostname"),
        "Domainname": parsed.text("domainname"),
        "User": parsed.text("user"),
        "AttachStdin": stdin,
        "AttachStdout": not attached or "stdout" in attached,
        "AttachStderr": not attached or "stderr" in attached,
        "Tty": parsed.flag("tty"),
        "OpenStdin": parsed.flag("interactive"),
        "StdinOnce": parsed.flag("interactive") and stdin,
        "Env": env or None,
        "Cmd": command or None,
        "Image": parsed.arguments[0] if parsed.arguments else "",
        "Volumes": {},
        "WorkingDir": parsed.text("workdir"),
        "Entrypoint": entrypoint,
        "OnBuild": None,
        "Labels": pairs.labels(parsed.list("label-file"), parsed.list("label"), directory),
    }
    health = _healthcheck(parsed)
    if health is not None:
        config["Healthcheck"] = health
    if parsed.text("stop-signal"):
        config["StopSignal"] = parsed.text("stop-signal")
    if parsed.given("stop-timeout"):
        config["StopTimeout"] = parsed.number("stop-timeout")
    return config


_HEALTH = (
    ("Interval", "health-interval", "--health-interval"),
    ("Timeout", "health-timeout", "--health-timeout"),
    ("StartPeriod", "health-start-period", "--health-start-period"),
    ("StartInterval", "health-start-interval", "--health-start-interval"),
    ("Retries", "health-retries", "--health-retries"),
)


def _healthcheck(parsed: Parsed) -> Json | None:
    command = parsed.text("health-cmd")
    asked = {name: parsed.number(option) for name, option, _ in _HEALTH if parsed.number(option)}
    if parsed.flag("no-healthcheck"):
        if command or asked:
            raise ValueProblem("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not command and not asked:
        return None
    for name, _, spelled in _HEALTH:
        if asked.get(name, 0) < 0:
            raise ValueProblem(f"{spelled} cannot be negative")
    return {**({"Test": ["CMD-SHELL", command]} if command else {}), **asked}


def _host_config(parsed: Parsed, directory: Path) -> Json:
    security, masked, read_only = _security(parsed.list("security-opt"), directory)
    host: Json = {
        "Binds": None,
        "ContainerIDFile": parsed.text("cidfile"),
        "LogConfig": {"Type": parsed.text("log-driver"), "Config": _log_options(parsed)},
        "NetworkMode": "",
        "PortBindings": {},
        "RestartPolicy": restart_policy(parsed.text("restart")),
        "AutoRemove": parsed.flag("rm"),
        "VolumeDriver": parsed.text("volume-driver"),
        "VolumesFrom": parsed.list("volumes-from") or None,
        "ConsoleSize": [0, 0],
        "CapAdd": parsed.list("cap-add") or None,
        "CapDrop": parsed.list("cap-drop") or None,
        "CgroupnsMode": parsed.text("cgroupns"),
        "Dns": parsed.list("dns"),
        "DnsOptions": parsed.list("dns-option"),
        "DnsSearch": parsed.list("dns-search"),
        "ExtraHosts": parsed.list("add-host") or None,
        "GroupAdd": parsed.list("group-add") or None,
        "IpcMode": parsed.text("ipc"),
        "Cgroup": "",
        "Links": parsed.list("link") or None,
        "OomScoreAdj": parsed.number("oom-score-adj"),
        "PidMode": parsed.text("pid"),
        "Privileged": parsed.flag("privileged"),
        "PublishAllPorts": parsed.flag("publish-all"),
        "ReadonlyRootfs": parsed.flag("read-only"),
        "SecurityOpt": security or None,
        "UTSMode": parsed.text("uts"),
        "UsernsMode": parsed.text("userns"),
        "ShmSize": parsed.number("shm-size"),
        "Isolation": parsed.text("isolation"),
        **_resources(parsed),
        "MaskedPaths": masked,
        "ReadonlyPaths": read_only,
    }
    host.update(_only_if_asked(parsed, directory))
    return host


def _only_if_asked(parsed: Parsed, directory: Path) -> Json:
    """Return the fields that are absent from a request unless an option asks for them."""
    found: Json = {}
    if parsed.given("init"):
        found["Init"] = parsed.flag("init")
    if parsed.text("runtime"):
        found["Runtime"] = parsed.text("runtime")
    if parsed.list("tmpfs"):
        found["Tmpfs"] = mounts.tmpfs(parsed.list("tmpfs"))
    if parsed.list("sysctl"):
        found["Sysctls"] = pairs.to_map(parsed.list("sysctl"))
    if parsed.list("storage-opt"):
        found["StorageOpt"] = _storage_options(parsed.list("storage-opt"))
    if parsed.list("annotation"):
        found["Annotations"] = pairs.to_map(parsed.list("annotation"))
    if parsed.list("mount"):
        found["Mounts"] = [mounts.parse_mount(text, directory) for text in parsed.list("mount")]
    return found


def _resources(parsed: Parsed) -> Json:
    plain: list[str] = []
    cdi: list[str] = []
    for text in parsed.list("device"):
        (cdi if devices.is_cdi(text) else plain).append(text)
    requests = parsed.list("gpus")
    if cdi:
        requests.append({"Driver": "cdi", "Count": 0, "DeviceIDs": cdi, "Capabilities": None, "Options": None})
    return {
        "CpuShares": parsed.number("cpu-shares"),
        "Memory": parsed.number("memory"),
        "NanoCpus": parsed.number("cpus"),
        "CgroupParent": parsed.text("cgroup-parent"),
        "BlkioWeight": parsed.number("blkio-weight"),
        "BlkioWeightDevice": parsed.list("blkio-weight-device"),
        "BlkioDeviceReadBps": parsed.list("device-read-bps"),
        "BlkioDeviceWriteBps": parsed.list("device-write-bps"),
        "BlkioDeviceReadIOps": parsed.list("device-read-iops"),
        "BlkioDeviceWriteIOps": parsed.list("device-write-iops"),
        "CpuPeriod": parsed.number("cpu-period"),
        "CpuQuota": parsed.number("cpu-quota"),
        "CpuRealtimePeriod": parsed.number("cpu-rt-period"),
        "CpuRealtimeRuntime": parsed.number("cpu-rt-runtime"),
        "CpusetCpus": parsed.text("cpuset-cpus"),
        "CpusetMems": parsed.text("cpuset-mems"),
        "Devices": [devices.parse_device(text) for text in plain],
        "DeviceCgroupRules": parsed.list("device-cgroup-rule") or None,
        "DeviceRequests": requests or None,
        "MemoryReservation": parsed.number("memory-reservation"),
        "MemorySwap": parsed.number("memory-swap"),
        "MemorySwappiness": parsed.number("memory-swappiness"),
        "OomKillDisable": parsed.flag("oom-kill-disable"),
        "PidsLimit": parsed.number("pids-limit"),
        "Ulimits": sorted(
            {each["Name"]: each for each in parsed.list("ulimit")}.values(), key=lambda u: str(u["Name"])
        ),
        "CpuCount": parsed.number("cpu-count"),
        "CpuPercent": parsed.number("cpu-percent"),
        "IOMaximumIOps": parsed.number("io-maxiops"),
        "IOMaximumBandwidth": parsed.number("io-maxbandwidth"),
    }


def _log_options(parsed: Parsed) -> dict[str, str]:
    options = pairs.to_map(parsed.list("log-opt"))
    if parsed.text("log-driver") == "none" and options:
        raise ValueProblem("invalid logging opts for driver none")
    return options


def _storage_options(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise ValueProblem("invalid storage option")
    return pairs.to_map(texts)


def _security(texts: list[str], directory: Path) -> tuple[list[str], list[str] | None, list[str] | None]:
    """Check ``--security-opt`` values, read seccomp profiles, and take ``systempaths=unconfined`` out."""
    kept: list[str] = []
    masked: list[str] | None = None
    for text in texts:
        if text == "systempaths=unconfined":
            masked = []
            continue
        key, equals, value = text.partition("=")
        if not equals and key != "no-new-privileges":
            key, colon, value = text.partition(":")
            if not colon:
                raise ValueProblem(f'Invalid --security-opt: "{text}"')
        if key == "seccomp" and value not in {"unconfined", "builtin"}:
            kept.append(f"seccomp={_seccomp_profile(value, directory)}")
        else:
            kept.append(text)
    return kept, masked, None if masked is None else []


def _seccomp_profile(name: str, directory: Path) -> str:
    try:
        text = (directory / name).read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueProblem(f"opening seccomp profile ({name}) failed: open {name}: {reason}") from None
    try:
        return json.dumps(json.loads(text), separators=(",", ":"))
    except ValueError as error:
        raise ValueProblem(f"compacting json for seccomp profile ({name}) failed: {error}") from None
