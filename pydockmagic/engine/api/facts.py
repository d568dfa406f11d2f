"""What the engine knows of itself and of its host, for ``/info`` and ``/version``."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.distribution.options import RegistryOptions

__all__ = ["EngineFacts", "architecture", "memory_total", "operating_system"]

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that does not change while the engine runs."""

    id: str
    version: str
    root: str
    storage: str
    storage_status: tuple[tuple[str, str], ...] = ()
    runtime: str = "pydock"
    cgroup_version: str = "2"
    cgroup_driver: str = "none"
    support: frozenset[str] = frozenset()
    """Which limits can be kept here: memory, swap, cpu_cfs, cpu_shares, cpuset, pids, ..."""
    rootless: bool = False
    seccomp: bool = True
    warnings: tuple[str, ...] = ()
    registries: RegistryOptions = RegistryOptions()
    started: str = ""

    @property
    def security_options(self) -> list[str]:
        """Name what confines containers, in Docker's form."""
        options = ["name=seccomp,profile=builtin"] if self.seccomp else []
        if self.rootless:
            options.append("name=rootless")
        if self.cgroup_version == "2":
            options.append("name=cgroupns")
        return options


def architecture() -> str:
    """Give the machine's architecture in Go's words (``amd64``)."""
    machine = platform.machine()
    return _MACHINES.get(machine, machine)


def operating_system() -> tuple[str, str]:
    """Give the distribution's name and version from os-release."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        values = {k: v.strip("\"'") for k, _, v in (line.partition("=") for line in lines)}
        return values.get("PRETTY_NAME", "Linux"), values.get("VERSION_ID", "")
    return "Linux", ""


def memory_total() -> int:
    """Give the machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def version_document(facts: EngineFacts, api: str, minimum: str) -> dict[str, Any]:
    """Make the answer of ``GET /version``."""
    kernel = platform.release()
    python = f"python{platform.python_version()}"
    return {
        "Platform": {"Name": f"pydockmagic {facts.version}"},
        "Components": [
            {
                "Name": "Engine",
                "Version": facts.version,
                "Details": {
                    "ApiVersion": api,
                    "Arch": architecture(),
                    "BuildTime": facts.started,
                    "Experimental": "false",
                    "GitCommit": "",
                    "GoVersion": python,
                    "KernelVersion": kernel,
                    "MinAPIVersion": minimum,
                    "Os": "linux",
                },
            },
            {"Name": facts.runtime, "Version": facts.version, "Details": {"GitCommit": ""}},
        ],
        "Version": facts.version,
        "ApiVersion": api,
        "MinAPIVersion": minimum,
        "GitCommit": "",
        "GoVersion": python,
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": kernel,
        "BuildTime": facts.started,
    }


def info_document(
    facts: EngineFacts, counts: Mapping[str, int], images: int, listeners: int, now: str
) -> dict[str, Any]:
    """Make the answer of ``GET /info``, in Docker's keys and order."""
    os_name, os_version = operating_system()
    has = facts.support.__contains__
    return {
        "ID": facts.id,
        "Containers": sum(counts.values()),
        "ContainersRunning": counts.get("running", 0),
        "ContainersPaused": counts.get("paused", 0),
        "ContainersStopped": counts.get("stopped", 0),
        "Images": images,
        "Driver": facts.storage,
        "DriverStatus": [list(pair) for pair in facts.storage_status],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": has("memory"),
        "SwapLimit": has("swap"),
        "CpuCfsPeriod": has("cpu_cfs"),
        "CpuCfsQuota": has("cpu_cfs"),
        "CPUShares": has("cpu_shares"),
        "CPUSet": has("cpuset"),
        "PidsLimit": has("pids"),
        "IPv4Forwarding": _sysctl_on("net/ipv4/ip_forward"),
        "Debug": False,
        "NFd": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "OomKillDisable": has("oom_kill_disable"),
        "NGoroutines": len(asyncio.all_tasks()),
        "SystemTime": now,
        "LoggingDriver": "json-file",
        "CgroupDriver": facts.cgroup_driver,
        "CgroupVersion": facts.cgroup_version,
        "NEventsListener": listeners,
        "KernelVersion": platform.release(),
        "OperatingSystem": os_name,
        "OSVersion": os_version,
        "OSType": "linux",
        "Architecture": platform.machine(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": facts.registries.document(),
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": memory_total(),
        "GenericResources": None,
        "DockerRootDir": facts.root,
        "HttpProxy": os.environ.get("HTTP_PROXY", ""),
        "HttpsProxy": os.environ.get("HTTPS_PROXY", ""),
        "NoProxy": os.environ.get("NO_PROXY", ""),
        "Name": socket.gethostname(),
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": facts.version,
        "Runtimes": {facts.runtime: {"path": "pydockmagic.engine.runtime"}},
        "DefaultRuntime": facts.runtime,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "pydock-init",
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "SecurityOptions": facts.security_options,
        "CDISpecDirs": [],
        "Warnings": [*facts.warnings, *_missing(facts)] or None,
    }


_LIMITS = {
    "memory": "memory limit",
    "swap": "swap limit",
    "cpu_cfs": "cpu cfs quota",
    "cpu_shares": "cpu shares",
    "cpuset": "cpuset",
    "pids": "pids limit",
}


def _missing(facts: EngineFacts) -> list[str]:
    """Say which limits cannot be kept, as dockerd does."""
    return [f"WARNING: No {words} support" for name, words in _LIMITS.items() if name not in facts.support]


def _sysctl_on(name: str) -> bool:
    try:
        return Path("/proc/sys", name).read_text().strip() == "1"
    except OSError:
        return False
