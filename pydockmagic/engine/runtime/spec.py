"""What a runtime driver is told: one container, or one extra process in it, as plain data.

The service above decides everything (defaults, image config, limits); a driver only carries it out. The records are
our shape of the OCI runtime-spec v1.2 ``config.json``, with what a driver here needs and no more.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "CgroupLimits",
    "ContainerSpec",
    "Device",
    "ExitRecord",
    "LogTarget",
    "Mount",
    "Namespaces",
    "PortForward",
    "ProcessSpec",
    "Rlimit",
    "Root",
]


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """A container's root, as a storage driver describes it; it is mounted inside the container's mount namespace.

    ``kind="overlay"``: ``lower`` (topmost layer first), ``upper`` and ``work`` are directories.
    ``kind="directory"``: ``upper`` is the whole, writable tree (copy driver).
    """

    kind: str
    upper: str
    lower: tuple[str, ...] = ()
    work: str = ""
    userxattr: bool = False
    read_only: bool = False


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One mount below the root, in order. ``kind``: ``bind`` or ``tmpfs``.

    ``source`` is a host path (bind only), ``options`` Linux mount options (``size=64m``, ``mode=1777``, ...).
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    options: tuple[str, ...] = ()
    propagation: str = "rprivate"
    deep_read_only: bool = True
    """A read-only bind makes what is mounted below it read-only as well."""


class Rlimit(msgspec.Struct, frozen=True):
    """One resource limit; ``name`` without RLIMIT_, in lower case (``nofile``)."""

    name: str
    soft: int
    hard: int


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A process to start inside a root.

    ``user`` is Docker's text (``name``, ``uid``, ``uid:gid``, ``name:group``; empty is root), looked up in the
    container's own /etc/passwd and /etc/group by the driver. ``env`` holds ``KEY=value`` and is complete, but for
    HOME, which the driver adds from /etc/passwd when it is missing.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    groups: tuple[str, ...] = ()
    tty: bool = False
    open_stdin: bool = False
    console_size: tuple[int, int] = (0, 0)
    """Rows, columns; zeros leave the terminal's default."""
    capabilities: frozenset[str] = frozenset()
    """Names with CAP_; the bounding, permitted and effective set of root."""
    no_new_privileges: bool = False
    seccomp: str = "default"
    """``default``, ``unconfined`` or a JSON profile in Docker's format."""
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0


class Namespaces(msgspec.Struct, frozen=True, kw_only=True):
    """Where each namespace comes from: ``private`` (a new one), ``host``, or ``/proc/PID/ns/KIND`` to join.

    ``net`` may also be ``given``: the descriptor passed beside the spec. ``none`` networking is ``private``.
    """

    net: str = "private"
    pid: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"
    user: str = "host"


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device node made in the container (a bind mount of the host's where mknod is not allowed)."""

    source: str
    target: str
    permissions: str = "rwm"


class CgroupLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in Docker's units; 0 means none. Memory in bytes, ``nano_cpus`` in 1e-9 CPUs."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    blkio_weight: int = 0
    oom_kill_disable: bool = False
    memory_swappiness: int = -1
    """0 to 100; -1 leaves the kernel's."""
    device_weights: tuple[tuple[str, int], ...] = ()
    device_read_bps: tuple[tuple[str, int], ...] = ()
    device_write_bps: tuple[tuple[str, int], ...] = ()
    device_read_iops: tuple[tuple[str, int], ...] = ()
    device_write_iops: tuple[tuple[str, int], ...] = ()
    device_rules: tuple[str, ...] = ()
    """Extra allow rules in cgroup v1 syntax (``c 1:3 rwm``); ``a *:* rwm`` for privileged."""


class LogTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where the supervisor writes the output. ``driver``: ``json-file``, ``local`` or ``none``."""

    driver: str = "json-file"
    path: str = ""
    max_size: int = 0
    """Bytes before the file is rotated; 0 never."""
    max_file: int = 1
    compress: bool = False
    """Whether rotated files are compressed (gzip)."""
    labels: tuple[tuple[str, str], ...] = ()
    """What each line carries as its attributes (labels, environment, tag)."""


class PortForward(msgspec.Struct, frozen=True, kw_only=True):
    """A published port: the listening socket is passed beside the spec, in the order of these records.

    ``proto``: ``tcp``, ``udp``, or ``dns`` for the container's own name server, which answers from the file ``path``.
    """

    proto: str
    target_ip: str = ""
    target_port: int = 0
    path: str = ""


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One container, complete. ``bundle`` is its private directory on the host (0700): sockets, exit record."""

    id: str
    bundle: str
    hostname: str
    domainname: str = ""
    root: Root
    process: ProcessSpec
    mounts: tuple[Mount, ...] = ()
    namespaces: Namespaces = Namespaces()
    cgroup_parent: str = "/docker"
    limits: CgroupLimits = CgroupLimits()
    devices: tuple[Device, ...] = ()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    shm_size: int = 67_108_864
    """Of /dev/shm; negative: there is none."""
    privileged: bool = False
    init: bool = False
    log: LogTarget = LogTarget()
    ports: tuple[PortForward, ...] = ()


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended; on disk as ``exit.json`` in the bundle before anybody is told.

    ``code`` is Docker's: the exit status, or 128 + signal. Times are Unix nanoseconds.
    """

    code: int
    started_ns: int
    finished_ns: int
    oom_killed: bool = False
    error: str = ""
