"""A container as the kernel sees it, for ``GET /pydock/containers/{id}/inside``.

Processes with both their pids, namespaces beside the host's, mounts, user ids, cgroup and capabilities. All of it
stands in /proc (proc_pid_status(5), namespaces(7), proc_pid_mountinfo(5), user_namespaces(7)); the numbers of
the cgroup come from the runtime, as for ``docker stats``.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydockmagic.engine.runtime.defaults import ALL_CAPABILITIES
from pydockmagic.engine.runtime.driver import CgroupStats
from pydockmagic.engine.runtime.host import host_namespaces, namespaces_of
from pydockmagic.engine.runtime.linux import CAPABILITIES

from .container import Container
from .core import Core

__all__ = ["inside", "read_inside"]

_SECCOMP = {"0": "disabled", "1": "strict", "2": "filter"}
_GENERATIONS = 12
"""Ancestors that are told of at most: the way from the machine's first process to the container's."""


async def inside(core: Core, container: Container) -> dict[str, Any]:
    """Give the document; of a container that does not run, only what it is called and how it stands."""
    record = container.record
    document: dict[str, Any] = {
        "Id": record.id,
        "Name": record.name,
        "State": container.lifecycle.value,
        "Pid": record.state.pid,
        "Host": {"Name": platform.node(), "Namespaces": dict(host_namespaces())},
    }
    if not record.state.pid:
        return document
    try:
        pids = await core.runtime.processes(record.id)
        counters = await core.runtime.stats(record.id)
    except ProcessLookupError:
        return document
    document |= await asyncio.to_thread(read_inside, record.state.pid, pids)
    document["Cgroup"] |= {"Version": core.surroundings.cgroup_version, **_counters(counters)}
    return document


def read_inside(first: int, pids: Iterable[int], proc: str = "/proc") -> dict[str, Any]:
    """Read what /proc tells of a container whose first process is ``first``; what ends meanwhile is left out."""
    own = [row for pid in sorted(pids) if (row := _process(pid, proc))]
    ancestors = _ancestors(first, {row["Pid"] for row in own}, proc)
    status = _status(first, proc)
    return {
        "Processes": [*ancestors, *own],
        "Namespaces": namespaces_of(str(first), proc),
        "Mounts": _mounts(_read(f"{proc}/{first}/mountinfo")),
        "UidMap": _map(_read(f"{proc}/{first}/uid_map")),
        "GidMap": _map(_read(f"{proc}/{first}/gid_map")),
        "Cgroup": {"Path": _cgroup(_read(f"{proc}/{first}/cgroup"))},
        "Capabilities": {
            "Effective": _capabilities(status.get("CapEff", "0")),
            "Bounding": _capabilities(status.get("CapBnd", "0")),
            "All": sorted(ALL_CAPABILITIES),
        },
        "NoNewPrivileges": status.get("NoNewPrivs") == "1",
        "Seccomp": _SECCOMP.get(status.get("Seccomp", ""), "unknown"),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _status(pid: int, proc: str) -> dict[str, str]:
    lines = _read(f"{proc}/{pid}/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _as_host(uid: int, proc: str) -> int:
    """Give the host's number of a user: an engine in a user namespace of its own sees those of that namespace."""
    if namespaces_of("self", proc).get("user") == host_namespaces().get("user"):
        return uid
    for part in _map(_read(f"{proc}/self/uid_map")):
        if 0 <= uid - part["Inside"] < part["Count"]:
            return part["Outside"] + uid - part["Inside"]
    return uid


def _process(pid: int, proc: str, *, within: bool = True) -> dict[str, Any] | None:
    """Give one process; ``NSpid`` lists its number in each pid namespace, the outermost first."""
    status = _status(pid, proc)
    if not status:
        return None
    numbers = status.get("NSpid", "").split()
    # what else runs on this machine is told by its name alone: a notebook is saved and read by others
    command = _read(f"{proc}/{pid}/cmdline").rstrip("\0").replace("\0", " ") if within else ""
    return {
        "Pid": pid,
        "InnerPid": int(numbers[-1]) if within and numbers else 0,
        "Parent": int(status.get("PPid", "0")),
        "Uid": _as_host(int(status.get("Uid", "0").split()[0]), proc),
        "Name": status.get("Name", ""),
        "Command": command,
        "State": status.get("State", "").partition("(")[2].rstrip(")"),
        "Threads": int(status.get("Threads", "1")),
        "Within": within,
        "Namespaces": namespaces_of(str(pid), proc) if within else {},
    }


def _ancestors(first: int, own: set[int], proc: str) -> list[dict[str, Any]]:
    """Give the processes above the container's first, the machine's first process first."""
    found: list[dict[str, Any]] = []
    pid = int(_status(first, proc).get("PPid", "0"))
    while pid and pid not in own and len(found) < _GENERATIONS:
        row = _process(pid, proc, within=False)
        if row is None:
            break
        found.insert(0, row)
        pid = row["Parent"]
    return found


def _mounts(text: str) -> list[dict[str, Any]]:
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ", 2)
        if len(fields) < 6 or len(rest) < 3:
            continue
        mounts.append(
            {
                "Target": _unescaped(fields[4]),
                "Root": _unescaped(fields[3]),
                "Type": rest[0],
                "Source": _unescaped(rest[1]),
                "Options": fields[5].split(","),
                "SuperOptions": [_unescaped(option) for option in rest[2].split(",")],
            }
        )
    return mounts


def _unescaped(text: str) -> str:
    """Undo the octal escapes of mountinfo: blanks, tabs, line ends and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _map(text: str) -> list[dict[str, int]]:
    """Read a uid_map: ids from ``Inside`` on are those from ``Outside`` on in the engine's user namespace."""
    rows = [[int(field) for field in line.split()] for line in text.splitlines()]
    return [dict(zip(("Inside", "Outside", "Count"), row, strict=True)) for row in rows if len(row) == 3]


def _cgroup(text: str) -> str:
    """Give the path of the cgroup: that of version 2, else of the memory controller, else of any."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    named = paths.get("memory") or next((path for key, path in paths.items() if key), "")
    unified = paths.get("", "")
    return unified if unified not in ("", "/") or not named else named


def _capabilities(mask: str) -> list[str]:
    number = int(mask or "0", 16)
    return sorted(f"CAP_{name}" for at, name in enumerate(CAPABILITIES) if number >> at & 1)


def _counters(counters: CgroupStats) -> Mapping[str, Any]:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "MemoryUsage": counters.memory_usage,
        "MemoryLimit": counters.memory_limit,
        "MachineMemory": total,
        "Cpus": os.cpu_count() or 1,
        "CpuNanoseconds": counters.cpu_usage_ns,
        "Pids": counters.pids,
        "PidsLimit": counters.pids_limit,
        "Throttled": counters.throttled[1],
    }
