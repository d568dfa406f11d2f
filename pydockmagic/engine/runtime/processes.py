"""A process of a container in the supervisor's eyes: its pipes, its start, its end. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

from . import execute, wire
from .control import Message
from .logs import LogWriter
from .loop import Loop
from .refusal import exit_code, sentence
from .streams import Streams

__all__ = ["Pipes", "Process", "Start", "pids_of_namespace", "reap_adopted"]


class Pipes:
    """The child's and our ends of a process' streams; with a terminal the child makes that, inside."""

    def __init__(self, process: Mapping[str, Any]) -> None:
        self._terminal = bool(process["tty"])
        self._open_stdin = bool(process["open_stdin"])
        self._stdin = -1
        self._outputs: dict[int, int] = {}
        self._theirs: list[int] = []
        self.stdio: execute.Stdio = (-1, -1, -1)
        if self._terminal:
            return
        if self._open_stdin:
            child_in, self._stdin = os.pipe2(os.O_CLOEXEC)
        else:
            child_in = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._outputs[1], child_out = os.pipe2(os.O_CLOEXEC)
        self._outputs[2], child_error = os.pipe2(os.O_CLOEXEC)
        self.stdio = (child_in, child_out, child_error)
        self._theirs = [child_in, child_out, child_error]

    def streams(self, loop: Loop, master: int, log: LogWriter | None) -> Streams:
        """Make streams of our ends, or of the terminal's master."""
        if self._terminal:
            return Streams(loop, {1: master}, master if self._open_stdin else -1, terminal=True, log=log)
        return Streams(loop, self._outputs, self._stdin, terminal=False, log=log)

    def close_theirs(self) -> None:
        """Close the child's ends once it has them."""
        wire.close_all(self._theirs)
        self._theirs = []

    def close(self) -> None:
        """Close everything: the start failed."""
        self.close_theirs()
        wire.close_all([*self._outputs.values(), *([self._stdin] if self._stdin >= 0 else [])])


class Start:
    """A process being started: its messages come through ``sync`` until it has exec'ed."""

    def __init__(self, pid: int, pidfd: int, sync: socket.socket, *, in_exec: bool, command: str) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sync = sync
        self.master = -1
        self.failure: Message | None = None
        self.warnings: list[str] = []
        self._receiver = wire.Receiver(sync)
        self._in_exec = in_exec
        self._command = command

    def step(self) -> bool:
        """Take one message; give whether the start is over (exec'ed, or ``failure`` says why not)."""
        try:
            received = self._receiver.receive()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:
            received = None
        if received is None:
            return True
        message, descriptors = received
        if "terminal" in message:
            self.master = descriptors[0]
            return False
        if "warning" in message:
            self.warnings.append(message["warning"])
            return False
        text = sentence(message["error"], bare=message["bare"], in_exec=self._in_exec)
        code = 128 if message["bare"] else exit_code(text, self._command)
        self.failure = {"error": text, "exit_code": code}
        return True

    def abandon(self) -> None:
        """Clean up after a failure: the child is gone or about to go."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        self.sync.close()
        wire.close_all([self.pidfd, *([self.master] if self.master >= 0 else [])])


class Process:
    """A started process: the container's first one or an exec."""

    def __init__(self, pid: int, pidfd: int, streams: Streams) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.streams = streams
        self.started_ns = time.time_ns()
        self.record: Message | None = None

    @property
    def running(self) -> bool:
        """Say whether it has not been reaped yet."""
        return self.pidfd >= 0

    def reap(self) -> None:
        """Collect the ended process into ``record``, with Docker's exit code."""
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        self.pidfd = -1
        code = 255
        if result is not None:
            code = result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
        self.record = {
            "code": code,
            "started_ns": self.started_ns,
            "finished_ns": time.time_ns(),
            "oom_killed": False,
            "error": "",
        }


def reap_adopted() -> None:
    """Collect orphans of a container that shares a pid namespace; they became the supervisor's children."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def pids_of_namespace(pid: int) -> list[int]:
    """Find the processes in a process' pid namespace by looking at every process there is."""
    wanted = os.stat(f"/proc/{pid}/ns/pid").st_ino
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if os.stat(f"/proc/{name}/ns/pid").st_ino == wanted:
                    found.append(int(name))
            except OSError:
                continue
    return sorted(found)


def counters(pids: Iterable[int]) -> dict[str, int]:
    """Add up what the kernel counts of processes (proc_pid_stat(5)), as the fields of ``driver.CgroupStats``.

    For where no cgroup counts: pages that several share are counted for each, and the time of processes that have
    ended is there only where a parent in the container has waited for them.
    """
    tick, page = 1_000_000_000 // os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    user = system = threads = resident = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(") ")[2].split()
        except OSError:
            continue
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
        threads += int(fields[17])
        resident += int(fields[21])
    return {
        "memory_usage": resident * page,
        "cpu_usage_ns": (user + system) * tick,
        "cpu_user_ns": user * tick,
        "cpu_system_ns": system * tick,
        "pids": threads,
    }
