"""The files of a container's bundle, and what becomes of a container whose supervisor is gone.

``control.sock`` the supervisor listens here; ``state.json`` who runs (written before the program starts);
``exit.json`` how it ended, an ``ExitRecord``; ``rootfs`` where the root is mounted, in the container's own mount
namespace only. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from . import cgroups

__all__ = ["CONTROL", "EXIT", "ROOTFS", "STATE", "process_start", "read_json", "settle", "write_json"]

CONTROL = "control.sock"
STATE = "state.json"
EXIT = "exit.json"
ROOTFS = "rootfs"

_LOST = "the container was ended because its supervisor was killed"


def read_json(path: str) -> Any:
    """Read a JSON file; None where it is missing or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def write_json(path: str, value: Any) -> None:
    """Write a JSON file so that a reader sees all of it or nothing."""
    temporary = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(value).encode())
    finally:
        os.close(descriptor)
    os.rename(temporary, path)


def process_start(pid: int) -> int:
    """Give the start time of a process (clock ticks since boot), which tells it from a later one of the same pid.

    0 where there is none, or nothing but a zombie.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def settle(bundle: str) -> None:
    """End whatever a dead supervisor left running, remove its cgroup, and write the exit record if it did not.

    Called by the zygote when it reaps a supervisor, and by an engine that finds one gone. Idempotent.
    """
    state = read_json(f"{bundle}/{STATE}")
    if isinstance(state, Mapping):
        pid, started = int(state.get("pid", 0)), int(state.get("pid_start", 0))
        if pid and started and process_start(pid) == started:
            _kill(pid)
        try:
            cgroup = cgroups.load(state.get("cgroup") or {})
            cgroup.kill()
            cgroup.remove()
        except OSError:  # the exit is worth more than the empty directory
            pass
    if not os.path.exists(f"{bundle}/{EXIT}"):
        now = time.time_ns()
        started_ns = int(state.get("created_ns", now)) if isinstance(state, Mapping) else now
        record = {"code": 128 + signal.SIGKILL, "started_ns": started_ns, "finished_ns": now, "error": _LOST}
        try:
            write_json(f"{bundle}/{EXIT}", record)
        except FileNotFoundError:  # the bundle is gone: nobody will ask
            return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
    deadline = time.monotonic() + 10
    while process_start(pid) and time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:  # ours by adoption, in the zygote
                return
        except ChildProcessError:
            pass
        time.sleep(0.001)
