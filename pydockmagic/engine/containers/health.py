"""Health checks: a command run in the container again and again, and what its exit codes add up to.

Dockerfile reference, "HEALTHCHECK"; times in nanoseconds, defaults as Docker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import time
from collections.abc import Sequence

from msgspec import UNSET

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.runtime.driver import AttachRequest
from pydockmagic.engine.runtime.spec import ProcessSpec

from .config import HealthConfig
from .container import Container
from .core import Core
from .frames import split_frames
from .records import HealthState, Probe
from .specs import exec_process

__all__ = ["HealthMonitor", "probe_command"]

_INTERVAL = 30_000_000_000
_TIMEOUT = 30_000_000_000
_START_INTERVAL = 5_000_000_000
_RETRIES = 3
_KEPT_PROBES = 5
_KEPT_OUTPUT = 4096
_COLLECTED = 4 * _KEPT_OUTPUT


def probe_command(check: HealthConfig, shell: Sequence[str]) -> list[str]:
    """Give the command of a health check; empty when there is none (``NONE``, or nothing at all)."""
    test = [] if check.test is UNSET else check.test
    if not test or test[0] == "NONE":
        return []
    if test[0] == "CMD":
        return test[1:]
    return [*shell, *test[1:]]


class HealthMonitor:
    """Runs the checks of running containers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def begin(self, container: Container) -> None:
        """Start checking a container that has just started, if it wants it."""
        if not _command(container):
            container.record.state.health = None
            return
        before = container.record.state.health
        container.record.state.health = HealthState(log=before.log if before is not None else [])
        if not container.record.state.paused:  # as an earlier engine may have left it
            self.resume(container)

    def end(self, container: Container) -> None:
        """Stop checking; a container that ended is no longer healthy."""
        self.suspend(container)
        if container.record.state.health is not None:
            container.record.state.health.status = "unhealthy"

    def suspend(self, container: Container) -> None:
        """Stop checking for a while: what is paused cannot answer."""
        if container.health_task is not None:
            container.health_task.cancel()
            container.health_task = None

    def resume(self, container: Container) -> None:
        """Go on checking; the next check comes after a whole interval."""
        command, check = _command(container), container.record.config.healthcheck
        if command and check is not UNSET:
            container.health_task = self._core.spawn(
                self._check(container, command, check), f"health of {container.id[:12]}"
            )

    async def _check(self, container: Container, command: Sequence[str], check: HealthConfig) -> None:
        interval = _or(check.interval, _INTERVAL)
        grace_end = container.record.state.started_ns + _or(check.start_period, 0)
        start_interval = _or(check.start_interval, _START_INTERVAL)
        while True:
            health = container.record.state.health
            starting = time.time_ns() < grace_end and health is not None and health.status == "starting"
            await asyncio.sleep((start_interval if starting else interval) / 1e9)
            probe = await self._probe(container, command, _or(check.timeout, _TIMEOUT))
            self._note(container, probe, grace_end, _or(check.retries, _RETRIES))
            await self._core.store.save(container)

    async def _probe(self, container: Container, command: Sequence[str], timeout_ns: int) -> Probe:
        begun = time.time_ns()
        exec_id = secrets.token_hex(32)
        text = f"{command[0]} {' '.join(command[1:])}"
        self._core.publish(container, f"exec_create: {text}", execID=exec_id)
        self._core.publish(container, f"exec_start: {text}", execID=exec_id)
        try:
            code, output = await self._run(container, _process(container, command), exec_id, timeout_ns)
        except (EngineError, ProcessLookupError) as error:
            code, output = -1, str(error)
        return Probe(start_ns=begun, end_ns=time.time_ns(), exit_code=code, output=output)

    async def _run(self, container: Container, process: ProcessSpec, exec_id: str, timeout_ns: int) -> tuple[int, str]:
        """Run a check to its end; one that takes too long is killed, and told so."""
        running = await self._core.runtime.exec(container.id, exec_id, process, attach=AttachRequest())
        collected = bytearray()
        reading = asyncio.create_task(_read(running.streams[0], collected))
        try:
            in_time = bool((await asyncio.wait({reading}, timeout=timeout_ns / 1e9))[0])
            if not in_time:
                _kill(running.pid)
            code = await self._ended(container, exec_id)
        except asyncio.CancelledError:  # the container ended, or is paused: the check must not stay
            _kill(running.pid)
            self._core.spawn(self._bury(container, exec_id), f"end of a check of {container.id[:12]}")
            raise
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        output = _shown(bytes(collected))
        if in_time:
            return code, output
        return -1, f"Health check exceeded timeout ({_duration(timeout_ns)}){f': {output}' if output else ''}"

    async def _ended(self, container: Container, exec_id: str) -> int:
        ended = await self._core.runtime.wait_exec(container.id, exec_id)
        self._core.publish(container, "exec_die", execID=exec_id, exitCode=str(ended.code))
        return ended.code

    async def _bury(self, container: Container, exec_id: str) -> None:
        with contextlib.suppress(ProcessLookupError, EngineError):
            await self._ended(container, exec_id)

    def _note(self, container: Container, probe: Probe, grace_end: int, retries: int) -> None:
        health = container.record.state.health
        if health is None:
            return
        before = health.status
        health.log = [*health.log, probe][-_KEPT_PROBES:]
        if probe.exit_code == 0:
            health.failing_streak = 0
            health.status = "healthy"
        elif before != "starting" or probe.start_ns >= grace_end:
            health.failing_streak += 1
            if health.failing_streak >= retries:
                health.status = "unhealthy"
        if health.status != before:
            self._core.publish(container, f"health_status: {health.status}")


def _command(container: Container) -> list[str]:
    """Give the container's check; empty when it has none."""
    config = container.record.config
    shell = ["/bin/sh", "-c"] if config.shell is UNSET else config.shell
    return [] if config.healthcheck is UNSET else probe_command(config.healthcheck, shell)


def _process(container: Container, command: Sequence[str]) -> ProcessSpec:
    record = container.record
    return exec_process(
        record.config,
        record.host_config,
        args=command,
        env=(),
        cwd="",
        user="",
        tty=False,
        open_stdin=False,
        privileged=False,
        hostname=record.config.hostname or record.id[:12],
        console_size=(0, 0),
    )


async def _read(stream: socket.socket, collected: bytearray) -> None:
    """Read what a check says to its end, and keep the beginning."""
    loop = asyncio.get_running_loop()
    stream.setblocking(False)
    with stream:
        while chunk := await loop.sock_recv(stream, 65536):
            if len(collected) < _COLLECTED:
                collected += chunk


def _shown(collected: bytes) -> str:
    output = b"".join(data for _, data in split_frames(collected))
    return output[:_KEPT_OUTPUT].decode(errors="replace") + ("..." if len(output) > _KEPT_OUTPUT else "")


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _duration(nanoseconds: int) -> str:
    """Write a duration as Go does: ``500ms``, ``1.5s``, ``1m0s``."""
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < size * 1_000:
            return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    seconds = f"{rest / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def _or(value: object, default: int) -> int:
    return value if isinstance(value, int) and value > 0 else default
