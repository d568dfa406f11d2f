"""The first process of a container, between clone and exec: it builds its world from the inside, then becomes it.

Standard library only. It runs in a child of the supervisor that shares its memory image but nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from . import bundle, execute, linux, rootfs, wire
from .refusal import Refusal, reason

__all__ = ["Plan", "clone_flags", "find_init", "run", "run_exec"]

_NEW = {
    "net": linux.CLONE_NEWNET,
    "ipc": linux.CLONE_NEWIPC,
    "uts": linux.CLONE_NEWUTS,
}
_STATIC_INITS = (
    "/usr/libexec/docker/docker-init",
    "/usr/local/bin/docker-init",
    "/usr/bin/docker-init",
    "/usr/bin/tini-static",
    "/sbin/tini-static",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/catatonit",
)
_INSIDE_INIT = "/sbin/docker-init"
_PT_INTERP = 3


class Plan(NamedTuple):
    """What a child needs beside the spec; descriptors are those of the supervisor it was cloned from."""

    spec: Mapping[str, Any]
    bundle: str
    sync: socket.socket
    stdio: execute.Stdio
    net: int
    tasks: Sequence[str]
    """v1 ``tasks`` files to write oneself into: unlike moving a process from outside this needs no RCU wait."""
    hierarchies: Mapping[str, str]
    cgroup_paths: Mapping[str, str]
    wait: bool
    """Wait for the supervisor's word before going on (it moves this process into its cgroup)."""
    inherited: Mapping[int, tuple[int, int]]
    """Resource limits to give back that the zygote raised for itself."""


def clone_flags(spec: Mapping[str, Any]) -> int:
    """Give the clone flags for the namespaces that are to be new."""
    namespaces = spec["namespaces"]
    if namespaces["user"] not in ("host", ""):
        raise Refusal("a user namespace of a container's own is not supported: the engine gives one to all", bare=True)
    flags = linux.CLONE_NEWNS
    for kind, flag in _NEW.items():
        if namespaces[kind] == "private":
            flags |= flag
    return flags | (linux.CLONE_NEWPID if namespaces["pid"] == "private" else 0)


def run(plan: Plan) -> NoReturn:
    """Do everything up to exec in a freshly cloned child; what goes wrong is told through ``plan.sync``."""
    try:
        _import_no_more()
        _enter_cgroup(plan)
        _build(plan)
        _execute(plan)
    except BaseException as error:  # noqa: BLE001 - this process must never return into the supervisor's code
        _complain(plan.sync, error)
    os._exit(1)


def run_exec(plan: Plan, process: Mapping[str, Any], pidfd: int, pid: int) -> NoReturn:
    """Join a running container's namespaces and become ``process``; the pid namespace is joined by the clone."""
    try:
        _import_no_more()
        _enter_cgroup(plan)
        _set_oom_score(process["oom_score_adj"])
        _join_all(pidfd, pid, private_cgroup=plan.spec["namespaces"]["cgroup"] == "private")
        os.umask(0o022)
        stdio = _terminal(plan, process, console=False) if process["tty"] else plan.stdio
        execute.execute(process, stdio, execute.Launch(plan.spec, plan.sync, plan.inherited))
    except BaseException as error:  # noqa: BLE001
        _complain(plan.sync, error)
    os._exit(1)


def _import_no_more() -> None:
    """Load no further module: once inside, its file would be the container's."""
    sys.meta_path.clear()


def _complain(sync: socket.socket, error: BaseException) -> None:
    try:
        wire.send(sync, execute.complain(error))
    except OSError:  # the supervisor is gone, and nobody asks any more
        os._exit(1)


def _enter_cgroup(plan: Plan) -> None:
    if plan.wait:
        plan.sync.recv(16)
    for path in plan.tasks:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"0")
        finally:
            os.close(descriptor)


def _build(plan: Plan) -> None:
    spec = plan.spec
    namespaces = spec["namespaces"]
    shm_tree = _join_named(namespaces, plan.net)
    _set_oom_score(spec["process"]["oom_score_adj"])
    if namespaces["cgroup"] == "private":
        linux.unshare(linux.CLONE_NEWCGROUP)
    if namespaces["uts"] == "private":
        try:
            socket.sethostname(spec["hostname"])
        except OSError as error:
            raise Refusal(f"error during container init: sethostname: {reason(error)}") from error
        if spec["domainname"]:
            linux.set_domain_name(spec["domainname"])
    if namespaces["net"] in ("private", "given"):
        with contextlib.suppress(PermissionError):  # one given to us by another owner is theirs to set up
            linux.loopback_up()
    sources = [_real_source(mount) for mount in spec["mounts"]]
    place = f"{plan.bundle}/{bundle.ROOTFS}"
    try:
        rootfs.enter(spec, place)
    except OSError as error:
        raise Refusal(f"error during container init: error preparing rootfs: {reason(error)}") from error
    os.umask(0o022)
    rootfs.mount_system(spec, shm_tree)
    rootfs.mount_cgroups(spec, plan.hierarchies, plan.cgroup_paths)
    rootfs.mount_users(spec["mounts"], sources)
    if init := _static_init(spec):
        rootfs.mount_users([_init_mount(init)], [init])
    _make_directory(spec["process"]["cwd"])


def _execute(plan: Plan) -> NoReturn:
    spec, process = plan.spec, plan.spec["process"]
    stdio = _terminal(plan, process, console=True) if process["tty"] else plan.stdio
    rootfs.finish(spec)
    static = _static_init(spec)
    wrap = (_INSIDE_INIT, "--") if static else ()
    fork_init = bool(spec["init"]) and not static
    execute.execute(process, stdio, execute.Launch(spec, plan.sync, plan.inherited, wrap, fork_init))


def _static_init(spec: Mapping[str, Any]) -> str:
    return str(spec.get("init_path", "")) if spec["init"] else ""


def _init_mount(path: str) -> dict[str, Any]:
    return {
        "kind": "bind",
        "target": _INSIDE_INIT,
        "source": path,
        "read_only": True,
        "options": (),
        "propagation": "rprivate",
        "deep_read_only": True,
    }


def find_init() -> str:
    """Find a statically linked small init on this machine (docker-init, tini, catatonit); empty where there is none."""
    for path in _STATIC_INITS:
        try:
            with open(path, "rb") as file:
                head = file.read(4096)
        except OSError:
            continue
        if _is_static(head):
            return os.path.realpath(path)
    return ""


def _is_static(head: bytes) -> bool:
    """Say whether a 64-bit ELF file names no program interpreter."""
    if head[:5] != b"\x7fELF\x02":
        return False
    offset = int.from_bytes(head[32:40], "little")
    size, count = int.from_bytes(head[54:56], "little"), int.from_bytes(head[56:58], "little")
    kinds = (head[offset + index * size : offset + index * size + 4] for index in range(count))
    return all(int.from_bytes(kind, "little") != _PT_INTERP for kind in kinds)


def _terminal(plan: Plan, process: Mapping[str, Any], *, console: bool) -> execute.Stdio:
    master, slave = execute.prepare_terminal(process["console_size"])
    if console:
        rootfs.mount_console(master)
    wire.send(plan.sync, {"terminal": True}, [master])
    os.close(master)
    return slave, slave, slave


def _real_source(mount: Mapping[str, Any]) -> str:
    if mount["kind"] != "bind":
        return ""
    try:
        return os.path.realpath(str(mount["source"]), strict=True)
    except OSError as error:
        raise Refusal(
            f'error during container init: error mounting "{mount["source"]}" to rootfs at "{mount["target"]}": '
            f"stat {mount['source']}: {reason(error)}"
        ) from error


def _join_named(namespaces: Mapping[str, str], net: int) -> int:
    """Join the namespaces given by path or descriptor; give a copy of a joined container's /dev/shm, or -1."""
    shm_tree = -1
    for kind in ("ipc", "net", "uts", "cgroup"):
        place = namespaces[kind]
        try:
            if kind == "net" and place == "given":
                linux.setns(net, linux.CLONE_NEWNET)
            elif place.startswith("/"):
                if kind == "ipc":
                    shm_tree = _shared_memory_of(place)
                join(place)
        except OSError as error:
            raise Refusal(f"error during container init: join {kind} namespace {place}: {reason(error)}") from error
    return shm_tree


def join(path: str) -> None:
    """Join one namespace by its path."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(descriptor)
    finally:
        os.close(descriptor)


def _shared_memory_of(ipc_path: str) -> int:
    """Take a copy of the /dev/shm mount of the container whose IPC namespace is joined (Docker shares both)."""
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        join(f"{os.path.dirname(ipc_path)}/mnt")
        try:
            return linux.clone_tree("/dev/shm")  # noqa: S108
        finally:
            linux.setns(home, linux.CLONE_NEWNS)
    except OSError:  # a container without one, or Linux before 5.2: a /dev/shm of its own then
        return -1
    finally:
        os.close(home)


def _join_all(pidfd: int, pid: int, *, private_cgroup: bool) -> None:
    flags = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    if private_cgroup:
        flags |= linux.CLONE_NEWCGROUP
    try:
        linux.setns(pidfd, flags)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        kinds = ("ipc", "uts", "net", *(("cgroup",) if private_cgroup else ()), "mnt")  # Linux before 5.8
        opened = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
        for descriptor in opened:
            linux.setns(descriptor)
        wire.close_all(opened)


def _set_oom_score(adjustment: int) -> None:
    if adjustment:
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(adjustment))
        except PermissionError as error:
            raise Refusal(f"error during container init: write /proc/self/oom_score_adj: {reason(error)}") from error


def _make_directory(path: str) -> None:
    try:
        os.makedirs(path or "/", 0o755, exist_ok=True)
    except FileExistsError as error:
        raise Refusal(f"Cannot mkdir: {path} is not a directory", bare=True) from error
    except OSError as error:
        raise Refusal(f"error during container init: mkdir {path}: {reason(error)}") from error
