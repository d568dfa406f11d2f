"""What this machine lets us do: one ``Capability`` per thing the engine could use, with the reason and what follows.

Everything is tried, never guessed from versions; each trial runs in a short-lived child, so that nothing of it sticks.
For programs with one thread (the engine asks ``pydockmagic.engine.doctor``, which is one).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cgroups, devices_bpf, linux, sandbox
from .probing import has_capability, in_child
from .sandbox import SandboxInfo

__all__ = ["Capability", "probe", "refusal_of"]

_PTRACE_TRACEME = 0
_ALLOW_ALL = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
_NAMESPACES = (
    ("pid", linux.CLONE_NEWPID),
    ("uts", linux.CLONE_NEWUTS),
    ("ipc", linux.CLONE_NEWIPC),
    ("net", linux.CLONE_NEWNET),
    ("cgroup", linux.CLONE_NEWCGROUP),
)


@dataclass(frozen=True)
class Capability:
    """One thing that the engine could use.

    ``reason`` says why it is there or not; ``consequence`` which driver or behaviour follows.
    """

    name: str
    available: bool
    reason: str
    consequence: str


def refusal_of(attempt: Callable[[], object]) -> str:
    """Try something in a child; give the sentence of its refusal, or nothing."""
    try:
        in_child(attempt)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def probe(info: SandboxInfo | None = None, data_root: Path | None = None) -> list[Capability]:
    """Examine the machine. ``info`` is where an engine already stands; without one, entering is tried as well.

    ``data_root`` is where overlays are to be mounted (by default the folder for temporary files).
    """
    standing = _Standing(info)
    inside = []
    if standing.info.rung != "none":
        inside = [
            standing.mounts,
            _overlay(standing, data_root),
            _namespaces(standing),
            _proc(standing),
            standing.subordinate_ids,
            _device_nodes(standing),
        ]
    return [
        standing.engine,
        standing.user_namespaces,
        *inside,
        *_cgroups(),
        _seccomp(),
        _ptrace(),
        _proot(),
        _low_ports(),
    ]


class _Standing:
    """Where an engine stands or would stand, and how to get there in a child."""

    def __init__(self, info: SandboxInfo | None) -> None:
        self._entered = info is not None
        self.info = info if info is not None else _would_enter()

    def enter(self) -> None:
        """Go where the engine stands; in a child."""
        if self._entered:
            linux.unshare(linux.CLONE_NEWNS)
        else:
            sandbox.enter(os.devnull)

    @property
    def engine(self) -> Capability:
        rung, reasons = self.info.rung, "; ".join(self.info.reasons)
        if rung == "root":
            return Capability("engine", True, "runs as root", "driver: namespaces, as root")
        if rung == "rootless":
            reason = reasons or "runs as an ordinary user"
            return Capability("engine", True, reason, "driver: namespaces, inside a user namespace (rootless)")
        return Capability(
            "engine", False, reasons, "no containers: neither mounts nor user namespaces are allowed here"
        )

    @property
    def user_namespaces(self) -> Capability:
        if self.info.rung == "rootless":
            return Capability("user namespaces", True, "the engine lives in one", "containers are root only inside")
        refusal = refusal_of(_new_user_namespace)
        follows = "an ordinary user can run the engine too" if not refusal else "the engine needs root here"
        return Capability("user namespaces", not refusal, refusal or "can be made", follows)

    @property
    def mounts(self) -> Capability:
        refusal = refusal_of(self._mount)
        if refusal:
            return Capability("mounts", False, refusal, "containers cannot be given a root of their own")
        return Capability("mounts", True, "a filesystem could be mounted", "containers get a root of their own")

    def _mount(self) -> None:
        self.enter()
        linux.mount("none", "/proc", "tmpfs")

    @property
    def subordinate_ids(self) -> Capability:
        ids = self.info.ids
        if ids > 1:
            return Capability("subordinate ids", True, f"{ids} user ids", "files and users of images as they are")
        reason = next((text for text in self.info.reasons if "one user id only" in text), "one user id")
        follows = "everybody in a container is the same user; chown and su pretend to succeed"
        return Capability("subordinate ids", False, reason.removeprefix("one user id only: "), follows)


def _would_enter() -> SandboxInfo:
    def attempt() -> dict[str, object]:
        info = sandbox.enter(os.devnull)
        return {"rung": info.rung, "ids": info.ids, "private_net": info.private_net, "reasons": list(info.reasons)}

    found = in_child(attempt)
    return SandboxInfo(
        found["rung"],
        os.getuid(),
        os.getgid(),
        ids=found["ids"],
        private_net=found["private_net"],
        reasons=tuple(found["reasons"]),
    )


def _new_user_namespace() -> None:
    try:
        linux.unshare(linux.CLONE_NEWUSER)
    except OSError as error:
        raise OSError(error.errno, sandbox.explain_refusal("user", error.errno or 0)) from error


def _overlay(standing: _Standing, data_root: Path | None) -> Capability:
    with _scratch(data_root) as scratch:

        def attempt() -> None:
            for name in ("lower", "upper", "work", "merged"):
                (scratch / name).mkdir()
            standing.enter()
            options = f"lowerdir={scratch}/lower,upperdir={scratch}/upper,workdir={scratch}/work"
            if standing.info.rung != "root":
                options += ",userxattr"
            linux.mount("overlay", str(scratch / "merged"), "overlay", data=options)

        refusal = refusal_of(attempt)
    if refusal:
        reason = f"overlayfs on {scratch.parent}: {refusal}"
        return Capability("overlay", False, reason, "storage driver: vfs (each container is a full copy)")
    return Capability("overlay", True, f"mounted on {scratch.parent}", "storage driver: overlay2")


def _namespaces(standing: _Standing) -> Capability:
    missing = []
    for name, flag in _NAMESPACES:

        def attempt(flag: int = flag) -> None:
            standing.enter()
            linux.unshare(flag)

        if refusal := refusal_of(attempt):
            missing.append(f"{name}: {refusal}")
    names = ", ".join(name for name, _ in _NAMESPACES)
    if missing:
        return Capability("namespaces", False, "; ".join(missing), "containers share what cannot be separated")
    return Capability("namespaces", True, names, "containers see only their own processes, names, queues and networks")


def _proc(standing: _Standing) -> Capability:
    def attempt() -> None:
        standing.enter()
        linux.unshare(linux.CLONE_NEWPID)
        in_child(lambda: linux.mount("proc", "/proc", "proc"))

    refusal = refusal_of(attempt)
    if refusal:
        reason = f"{refusal}: this machine is itself a container whose /proc is partly hidden"
        return Capability("proc", False, reason, "containers cannot be given a /proc of their own")
    return Capability("proc", True, "mounted in a process namespace", "ps in a container shows only its own")


def _cgroups() -> Iterator[Capability]:
    layout = cgroups.layout()
    if not layout.version:
        what = "mounted but not writable" if layout.unified or layout.hierarchies else "not mounted"
        yield Capability(
            "cgroups", False, what, "no limits, no pause, no statistics; each limit asked for is a warning"
        )
        return
    limits = ", ".join(sorted(layout.support - {"freezer", "devices"}))
    yield Capability("cgroups", True, f"version {layout.version}, writable", f"limits: {limits or 'none'}")
    refused = "" if "devices" in layout.support else devices_bpf.refusal()
    there = not refused
    reason = refused or ("cgroup v1 device rules" if layout.version == 1 else "a BPF program at each cgroup")
    follows = "devices outside Docker's list cannot be opened" if there else "CAP_MKNOD is dropped instead"
    yield Capability("device rules", there, reason, follows)


def _device_nodes(standing: _Standing) -> Capability:
    with _scratch(None) as scratch:

        def attempt() -> None:
            standing.enter()
            os.mknod(scratch / "null", 0o600 | 0o020000, os.makedev(1, 3))

        refusal = refusal_of(attempt)
    follows = "device nodes are made" if not refusal else "the host's device nodes are mounted into containers"
    return Capability("device nodes", not refusal, refusal or "can be made", follows)


def _seccomp() -> Capability:
    def attempt() -> None:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.set_seccomp(_ALLOW_ALL)

    refusal = refusal_of(attempt)
    follows = "Docker's default profile is applied" if not refusal else "containers run without a system-call filter"
    return Capability("seccomp", not refusal, refusal or "filters can be installed", follows)


def _ptrace() -> Capability:
    def attempt() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        pid = os.fork()
        if pid == 0:
            if libc.ptrace(_PTRACE_TRACEME, 0, None, None) == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(1)
        _, status = os.waitpid(pid, os.WUNTRACED)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if not os.WIFSTOPPED(status):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        os.waitpid(pid, 0)

    refusal = refusal_of(attempt)
    follows = "programs can be traced (strace, gdb, proot)" if not refusal else "strace, gdb and proot cannot work here"
    return Capability("ptrace", not refusal, refusal or "works", follows)


def _proot() -> Capability:
    program = shutil.which("proot")
    if program is None:
        return Capability("proot", False, "not installed", "no way to run containers where namespaces are refused")
    return Capability("proot", True, program, "not used: this engine has no driver for it yet")


def _low_ports() -> Capability:
    start = 1024
    with contextlib.suppress(OSError, ValueError):
        start = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    # Inside a user namespace the capability says nothing about the host's network.
    outside = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if has_capability("NET_BIND_SERVICE") and outside == [["0", "0", "4294967295"]]:
        return Capability("low ports", True, "CAP_NET_BIND_SERVICE", "any host port can be published")
    if start <= 1:
        return Capability("low ports", True, f"net.ipv4.ip_unprivileged_port_start is {start}", "any host port")
    reason = f"net.ipv4.ip_unprivileged_port_start is {start}"
    return Capability("low ports", False, reason, f"host ports from {start} on can be published")


@contextlib.contextmanager
def _scratch(parent: Path | None) -> Iterator[Path]:
    folder = parent if parent is not None and parent.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="pydock-doctor-", dir=folder, ignore_cleanup_errors=True) as name:
        path = Path(name)
        try:
            yield path
        finally:
            # overlayfs leaves work/work without permissions
            with contextlib.suppress(OSError):
                (path / "work" / "work").chmod(0o700)
