"""One container's supervisor: it starts the first process, carries its streams, log, ports and execs, keeps its exit.

Forked by the zygote, it serves engines on ``control.sock`` in the bundle and outlives them. Before it tells anybody
that the container ended it writes ``exit.json``. If it is killed the container dies with it (parent death signal, and
the zygote sees to the rest). Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from . import bundle as files
from . import cgroups, container_init, execute, linux, proxy, wire
from .cloning import Birthplace, clone_into
from .control import Message, Reply, Server
from .logs import LogWriter
from .loop import READ, Loop
from .oom import OomWatch
from .processes import Pipes, Process, Start, counters, pids_of_namespace, reap_adopted
from .refusal import Refusal, sentence
from .streams import Streams

__all__ = ["Supervisor"]

_DRAIN_SECONDS = 1.0
"""How long output may still come after a process ended (from children that keep its pipes)."""


_STOP_SECONDS = 10


class Supervisor:
    """Everything one container needs, from start to its exit record."""

    def __init__(self, message: Message, descriptors: Sequence[int]) -> None:
        self._spec: dict[str, Any] = message["spec"]
        self._bundle: str = self._spec["bundle"]
        given = list(descriptors)
        self._first = socket.socket(fileno=given.pop(0))
        self._net = given.pop(0) if message["net"] else -1
        self._listeners = [socket.socket(fileno=given.pop(0)) for _ in self._spec["ports"]]
        self._attached = [(socket.socket(fileno=given.pop(0)), request) for request in message["attach"]]
        self._inherited = {int(number): tuple(pair) for number, pair in message["inherited"].items()}
        self._private_pids = self._spec["namespaces"]["pid"] == "private"
        self._children_inside = False
        self._stopped_by_signal = False
        self._execs: dict[str, Process] = {}
        self._lingering: list[Streams] = []
        self._proxies: list[proxy.Forward] = []
        self._loop = Loop()
        self._server = Server(
            self._loop,
            {
                "describe": self._on_describe,
                "attach": self._on_attach,
                "resize": self._on_resize,
                "signal": self._on_signal,
                "pause": self._on_pause,
                "unpause": self._on_unpause,
                "processes": lambda *_: {"ok": self._pids()},
                "stats": lambda *_: {"ok": self._cgroup.stats() or counters(self._pids())},
                "update": self._on_update,
                "serve": self._on_serve,
                "exec": self._on_exec,
                "exec_record": lambda message, *_: {"ok": self._process(message).record},
                "forget_exec": self._on_forget_exec,
            },
        )
        self._cgroup: cgroups.Cgroup = cgroups.NullCgroup({})
        self._listener: socket.socket
        self._log: LogWriter | None = None
        self._warnings: list[str] = []
        self._main: Process

    def run(self) -> None:
        """Start the container, tell the first engine, and serve until it has ended and everybody has its output."""
        failure = self._try_to_start()
        if failure is not None:
            with contextlib.suppress(OSError):
                wire.send(self._first, failure)
            return
        self._server.add(self._first)
        self._server.tell({"event": "started", "ok": self._describe()})
        self._loop.run()

    # the start

    def _try_to_start(self) -> Message | None:
        try:
            return self._start()
        except Refusal as error:
            text, bare = str(error), error.bare
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            text = error.strerror or str(error)  # the kernel's, as Go prints it, or a sentence of ours
            text, bare = (text.lower() if text == os.strerror(error.errno or 0) else text) + where, False
        return {"error": sentence(text, bare=bare, in_exec=False), "exit_code": 128}

    def _start(self) -> Message | None:
        """Start the first process; give a failure to report, with nothing left behind."""
        spec = self._spec
        flags = container_init.clone_flags(spec)
        self._log = LogWriter(spec["log"])
        self._listener = wire.listen(self._bundle, files.CONTROL)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(f"{self._bundle}/{files.ROOTFS}", 0o700)
            self._cgroup = cgroups.create(spec["cgroup_parent"], spec["id"], spec["limits"])
            # what cannot be kept from opening devices must not make any; a user namespace does neither anyway
            spec["no_mknod"] = not (self._cgroup.guards_devices or spec["mapped"])
            self._share_pids(spec["namespaces"]["pid"])
            if not self._private_pids:
                linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)  # daemons of the container become our children
            pipes = Pipes(spec["process"])
            try:
                start = clone_into(self._birthplace(), flags, pipes, spec["process"])
            finally:
                pipes.close_theirs()
            self._write_state(start)
            while not start.step():
                pass
            if start.failure is None:
                self._begin(start, pipes)
                return None
            start.abandon()
            pipes.close()
        except BaseException:
            self._clean_up()
            raise
        self._clean_up()
        return start.failure

    def _share_pids(self, place: str) -> None:
        """Let our children be born in another container's pid namespace, where that is to be shared."""
        if not place.startswith("/"):
            return
        try:
            container_init.join(place)
        except OSError as error:
            text = os.strerror(error.errno or 0).lower()
            raise Refusal(f"error during container init: join pid namespace {place}: {text}") from error
        self._children_inside = True

    def _birthplace(self) -> Birthplace:
        return Birthplace(self._spec, self._bundle, self._cgroup, self._net, self._inherited)

    def _write_state(self, start: Start) -> None:
        state = {
            "id": self._spec["id"],
            "pid": start.pid,
            "pid_start": files.process_start(start.pid),
            "created_ns": time.time_ns(),
            "cgroup": self._cgroup.paths(),
        }
        files.write_json(f"{self._bundle}/{files.STATE}", state)

    def _begin(self, start: Start, pipes: Pipes) -> None:
        """Take over the started first process."""
        start.sync.close()
        self._warnings = [*self._cgroup.warnings, *start.warnings]
        streams = pipes.streams(self._loop, start.master, self._log)
        for connection, request in self._attached:
            streams.attach(connection, request)
        self._attached = []
        self._main = Process(start.pid, start.pidfd, streams)
        self._oom = OomWatch(self._cgroup, self._loop, lambda: self._server.tell({"event": "oom"}))
        self._loop.watch(start.pidfd, READ, lambda _events: self._main_ended())
        self._server.listen(self._listener)
        for listener, port in zip(self._listeners, self._spec["ports"], strict=True):
            self._proxies.append(proxy.forward(self._loop, listener, port))
        if self._net >= 0:
            os.close(self._net)
            self._net = -1
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGALRM, self._stop)

    def _clean_up(self) -> None:
        with contextlib.suppress(OSError):
            self._cgroup.kill()
            self._cgroup.remove()
        self._listener.close()
        for name in (files.CONTROL, files.STATE):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._bundle}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(f"{self._bundle}/{files.ROOTFS}")

    # the end

    def _stop(self, number: int, _frame: object) -> None:
        """Stop the container as ``docker stop`` does: the machine goes down, or the person logs out."""
        if self._main.running:
            last = number == signal.SIGALRM
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._main.pidfd, signal.SIGKILL if last else signal.SIGTERM)
            signal.alarm(0 if last else _STOP_SECONDS)

    def _main_ended(self) -> None:
        main = self._main
        self._loop.forget(main.pidfd)
        main.reap()
        assert main.record is not None
        self._oom.look()
        self._oom.close()
        main.record["oom_killed"] = self._cgroup.oom_count() > 0
        if not self._private_pids:
            self._cgroup.kill()  # otherwise the kernel killed all of the namespace with its first process
        for forward in self._proxies:
            forward.close()
        main.streams.drain()
        if main.streams.open:
            self._loop.after(_DRAIN_SECONDS, main.streams.close_outputs)
        main.streams.when_silent(self._finish)

    def _finish(self) -> None:
        """Write the exit record, then tell; the cgroup goes first, for the container may be started again at once."""
        main = self._main
        if self._log is not None:
            self._log.close()
        with contextlib.suppress(OSError):
            self._cgroup.kill()
            self._cgroup.remove()
        for name, process in list(self._execs.items()):
            if process.running:
                self._exec_ended(name, process)
        if not self._private_pids:
            reap_adopted()  # they have left the cgroup, so each has ended by now
        with contextlib.suppress(FileNotFoundError):  # the bundle was removed under us
            files.write_json(f"{self._bundle}/{files.EXIT}", main.record)
            os.unlink(f"{self._bundle}/{files.CONTROL}")
        self._server.close_listener()
        self._server.tell({"event": "exit", "record": main.record})
        self._lingering.append(main.streams)
        self._leave()

    def _leave(self) -> None:
        """End, once every client has taken what there was."""
        busy = [streams for streams in self._lingering if streams.clients]
        if busy:
            busy[0].when_done(self._leave)
        else:
            self._loop.stop()

    # requests

    def _describe(self) -> Message:
        return {
            "pid": self._main.pid,
            "started_ns": self._main.started_ns,
            "warnings": self._warnings,
            "execs": [name for name, process in self._execs.items() if process.running],
        }

    def _process(self, message: Message) -> Process:
        name = message.get("exec")
        if name is None:
            return self._main
        if name not in self._execs:
            raise ProcessLookupError(f"no such exec: {name}")
        return self._execs[name]

    def _on_describe(self, _message: Message, _descriptors: list[int], _later: Reply) -> Message:
        return {"ok": self._describe()}

    def _on_attach(self, message: Message, descriptors: list[int], _later: Reply) -> Message:
        self._main.streams.attach(socket.socket(fileno=descriptors[0]), message["request"])
        return {"ok": None}

    def _on_resize(self, message: Message, _descriptors: list[int], _later: Reply) -> Message:
        terminal = self._process(message).streams.terminal_descriptor
        if terminal >= 0:
            execute.set_window(terminal, message["rows"], message["columns"])
        return {"ok": None}

    def _on_signal(self, message: Message, _descriptors: list[int], _later: Reply) -> Message:
        process = self._process(message)
        if not process.running:
            raise ProcessLookupError("the process has ended")
        signal.pidfd_send_signal(process.pidfd, message["signal"])
        return {"ok": None}

    def _on_pause(self, _message: Message, _descriptors: list[int], _later: Reply) -> Message:
        try:
            self._cgroup.freeze()
        except OSError:
            # No freezer here: stop each process. The container can notice (SIGCONT, stopped children), and what
            # forks in between is caught by the second round or not at all.
            for _ in range(2):
                self._signal_all(signal.SIGSTOP)
            self._stopped_by_signal = True
        return {"ok": None}

    def _on_unpause(self, _message: Message, _descriptors: list[int], _later: Reply) -> Message:
        if self._stopped_by_signal:
            self._stopped_by_signal = False
            self._signal_all(signal.SIGCONT)
        else:
            self._cgroup.thaw()
        return {"ok": None}

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        if self._cgroup.paths():
            return self._cgroup.procs()
        if self._private_pids:
            return pids_of_namespace(self._main.pid)
        return [self._main.pid, *(process.pid for process in self._execs.values() if process.running)]

    def _on_update(self, message: Message, _descriptors: list[int], _later: Reply) -> Message:
        self._cgroup.update(message["limits"])
        return {"ok": None}

    def _on_serve(self, message: Message, descriptors: list[int], _later: Reply) -> Message:
        """Serve more ports, and lead those of an address that is gone to another."""
        for forward in self._proxies:
            forward.move(message["moved"])
        for descriptor, port in zip(descriptors, message["ports"], strict=True):
            self._proxies.append(proxy.forward(self._loop, socket.socket(fileno=descriptor), port))
        return {"ok": None}

    # exec

    def _on_exec(self, message: Message, descriptors: list[int], later: Reply) -> Message | None:
        """Clone a child into the container; the answer follows when it has exec'ed."""
        attached = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if not self._main.running:
            raise ProcessLookupError("the container has ended")
        if self._private_pids and not self._children_inside:
            container_init.join(f"/proc/{self._main.pid}/ns/pid")  # for our children, from now on
            self._children_inside = True
        process = message["process"]
        pipes = Pipes(process)
        try:
            start = clone_into(self._birthplace(), 0, pipes, process, main=self._main)
        except BaseException:
            pipes.close()
            raise
        pipes.close_theirs()
        start.sync.setblocking(False)

        def step() -> None:
            if not start.step():
                return
            self._loop.forget(start.sync.fileno())
            if start.failure is None:
                later({"ok": self._begin_exec(message, start, pipes, attached)})
                return
            start.abandon()
            pipes.close()
            for connection in attached:
                connection.close()
            later(start.failure)

        self._loop.watch(start.sync.fileno(), READ, lambda _events: step())
        return None

    def _begin_exec(self, message: Message, start: Start, pipes: Pipes, attached: Sequence[socket.socket]) -> Message:
        start.sync.close()
        name = message["exec"]
        streams = pipes.streams(self._loop, start.master, None)
        for connection in attached:
            streams.attach(connection, message["request"])
        process = Process(start.pid, start.pidfd, streams)
        self._execs[name] = process
        self._loop.watch(start.pidfd, READ, lambda _events: self._exec_ended(name, process))
        return {"pid": process.pid, "started_ns": process.started_ns, "warnings": start.warnings}

    def _exec_ended(self, name: str, process: Process) -> None:
        self._loop.forget(process.pidfd)
        process.reap()
        streams = process.streams
        streams.drain()
        if streams.open:
            self._loop.after(_DRAIN_SECONDS, streams.close_outputs)
        self._lingering = [other for other in self._lingering if other.clients] + [streams]
        self._server.tell({"event": "exec_exit", "exec": name, "record": process.record})

    def _on_forget_exec(self, message: Message, _descriptors: list[int], _later: Reply) -> Message:
        if self._process(message).record is not None:
            del self._execs[message["exec"]]
        return {"ok": None}
