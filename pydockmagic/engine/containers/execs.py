"""One more process in a running container: ``docker exec``.

Engine API v1.50, "Exec". An exec instance is made first and started once; it is remembered for a while after its end,
so that its exit code can be asked for.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import time
from typing import Any

import msgspec

from pydockmagic.engine.errors import Conflict, EngineError, InvalidParameter, NoSuchExec, StartError
from pydockmagic.engine.runtime.driver import AttachRequest, Running

from .container import Container
from .core import Core
from .frames import STDOUT, frame
from .lifecycle import Action, Lifecycle
from .security import parse_security
from .signals import parse_signal
from .specs import exec_process
from .streams import Client, DetachKeys, FramedClient, UnframedClient, parse_detach_keys, pump

__all__ = ["ExecConfig", "ExecInstance", "Execs"]

_CANNOT_RUN = 126
_SETTLING = 10.0
"""Seconds between the end of a process's output and its own."""
_REMEMBERED = 300.0
"""Seconds for which an ended exec can be inspected."""


class ExecConfig(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /containers/{id}/exec``."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] | None = None
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] | None = None
    working_dir: str = ""
    cmd: list[str] | str | None = None


class ExecInstance:
    """One exec."""

    def __init__(self, container: Container, config: ExecConfig) -> None:
        self.id = secrets.token_hex(32)
        self.container = container
        self.config = config
        self.runs = container.record.state.started_ns
        """Which run of the container it belongs to: it does not outlive it."""
        self.args = [config.cmd] if isinstance(config.cmd, str) else list(config.cmd or [])
        self.started = False
        self.running = False
        self.exit_code: int | None = None
        self.pid = 0
        self.ended_at = 0.0
        self.ready = asyncio.Event()
        """Set once the process runs, or will not."""
        self.ended = asyncio.Event()

    @property
    def told(self) -> str:
        """The command as events tell it: program, blank, arguments."""
        return f"{self.args[0]} {' '.join(self.args[1:])}"


class Execs:
    """Makes, starts and remembers execs."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._instances: dict[str, ExecInstance] = {}

    def get(self, exec_id: str) -> ExecInstance:
        """Find an exec by id or prefix."""
        found = self._instances.get(exec_id)
        if found is None:
            matches = [e for key, e in self._instances.items() if exec_id and key.startswith(exec_id)]
            found = matches[0] if len(matches) == 1 else None
        if found is None or found.container.gone:
            raise NoSuchExec(exec_id)
        state = found.container.record.state
        if not found.started and not (state.running and found.runs == state.started_ns):
            del self._instances[found.id]  # it was meant for an earlier run of the container
            found.container.exec_ids.pop(found.id, None)
            raise NoSuchExec(exec_id)
        return found

    def create(self, asked: str, config: ExecConfig) -> str:
        """Make an exec in a running container; give its id."""
        self._forget_old()
        container = self._core.store.get(asked)
        if not config.cmd:
            raise InvalidParameter("No exec command specified")
        container.check(Action.EXEC, asked)
        parse_detach_keys(config.detach_keys)
        if config.env and any(entry.startswith("=") or not entry for entry in config.env):
            raise InvalidParameter("invalid environment variable: " + next(e for e in config.env if e[:1] in ("=", "")))
        instance = ExecInstance(container, config)
        self._instances[instance.id] = instance
        container.exec_ids[instance.id] = False
        self._core.publish(container, f"exec_create: {instance.told}", execID=instance.id)
        return instance.id

    def startable(self, exec_id: str) -> ExecInstance:
        """Find an exec whose container can run it, or raise what stands against it."""
        instance = self.get(exec_id)
        if instance.container.lifecycle is not Lifecycle.RUNNING:
            instance.container.check(Action.EXEC, instance.container.id)
        return instance

    def claim(self, instance: ExecInstance) -> None:
        """Take an exec for its one start, or raise that it was taken."""
        if instance.exit_code is not None:
            raise Conflict(f"Error: Exec command {instance.id} has already run")
        if instance.started:
            raise Conflict(f"Error: Exec command {instance.id} is already running")
        instance.started = True

    async def start_detached(self, instance: ExecInstance) -> None:
        """Start without streams; raise ``StartError``."""
        self.claim(instance)
        await self._launch(instance, None)

    async def serve(
        self, instance: ExecInstance, client: Client, *, tty: bool, console_size: tuple[int, int] | None = None
    ) -> None:
        """Start with the client's streams, and stay until the process has ended."""
        config = instance.config
        request = AttachRequest(stdin=config.attach_stdin, stdout=config.attach_stdout, stderr=config.attach_stderr)
        if console_size:
            config.console_size = list(console_size)
        try:
            self.claim(instance)
            running = await self._launch(instance, request)
        except EngineError as error:
            text = f"{error}\r\n".encode()
            await client.write(text if tty else frame(STDOUT, text))
            return
        keys = DetachKeys(parse_detach_keys(config.detach_keys)) if config.tty and config.attach_stdin else None
        if config.tty and not tty:  # framed or not is what the start says, whatever the process has
            client = FramedClient(client)
        elif tty and not config.tty:
            client = UnframedClient(client)
        if running.streams:
            detached = await pump(
                client, running.streams[0], stdin=config.attach_stdin, ends_stdin=not config.tty, keys=keys
            )
            if detached:
                self._core.publish(instance.container, "exec_detach", execID=instance.id)
            elif not client.gone:
                await self._settled(instance)

    async def _settled(self, instance: ExecInstance) -> None:
        """Wait for the exit code: a client asks for it as soon as its stream has ended.

        A process may close its output and go on, so not for ever.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING):
                await instance.ended.wait()

    async def _launch(self, instance: ExecInstance, request: AttachRequest | None) -> Running:
        container, config, core = instance.container, instance.config, self._core
        record = container.record
        parse_security(record.host_config.security_opt)
        rows, columns = [*(config.console_size or []), 0, 0][:2]
        process = exec_process(
            record.config,
            record.host_config,
            args=instance.args,
            env=config.env or (),
            cwd=config.working_dir,
            user=config.user,
            tty=config.tty,
            open_stdin=config.attach_stdin,
            privileged=config.privileged,
            hostname=record.config.hostname or record.id[:12],
            console_size=(rows, columns),
            linked=record.link_environment,
        )
        core.publish(container, f"exec_start: {instance.told}", execID=instance.id)
        try:
            running = await core.runtime.exec(
                container.id, instance.id, process, privileged=config.privileged, attach=request
            )
        except ProcessLookupError:
            self._ended(instance, 126)
            raise Conflict(f"container {container.id} is not running") from None
        except StartError:
            self._ended(instance, _CANNOT_RUN)  # whatever the reason, as dockerd 20 does; dockerd 28 says 127 for some
            raise
        instance.pid, instance.running = running.pid, True
        container.exec_ids[instance.id] = True
        instance.ready.set()
        core.spawn(self._watch(instance), f"watching exec {instance.id[:12]}")
        return running

    async def _watch(self, instance: ExecInstance) -> None:
        try:
            record = await self._core.runtime.wait_exec(instance.container.id, instance.id)
            code = record.code
        except ProcessLookupError:
            code = 137  # the container, and with it the process, is gone
        self._ended(instance, code)
        self._core.publish(instance.container, "exec_die", execID=instance.id, exitCode=str(code))

    def _ended(self, instance: ExecInstance, code: int) -> None:
        instance.running, instance.exit_code = False, code
        instance.ended_at = time.monotonic()
        instance.container.exec_ids.pop(instance.id, None)
        instance.ready.set()
        instance.ended.set()

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _REMEMBERED
        for key, instance in list(self._instances.items()):
            over = instance.exit_code is not None and instance.ended_at < oldest
            if over or instance.container.gone:
                del self._instances[key]

    async def resize(self, exec_id: str, rows: int, columns: int) -> None:
        """Set the size of an exec's terminal, waiting a moment for one that is about to start."""
        instance = self.get(exec_id)
        try:
            async with asyncio.timeout(10):
                await instance.ready.wait()
        except TimeoutError:
            raise EngineError("timeout waiting for exec session ready") from None
        if not instance.running:
            raise Conflict(f"exec {instance.id} is not running")
        with contextlib.suppress(ProcessLookupError):
            await self._core.runtime.resize(instance.container.id, rows, columns, exec_id=instance.id)

    async def kill(self, exec_id: str, signal_name: str) -> None:
        """Send a signal to the process of an exec (Docker has no such request). Raises ``Conflict`` where it ended."""
        instance = self.get(exec_id)
        signum = parse_signal(signal_name)
        try:
            await self._core.runtime.signal(instance.container.id, signum, instance.id)
        except ProcessLookupError:
            raise Conflict(f"exec {instance.id} is not running") from None

    def inspect(self, exec_id: str) -> dict[str, Any]:
        """Give the document of ``GET /exec/{id}/json``."""
        instance = self.get(exec_id)
        config = instance.config
        keys = parse_detach_keys(config.detach_keys) if config.detach_keys else b""
        process: dict[str, Any] = {
            "tty": config.tty,
            "entrypoint": instance.args[0],
            "arguments": instance.args[1:],
            "privileged": config.privileged,
        }
        if config.user:
            process["user"] = config.user
        return {
            "ID": instance.id,
            "Running": instance.running,
            "ExitCode": instance.exit_code,
            "ProcessConfig": process,
            "OpenStdin": config.attach_stdin,
            "OpenStderr": config.attach_stderr,
            "OpenStdout": config.attach_stdout,
            "CanRemove": False,
            "ContainerID": instance.container.id,
            "DetachKeys": base64.b64encode(keys).decode(),
            "Pid": instance.pid,
        }
