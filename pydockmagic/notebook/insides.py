"""Reading how the kernel sees a container: from our engine in one answer, from a plain Docker daemon piece by piece.

A plain daemon tells the pids of the host (``top``) and the configuration (``inspect``); what only the kernel knows is
read by a short program inside the container, where there is a shell. What nobody can tell is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pydockmagic.client import ApiError, ClientError, NotFound
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.widgets.inside_records import (
    Capabilities,
    Cgroup,
    Host,
    IdRange,
    Inside,
    MountSeen,
    ProcessSeen,
)
from pydockmagic.notebook.widgets.inside_words import CAPABILITIES, NAMESPACES

if TYPE_CHECKING:
    from pydockmagic.client import Client

__all__ = ["read_inside", "read_usage"]

_SHELL = r"""p=$1; echo "$$"; echo ---
for f in mountinfo uid_map gid_map status; do cat /proc/$p/$f; echo ---; done
for f in /proc/[0-9]*/status; do while read -r k v; do case $k in Name:|Pid:|PPid:) echo "$k$v";; esac; done < $f
done 2>/dev/null"""
_PS = "-eo pid,ppid,uid,pidns,netns,mntns,utsns,ipcns,userns,args"
_SECCOMP = {"0": "disabled", "1": "strict", "2": "filter"}


def read_inside(client: Client, name: str) -> Inside:
    """Read how the kernel sees a container. Raises ``NotFound``."""
    facts = client.container_inspect(name)
    if "inside" in client.features():
        try:
            seen = msgspec.convert(client.inside(str(facts["Id"])), Inside)
        except msgspec.ValidationError as error:
            raise DockerError(f"The engine's answer cannot be read: {error}") from error
        cgroup = msgspec.structs.replace(seen.cgroup, cpu_limit=_cpu_limit(facts["HostConfig"]))
        return msgspec.structs.replace(seen, cgroup=cgroup)
    return _pieced(client, facts)


def read_usage(before: Cgroup, stats: Mapping[str, Any]) -> Cgroup:
    """Take the figures of one reading of ``docker stats``."""
    memory, pids = stats.get("memory_stats") or {}, stats.get("pids_stats") or {}
    cpu = stats.get("cpu_stats") or {}
    used = (cpu.get("cpu_usage") or {}).get("total_usage")
    throttled = (cpu.get("throttling_data") or {}).get("throttled_periods", before.throttled)
    return msgspec.structs.replace(
        before,
        memory_usage=memory.get("usage", before.memory_usage),
        pids=pids.get("current", before.pids),
        cpu_nanoseconds=used or before.cpu_nanoseconds,
        throttled=throttled,
    )


def _cpu_limit(host_config: Mapping[str, Any]) -> float | None:
    if nano := host_config.get("NanoCpus"):
        return float(nano) / 1e9
    quota, period = host_config.get("CpuQuota") or 0, host_config.get("CpuPeriod") or 100_000
    return quota / period if quota > 0 else None


def _pieced(client: Client, facts: Mapping[str, Any]) -> Inside:
    """Put together what a plain daemon and the container itself tell."""
    state, host = facts["State"], facts["HostConfig"]
    pid = int(state.get("Pid") or 0)
    bare = Inside(id=facts["Id"], name=facts["Name"], state=str(state["Status"]), pid=pid)
    if not pid:
        return bare
    unknown: list[str] = []
    processes, namespaces = _processes(client, bare.id, pid)
    shares_pids = host.get("PidMode") == "host"
    told = _told_inside(client, bare.id, "self" if shares_pids else "1")
    if told is None:
        unknown.append(
            "Pids in the container, mounts, user ids and capabilities are not known: this daemon does not tell them, "
            "and no shell in the container could be asked."
        )
    elif not shares_pids:
        matched = _matched(processes, told["processes"], pid)
        if matched is None:
            unknown.append("Which pid in the container is which on the host is not known: they changed meanwhile.")
        processes = matched or processes
    if shares_pids:
        processes = [msgspec.structs.replace(each, inner_pid=each.pid) for each in processes]
    theirs = _host_namespaces(pid, namespaces)
    if not theirs:
        unknown.append("The host's namespaces have no numbers here: a Docker daemon does not tell them.")
    unknown.append("What stands above the container on the host is not known: a Docker daemon does not tell it.")
    seen = msgspec.structs.replace(
        bare,
        processes=processes,
        namespaces=namespaces,
        host=Host(namespaces=theirs),
        shared=_shared(host, client.info()),
        cgroup=_cgroup(client, bare.id, host),
        unknown=unknown,
    )
    return seen if told is None else _with_status(seen, told)


def _processes(client: Client, container: str, first: int) -> tuple[list[ProcessSeen], dict[str, int]]:
    """Ask ``top``: the pids of the host, and the namespaces where its ``ps`` knows them."""
    try:
        answer = client.container_top(container, ps_args=_PS)
        titles = [str(title) for title in answer["Titles"]]
    except ApiError:
        answer = client.container_top(container)
        titles = [str(title) for title in answer["Titles"]]
    found, namespaces = [], {}
    for row in answer["Processes"]:
        fields = dict(zip(titles, row, strict=False))
        own = {
            kind: int(fields[f"{kind.upper()}NS"])
            for kind in NAMESPACES
            if fields.get(f"{kind.upper()}NS", "").isdigit()
        }
        pid = int(fields["PID"])
        uid = fields.get("UID", "")
        command = fields.get("COMMAND") or fields.get("CMD") or ""
        number = int(uid) if uid.isdigit() else None
        found.append(
            ProcessSeen(pid=pid, parent=int(fields.get("PPID") or 0), uid=number, command=command, namespaces=own)
        )
        if pid == first:
            namespaces = own
    return found, namespaces


def _told_inside(client: Client, container: str, process: str) -> dict[str, Any] | None:
    """Run the short program in the container and take its answer apart; ``None`` where it cannot run."""
    config = {"AttachStdout": True, "AttachStderr": True, "Cmd": ["sh", "-c", _SHELL, "sh", process]}
    try:
        identity = client.exec_create(container, config)["Id"]
        with client.exec_start(identity) as stream:
            text = b"".join(frame.data for frame in stream if frame.stream == "stdout").decode(errors="replace")
    except ClientError:
        return None
    parts = text.split("---\n")
    if len(parts) < 6:
        return None
    own = parts[0].strip()
    rows = re.findall(r"Name:(.*)\nPid:(\d+)\nPPid:(\d+)", parts[5])
    return {
        "mounts": parts[1],
        "uid_map": parts[2],
        "gid_map": parts[3],
        "status": dict(re.findall(r"^(\w+):\s*(.*)$", parts[4], re.MULTILINE)),
        # without the program itself
        "processes": [(name.strip(), int(pid)) for name, pid, parent in rows if own not in (pid, parent)],
    }


def _matched(
    processes: Sequence[ProcessSeen], inner: Sequence[tuple[str, int]], first: int
) -> list[ProcessSeen] | None:
    """Give each process of the host its pid in the container: both lists are in the order of their making."""
    outer = sorted(processes, key=lambda each: (each.pid != first, each.pid))
    numbers = sorted(pid for _, pid in inner)
    if len(outer) != len(numbers):
        return None
    pairs = zip(outer, numbers, strict=True)
    return [msgspec.structs.replace(each, inner_pid=number) for each, number in pairs]


def _host_namespaces(pid: int, namespaces: Mapping[str, int]) -> dict[str, int]:
    """Give the numbers of this machine, where the daemon's container runs on it as well."""
    found = {}
    try:
        if str(Path(f"/proc/{pid}/ns/pid").readlink()) != f"pid:[{namespaces.get('pid')}]":
            return {}
        for kind in NAMESPACES:
            text = str(Path(f"/proc/self/ns/{kind}").readlink())
            found[kind] = int(text[text.index("[") + 1 : -1])
    except OSError:
        return {}
    return found


def _shared(host: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, bool | None]:
    """Say from the configuration which of the host's namespaces a container uses."""
    remapped = any("name=userns" in each or "name=rootless" in each for each in info.get("SecurityOptions") or ())
    return {
        "pid": host.get("PidMode") == "host",
        "net": host.get("NetworkMode") == "host",
        "mnt": False,
        "uts": host.get("UTSMode") == "host",
        "ipc": host.get("IpcMode") == "host",
        "user": not remapped or host.get("UsernsMode") == "host",
        "cgroup": host.get("CgroupnsMode", "host") == "host",
    }


def _cgroup(client: Client, container: str, host: Mapping[str, Any]) -> Cgroup:
    info = client.info()
    limits = Cgroup(
        version=str(info.get("CgroupVersion", "")),
        memory_limit=host.get("Memory") or None,
        machine_memory=info.get("MemTotal"),
        cpus=info.get("NCPU"),
        cpu_limit=_cpu_limit(host),
        pids_limit=host.get("PidsLimit") or None,
    )
    try:
        return read_usage(limits, client.container_stats(container, one_shot=True))
    except NotFound:
        return limits


def _with_status(seen: Inside, told: Mapping[str, Any]) -> Inside:
    status: Mapping[str, str] = told["status"]
    mask = int(status.get("CapEff") or "0", 16)
    bounding = int(status.get("CapBnd") or "0", 16)
    names = [f"CAP_{name}" for name in CAPABILITIES]
    return msgspec.structs.replace(
        seen,
        mounts=[mount for line in told["mounts"].splitlines() if (mount := _mount(line))],
        uid_map=_ranges(told["uid_map"]),
        gid_map=_ranges(told["gid_map"]),
        capabilities=Capabilities(
            effective=[name for at, name in enumerate(names) if mask >> at & 1],
            bounding=[name for at, name in enumerate(names) if bounding >> at & 1],
            all=names,
        ),
        no_new_privileges=status["NoNewPrivs"] == "1" if "NoNewPrivs" in status else None,
        seccomp=_SECCOMP.get(status.get("Seccomp", ""), ""),
    )


def _mount(line: str) -> MountSeen | None:
    before, _, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ", 2)
    if len(fields) < 6 or len(rest) < 3:
        return None
    return MountSeen(
        target=fields[4],
        root=fields[3],
        type=rest[0],
        source=rest[1],
        options=fields[5].split(","),
        super_options=rest[2].split(","),
    )


def _ranges(text: str) -> list[IdRange]:
    rows = [[int(field) for field in line.split()] for line in text.splitlines()]
    return [IdRange(inside=row[0], outside=row[1], count=row[2]) for row in rows if len(row) == 3]
