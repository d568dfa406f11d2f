"""How the kernel sees a container: ``GET /pydock/containers/{id}/inside`` as typed records.

A plain Docker daemon tells less; then fields are empty and ``unknown`` says in sentences what cannot be told.
"""

from __future__ import annotations

import msgspec

from pydockmagic.notebook.widgets.records import Record

__all__ = ["Capabilities", "Cgroup", "Host", "IdRange", "Inside", "MountSeen", "ProcessSeen"]


class Host(Record, frozen=True):
    """The machine that the engine runs on; namespaces by kind, as the numbers of ``/proc/PID/ns``."""

    name: str = ""
    namespaces: dict[str, int] = msgspec.field(default_factory=dict)


class ProcessSeen(Record, frozen=True):
    """A process; ``inner_pid`` is its number in the container, ``within`` false for those above the container."""

    pid: int = 0
    inner_pid: int = 0
    parent: int = 0
    uid: int | None = None
    name: str = ""
    command: str = ""
    state: str = ""
    threads: int = 1
    within: bool = True
    namespaces: dict[str, int] = msgspec.field(default_factory=dict)


class MountSeen(Record, frozen=True):
    """A mount in the container's mount namespace (proc_pid_mountinfo(5)); ``root`` is the part that is mounted."""

    target: str = ""
    root: str = ""
    type: str = ""
    source: str = ""
    options: list[str] = msgspec.field(default_factory=list)
    super_options: list[str] = msgspec.field(default_factory=list)


class IdRange(Record, frozen=True):
    """``count`` ids from ``inside`` on are those from ``outside`` on."""

    inside: int = 0
    outside: int = 0
    count: int = 0


class Cgroup(Record, frozen=True):
    """Limits and use. ``None``: not counted here; a limit of ``None`` or 0: there is none."""

    version: str = ""
    path: str = ""
    memory_usage: int | None = None
    memory_limit: int | None = None
    machine_memory: int | None = None
    cpus: int | None = None
    cpu_limit: float | None = None
    cpu_nanoseconds: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    throttled: int = 0


class Capabilities(Record, frozen=True):
    """The rights of root, by name: those that the first process has, may get, and all that there are."""

    effective: list[str] = msgspec.field(default_factory=list)
    bounding: list[str] = msgspec.field(default_factory=list)
    all: list[str] = msgspec.field(default_factory=list)


class Inside(Record, frozen=True):
    """A container as the kernel sees it."""

    id: str = ""
    name: str = ""
    state: str = ""
    pid: int = 0
    host: Host = Host()
    processes: list[ProcessSeen] = msgspec.field(default_factory=list)
    namespaces: dict[str, int] = msgspec.field(default_factory=dict)
    shared: dict[str, bool | None] = msgspec.field(default_factory=dict)
    """Whether the container uses the host's namespace, where numbers are not known but the configuration tells."""
    mounts: list[MountSeen] = msgspec.field(default_factory=list)
    uid_map: list[IdRange] = msgspec.field(default_factory=list)
    gid_map: list[IdRange] = msgspec.field(default_factory=list)
    cgroup: Cgroup = Cgroup()
    capabilities: Capabilities = Capabilities()
    no_new_privileges: bool | None = None
    seccomp: str = ""
    unknown: list[str] = msgspec.field(default_factory=list)
