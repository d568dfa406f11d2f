"""The zygote: a small process that forks supervisors, so that the engine, which is large, never has to.

It survives the engine (a session of its own), adopts what supervisors leave behind (child subreaper), and ends by
itself when no engine is connected and no supervisor left. One per run directory and version of this code: a socket
and a lock named ``wire.zygote_name()``. Started by ``launch.py``. Standard library only.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import time

from . import bundle, container_init, defaults, linux, seccomp, wire
from .control import Handler, Message, Reply, Server
from .loop import READ, Loop
from .supervisor import Supervisor

__all__ = ["Zygote", "main"]

_FIRST_ENGINE_SECONDS = 20.0
_LOCK_SECONDS = 10.0


class Zygote:
    """Forks on request and reaps."""

    def __init__(self, listener: socket.socket) -> None:
        self._loop = Loop()
        self._children: dict[int, tuple[str, str]] = {}
        self._limits = self._raise_limits()
        self._facts = {
            "mapped": linux.in_user_namespace(),
            "single_uid": linux.has_single_uid(),
            "init_path": container_init.find_init(),
        }
        handlers: dict[str, Handler] = {
            "start": self._on_start,
            "supervised": self._on_supervised,
            "hello": self._on_hello,
        }
        self._server = Server(self._loop, handlers, listener, on_idle=self._maybe_end)
        self._woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._loop.watch(self._woken, READ, lambda _events: self._reap())
        self._loop.after(_FIRST_ENGINE_SECONDS, self._maybe_end)

    def run(self) -> None:
        """Serve until nobody needs it."""
        self._loop.run()

    @staticmethod
    def _raise_limits() -> dict[int, tuple[int, int]]:
        """Let supervisors open as many files as allowed; give what containers are to have instead."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return {resource.RLIMIT_NOFILE: (soft, hard)}

    def _on_hello(self, _message: Message, _descriptors: list[int], _later: Reply) -> Message:
        return {"ok": {"pid": os.getpid(), **self._facts}}

    def _on_start(self, message: Message, descriptors: list[int], _later: Reply) -> Message:
        spec = message["spec"] | self._facts
        message |= {"spec": spec, "inherited": self._limits}
        try:
            pid = os.fork()
        except OSError:
            wire.close_all(descriptors)
            raise
        if pid == 0:
            self._become_supervisor(message, descriptors)
        wire.close_all(descriptors)
        self._children[pid] = (spec["id"], spec["bundle"])
        return {"ok": {"supervisor": pid}}

    def _become_supervisor(self, message: Message, descriptors: list[int]) -> None:
        """Run as a supervisor and never return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            linux.set_name("pydock-supervis")
            kept = set(descriptors) | {0, 1, 2}
            wire.close_all([number for number in _open_descriptors() if number not in kept])
            Supervisor(message, descriptors).run()
            code = 0
        except BaseException:  # noqa: BLE001 - must not return into the zygote's loop
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _on_supervised(self, message: Message, _descriptors: list[int], _later: Reply) -> Message:
        """Say whether a supervisor of this container lives, or is not settled yet."""
        return {"ok": any(name == message["container"] for name, _ in self._children.values())}

    def _reap(self) -> None:
        os.read(self._woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid in self._children:
                self._bury(pid, status)
        self._maybe_end()

    def _bury(self, pid: int, status: int) -> None:
        _, directory = self._children.pop(pid)
        if status:
            bundle.settle(directory)

    def _maybe_end(self) -> None:
        if not self._children and not self._server.connections:
            self._loop.stop()


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _lock(path: str) -> int | None:
    """Take the zygote's lock; None when a living zygote has it and serves."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _answers(path):
                os.close(descriptor)
                return None
            if time.monotonic() > deadline:
                sys.exit("another zygote holds the lock and does not answer")
            time.sleep(0.01)  # it is starting or ending
        else:
            return descriptor


def _answers(path: str) -> bool:
    try:
        wire.connect(os.path.dirname(path), f"{os.path.basename(path)}.sock").close()
    except OSError:
        return False
    return True


def main(directory: str, net: int = -1) -> None:
    """Start a zygote for a run directory in the background; return once it listens.

    ``net`` is the network namespace to live in (rootless: the sandbox's); published ports connect from there.
    """
    path = f"{directory}/{wire.zygote_name()}"
    if _lock(path) is None:
        return
    listener = wire.listen(directory, f"{wire.zygote_name()}.sock")
    if os.fork():
        return
    os.setsid()
    if net >= 0:
        linux.setns(net, linux.CLONE_NEWNET)
        os.close(net)
    linux.unshare(linux.CLONE_NEWNS)  # so that nothing the engine mounts lives on in here
    linux.mount("", "/", flags=linux.MS_SLAVE | linux.MS_REC)
    linux.set_name("pydock-zygote")
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)  # a container that we enter may not look into us
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    os.umask(0o022)
    zygote = Zygote(listener)
    seccomp.program("default", defaults.CAPABILITIES, single_uid=linux.has_single_uid())  # forks inherit it
    gc.collect()
    gc.disable()
    gc.freeze()
    zygote.run()
    os.unlink(f"{path}.sock")
    os.unlink(f"{path}.lock")
