"""The last steps before exec: terminal, limits, user, seccomp, directory, the search along PATH.

The same for a container's first process and for ``exec``; the order is runc's. Runs in the child, inside the
container's root. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from . import identity, linux, reaper, seccomp, wire
from .refusal import Refusal, quoted, reason

__all__ = ["Launch", "Stdio", "complain", "execute", "prepare_terminal", "set_window"]

Stdio = tuple[int, int, int]

_ONE_ID = "This rootless engine has a single user id: user {user} of the container runs as its root."
_EXEC_FAILED = 1
"""runc 1.1's exit status when the kernel refuses a program that was found (a script without its interpreter)."""


def prepare_terminal(size: Sequence[int]) -> tuple[int, int]:
    """Open the container's terminal, give it a size, and give (master, slave)."""
    try:
        master, slave = linux.open_terminal()
    except OSError as error:
        raise Refusal(f"error during container init: open /dev/ptmx: {reason(error)}") from error
    set_window(master, *size)
    return master, slave


def set_window(descriptor: int, rows: int, columns: int) -> None:
    """Set a terminal's size; zeros leave it alone."""
    if rows and columns:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


class Launch(NamedTuple):
    """What ``execute`` needs beside the process: its container, the way to its supervisor, and how to go about it."""

    spec: Mapping[str, Any]
    sync: socket.socket
    inherited: Mapping[int, tuple[int, int]]
    """Resource limits to give back that the zygote raised for itself."""
    wrap: tuple[str, ...] = ()
    """What goes before the arguments (``docker-init --``)."""
    fork_init: bool = False
    """Stay behind as a small init, and exec in a child."""


def execute(process: Mapping[str, Any], stdio: Stdio, launch: Launch) -> NoReturn:
    """Become the process that ``process`` (a ``ProcessSpec``) describes; raises Refusal while it still can."""
    single_uid = bool(launch.spec["single_uid"])
    capabilities = set(process["capabilities"])
    if process.get("privileged"):
        capabilities.update(f"CAP_{name}" for name in linux.CAPABILITIES)
    if launch.spec["no_mknod"]:
        capabilities.discard("CAP_MKNOD")
    filter_program = _compile(process["seccomp"], capabilities, single_uid=single_uid)
    who = identity.look_up(process["user"], process["groups"])
    if single_uid and who.uid:
        wire.send(launch.sync, {"warning": _ONE_ID.format(user=process["user"])})
    mask = identity.capability_mask(capabilities) & linux.bounding_set()
    identity.apply_limits(process["rlimits"], launch.inherited)
    _take_stdio(stdio, who, terminal=process["tty"])
    linux.join_session_keyring(f"_ses.{launch.spec['id']}")
    late = process["no_new_privileges"] or single_uid
    if filter_program and not late:
        _filter(filter_program)  # while we have CAP_SYS_ADMIN
    entered = _enter_directory(process["cwd"], last_try=False)
    identity.become(who, mask, mapped=bool(launch.spec["mapped"]), single_uid=single_uid)
    linux.prctl(linux.PR_SET_PDEATHSIG, 9)  # after setuid, which clears it
    if not entered:
        _enter_directory(process["cwd"], last_try=True)
    environment = _environment(process["env"], who.home)
    arguments = [*launch.wrap, *process["args"]]
    program = _find(arguments[0] if arguments else "", environment)
    if late:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        if filter_program:
            _filter(filter_program)
    linux.reset_signals()
    linux.close_range(3, on_exec=True)
    if launch.fork_init:
        reaper.stay_behind()
    try:
        os.execve(program, arguments, environment)  # noqa: S606 - a shell has no place here
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        os.write(2, os.fsencode(f"exec {program}: {why}\n"))
    os._exit(_EXEC_FAILED)


def _compile(profile: str, capabilities: set[str], *, single_uid: bool) -> bytes:
    try:
        return seccomp.program(profile, capabilities, single_uid=single_uid)
    except seccomp.SeccompError as error:
        raise Refusal(str(error), bare=True) from error


def _filter(program: bytes) -> None:
    try:
        linux.set_seccomp(program)
    except OSError as error:
        raise Refusal(f"unable to init seccomp: error loading seccomp filter: {reason(error)}") from error


def _take_stdio(stdio: Stdio, who: identity.Identity, *, terminal: bool) -> None:
    """Make ``stdio`` descriptors 0 to 2 of a new session, owned by the user (so that /dev/stdout can be opened)."""
    os.setsid()
    if terminal:
        fcntl.ioctl(stdio[0], termios.TIOCSCTTY, 0)
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number, inheritable=True)
    for number in range(3):
        status = os.fstat(number)
        if status.st_uid != who.uid and not (stat.S_ISCHR(status.st_mode) and not os.isatty(number)):
            try:
                os.fchown(number, who.uid, -1 if terminal else who.gid)
            except OSError:  # rootless with few ids: the descriptor works all the same
                continue


def _enter_directory(path: str, *, last_try: bool) -> bool:
    """Enter the working directory: as root, and where that is not let in (NFS), again as the user."""
    try:
        os.chdir(path or "/")
    except OSError as error:
        if last_try or not isinstance(error, PermissionError):
            raise Refusal(f"chdir to cwd ({quoted(path)}) set in config.json failed: {reason(error)}") from error
        return False
    return True


def _environment(entries: Sequence[str], home: str) -> dict[str, str]:
    environment = dict(entry.split("=", 1) for entry in entries if "=" in entry[1:])
    if not environment.get("HOME"):
        environment["HOME"] = home
    return environment


def _find(name: str, environment: Mapping[str, str]) -> str:
    """Search along the container's PATH, with the answers of Go's ``exec.LookPath``."""
    if "/" in name:
        try:
            mode = os.stat(name).st_mode
        except OSError as error:
            raise Refusal(f"exec: {quoted(name)}: stat {name}: {reason(error)}") from error
        if not _is_program(name, mode):
            raise Refusal(f"exec: {quoted(name)}: permission denied")
        return name
    for directory in environment.get("PATH", "").split(":") if name else ():
        candidate = f"{directory or '.'}/{name}"
        try:
            if _is_program(candidate, os.stat(candidate).st_mode):
                return candidate
        except OSError:
            continue
    raise Refusal(f"exec: {quoted(name)}: executable file not found in $PATH")


def _is_program(path: str, mode: int) -> bool:
    return not stat.S_ISDIR(mode) and bool(mode & 0o111) and os.access(path, os.X_OK, effective_ids=True)


def complain(error: BaseException) -> dict[str, Any]:
    """Put what went wrong in the child into the message that its supervisor passes on."""
    if isinstance(error, Refusal):
        return {"error": str(error), "bare": error.bare}
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return {"error": f"error during container init: {reason(error)}{where}", "bare": False}
    sys.excepthook(type(error), error, error.__traceback__)
    return {"error": f"error during container init: {type(error).__name__}: {error}", "bare": False}
