"""The few system calls that Python's os lacks or got only in 3.12: unshare, setns, mount, and forking to try one out.

Follows unshare(2), setns(2), mount(2), namespaces(7).
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from typing import Any

__all__ = [
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "effective_capabilities",
    "has_capability",
    "in_child",
    "mount",
    "process_start",
    "setns",
    "slave_mounts",
    "unshare",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MS_REC, _MS_SLAVE = 0x4000, 0x80000
_CAPABILITIES = {"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones; with CLONE_NEWUSER the process must have one thread. Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int = 0) -> None:
    """Join a namespace (this thread only, for the kinds that allow it). Raises OSError."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Attach a filesystem, or change how mounts spread. Raises OSError."""
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), f"mount {kind or source} on {target}")


def slave_mounts() -> None:
    """Let mounts of the parent namespace come in, and none of ours go out."""
    mount("none", "/", flags=_MS_REC | _MS_SLAVE)


def effective_capabilities() -> int:
    """Give this process' effective capabilities as a bit set."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), 0)


def has_capability(name: str) -> bool:
    """Tell whether this process has a capability (of those named in this module) in its own user namespace."""
    return bool(effective_capabilities() >> _CAPABILITIES[name] & 1)


def process_start(pid: int) -> int | None:
    """Give when a process started, in clock ticks since boot; with the pid it names one process for ever."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def in_child(function: Callable[[], Any]) -> Any:
    """Run ``function`` in a forked child, so that nothing it does to the process sticks, and give its JSON result.

    An OSError it raises is raised here again. For programs with one thread. Raises ChildProcessError when the child
    dies.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            try:
                answer = {"result": function()}
            except OSError as error:
                answer = {"errno": error.errno or 0, "text": error.strerror or str(error)}
            os.write(writer, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    if not text:
        raise ChildProcessError("the probe died")
    answer = json.loads(text)
    if "errno" in answer:
        raise OSError(answer["errno"], answer["text"])
    return answer["result"]
