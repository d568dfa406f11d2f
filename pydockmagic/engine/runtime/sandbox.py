"""The sandbox: the namespaces that the whole engine runs in, so that the code for root serves an ordinary user too.

As root: a mount namespace of its own, so that whatever the engine mounts is gone when it dies. As an ordinary user
first a user namespace (RootlessKit's pattern): inside it the engine is root over what it makes. The engine stays in
the host's network namespace, so that pulls and published ports need no help; the bridges live in a network namespace of
their own (``open_network``), which the zygote keeps alive.

Everything is tried in a short-lived child first; each refusal becomes a sentence.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from . import linux, wire
from .host import host_mounts, host_namespaces
from .linux import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, setns, unshare
from .probing import has_capability, in_child

__all__ = [
    "SandboxInfo",
    "enter",
    "explain_refusal",
    "keeper",
    "open_network",
    "subordinate_ranges",
]

_HELLO_SECONDS = 5.0
_NS_GET_USERNS = 0xB701


@dataclass(frozen=True)
class SandboxInfo:
    """Where the engine stands now.

    ``rung`` is ``root``, ``rootless`` or ``none`` (then ``reasons`` says what was refused). ``uid`` and ``gid`` are
    those of the person, as the host sees them. ``ids`` counts the user ids that containers can have.
    """

    rung: str
    uid: int
    gid: int
    ids: int = 0
    private_net: bool = False
    """The bridges need a network namespace of their own: the zygote is to make one when it starts."""
    keeper: int = 0
    """The pid of the zygote whose user namespace was entered again; 0 for a new one."""
    reasons: tuple[str, ...] = ()


def enter(run_dir: str | Path) -> SandboxInfo:
    """Enter the sandbox. For a program with a single thread, before anything else is opened.

    ``run_dir`` is where the socket of a zygote is that still runs: its user namespace is entered again.
    """
    host_namespaces()  # noted while they are still ours
    host_mounts()
    person = os.getuid(), os.getgid()
    reasons: list[str] = []
    if has_capability("SYS_ADMIN"):
        refusal = _tried(_mount_namespace)
        if not refusal:
            _mount_namespace()
            return SandboxInfo("root", *person, ids=_mapped(), private_net=not _owns_network())
        reasons.append(f"as root: {refusal}")
    with keeper(run_dir) as pid:
        if pid:
            refusal = _tried(lambda: _join(pid))
            if not refusal:
                _join(pid)
                return SandboxInfo("rootless", *person, ids=_mapped(), private_net=True, keeper=pid)
            reasons.append(f"entering the namespaces of the running containers (process {pid}): {refusal}")
    refusal = _tried(_user_namespace)
    if refusal:
        return SandboxInfo("none", *person, reasons=(*reasons, refusal))
    reasons += _user_namespace()
    return SandboxInfo("rootless", *person, ids=_mapped(), private_net=True, reasons=tuple(reasons))


def open_network(info: SandboxInfo) -> int | None:
    """Give a descriptor of the network namespace that is to hold the bridges; None where that is the host's.

    It is the running zygote's, or a new one that the next zygote is to live in: pass it on. Raises OSError.
    """
    if not info.private_net:
        return None
    if info.keeper:
        with contextlib.suppress(FileNotFoundError):  # with no container left it may just have ended
            return os.open(f"/proc/{info.keeper}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    # A thread of its own makes it: from in there no way leads back to the host's namespace.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_new_network).result()


def _new_network() -> int:
    unshare(CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def keeper(run_dir: str | Path) -> Iterator[int]:
    """Hold the zygote of a run directory and give its pid; 0 when none lives, or when its user namespace is ours."""
    with contextlib.ExitStack() as held:
        for path in sorted(Path(run_dir).glob("zygote-*.sock"), reverse=True):
            try:
                connection = held.enter_context(wire.connect(str(run_dir), path.name))
                connection.settimeout(_HELLO_SECONDS)
                wire.send(connection, {"id": 1, "op": "hello"})
                answer = wire.Receiver(connection).receive()
                pid = int(answer[0]["ok"]["pid"]) if answer else 0
                theirs = os.stat(f"/proc/{pid}/ns/user").st_ino
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if theirs != os.stat("/proc/self/ns/user").st_ino:
                yield pid
                return
        yield 0


def subordinate_ranges(file: str | Path, uid: int) -> list[tuple[int, int]]:
    """Give the (start, count) ranges that ``/etc/subuid`` or ``/etc/subgid`` grants a user, by name or number."""
    names = {str(uid)}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    found = []
    with contextlib.suppress(OSError):
        for line in Path(file).read_text(errors="replace").splitlines():
            fields = line.strip().split(":")
            if len(fields) == 3 and fields[0] in names and fields[1].isdigit() and fields[2].isdigit():
                found.append((int(fields[1]), int(fields[2])))
    return found


def explain_refusal(step: str, number: int) -> str:
    """Say in one sentence what the kernel's refusal of ``step`` (``user`` or ``mount``) most likely means here."""
    text = os.strerror(number) if number else "refused"
    if step == "user":
        if _sysctl("user/max_user_namespaces") == "0" or number == errno.ENOSPC:
            return f"user namespaces are used up or turned off (user.max_user_namespaces): {text}"
        if _sysctl("kernel/unprivileged_userns_clone") == "0":
            return f"user namespaces are turned off for ordinary users (kernel.unprivileged_userns_clone=0): {text}"
        if number == errno.EPERM:
            return f"a seccomp filter or security module refuses new user namespaces: {text}"
        return f"new user namespaces are refused: {text}"
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            f"AppArmor forbids mounting inside user namespaces (kernel.apparmor_restrict_unprivileged_userns=1): {text}"
        )
    return f"mounting is refused: {text}"


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


class _RefusedError(OSError):
    """One step was refused; ``strerror`` is the sentence."""


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _RefusedError(error.errno, explain_refusal(name, error.errno or 0)) from error


def _tried(function: Callable[[], object]) -> str:
    """Run a step and one real mount in a child; give why it was refused, or nothing."""

    def attempt() -> None:
        function()
        with _step("mount"):
            linux.mount("none", "/proc", "tmpfs")

    try:
        in_child(attempt)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _mount_namespace() -> None:
    with _step("mount"):
        unshare(CLONE_NEWNS)
        # Mounts of the host come in, and none of ours go out.
        linux.mount("", "/", flags=linux.MS_REC | linux.MS_SLAVE)


def _join(pid: int) -> None:
    with _step("user"):
        descriptor = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(descriptor, CLONE_NEWUSER)
        finally:
            os.close(descriptor)
    _become_root()
    # A mount namespace of its own, not the zygote's: what the dead engine mounted died with it.
    _mount_namespace()


def _user_namespace() -> list[str]:
    """Enter new user and mount namespaces with as many ids as can be had; give sentences on what could not."""
    uid, gid = os.getuid(), os.getgid()
    with _IdMapper() as mapper, _step("user"):
        unshare(CLONE_NEWUSER)
        reasons = mapper.ask()
        if not Path("/proc/self/uid_map").read_text().strip():
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1\n")
        if not Path("/proc/self/gid_map").read_text().strip():
            # The kernel asks for this: without it, dropping a group could open what the group is kept out of.
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1\n")
    _become_root()
    _mount_namespace()
    return reasons


def _become_root() -> None:
    """Be 0 inside: with several ids mapped, a process keeps its own number until it asks."""
    if Path("/proc/self/setgroups").read_text().strip() == "allow":
        with contextlib.suppress(OSError):
            os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


class _IdMapper:
    """A child that stays outside and writes the id maps of this process when asked: only from there is it allowed."""

    def __init__(self) -> None:
        question, self._question = os.pipe()
        self._answer, answer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._question)
                if os.read(question, 1):
                    os.write(answer, json.dumps(_write_maps(os.getppid())).encode())
            finally:
                os._exit(0)
        os.close(question)
        os.close(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._question)
        os.close(self._answer)
        os.waitpid(self._pid, 0)

    def ask(self) -> list[str]:
        """Have the maps written as far as possible; give a sentence for each that could not be."""
        os.write(self._question, b"?")
        text = os.read(self._answer, 65536)
        return list(json.loads(text)) if text else ["the helper that writes the id maps died"]


def _write_maps(pid: int) -> list[str]:
    """Give process ``pid`` every id that may be given; with none, it will have to map its own."""
    if os.getuid() == 0 and has_capability("SETUID") and has_capability("SETGID"):
        for name in ("uid_map", "gid_map"):
            ranges = [line.split() for line in Path("/proc/self", name).read_text().splitlines()]
            lines = [f"{inside} {inside} {count}\n" for inside, _, count in ranges]
            try:
                Path(f"/proc/{pid}", name).write_text("".join(lines))
            except OSError as error:
                return [f"the ids of this machine cannot be mapped: {error.strerror}"]
        return []
    if _no_new_privileges():
        return ["one user id only: no_new_privs is set for this process, so newuidmap cannot help"]
    reasons = []
    for program, file, own in (
        ("newuidmap", "/etc/subuid", os.getuid()),
        ("newgidmap", "/etc/subgid", os.getgid()),
    ):
        reason = _run_mapper(program, file, own, pid)
        if reason:
            reasons.append(reason)
            break  # one id of each kind is consistent, 65536 users with one group are not
    return reasons


def _run_mapper(program: str, file: str, own: int, pid: int) -> str:
    ranges = subordinate_ranges(file, os.getuid())
    if not ranges:
        return f"one user id only: {file} grants this user no subordinate ids"
    if shutil.which(program) is None:
        return f"one user id only: {program} is not installed (Debian: package uidmap)"
    arguments, inside = ["0", str(own), "1"], 1
    for start, count in ranges:
        arguments += [str(inside), str(start), str(count)]
        inside += count
    run = subprocess.run([program, str(pid), *arguments], capture_output=True, text=True, check=False)
    return f"one user id only: {run.stderr.strip() or program + ' failed'}" if run.returncode else ""


def _no_new_privileges() -> bool:
    return "NoNewPrivs:\t1" in Path("/proc/self/status").read_text()


def _mapped() -> int:
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return min(sum(int(line.split()[2]) for line in lines), 1 << 32)


def _owns_network() -> bool:
    """Tell whether bridges may be made in this network namespace: ours to rule, and the capability there."""
    if not has_capability("NET_ADMIN"):
        return False
    with open("/proc/self/ns/net", "rb") as namespace:
        try:
            owner = int(fcntl.ioctl(namespace, _NS_GET_USERNS))
        except OSError:
            return False  # it belongs to a user namespace above ours
    try:
        return os.fstat(owner).st_ino == os.stat("/proc/self/ns/user").st_ino
    finally:
        os.close(owner)
