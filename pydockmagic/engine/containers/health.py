"""Health checks: a command run in the container again and again, and what its exit codes add up to.

Dockerfile reference, "HEALTHCHECK"; times in nanoseconds, defaults as Docker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
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
        """Start checking, if the container wants it."""
        config = container.record.config
        shell = ["/bin/sh", "-c"] if config.shell is UNSET else config.shell
        if config.healthcheck is UNSET or not (command := probe_command(config.healthcheck, shell)):
            container.record.state.health = None
            return
        container.record.state.health = HealthState()
        container.health_task = self._core.spawn(
            self._check(container, command, config.healthcheck), f"health of {container.id[:12]}"
        )

    def end(self, container: Container) -> None:
        """Stop checking; a container that ended is no longer healthy."""
        if container.health_task is not None:
            container.health_task.cancel()
            container.health_task = None
        if container.record.state.health is not None:
            container.record.state.health.status = "unhealthy"

    async def _check(self, container: Container, command: Sequence[str], check: HealthConfig) -> None:
        interval = _or(check.interval, _INTERVAL)
        grace_end = time.time_ns() + _or(check.start_period, 0)
        start_interval = min(_or(check.start_interval, _START_INTERVAL), interval)
        while True:
            starting = (
                time.time_ns() < grace_end
                and container.record.state.health is not None
                and container.record.state.health.status == "starting"
            )
            await asyncio.sleep((start_interval if starting else interval) / 1e9)
            if container.record.state.paused:
                continue
            probe = await self._probe(container, command, _or(check.timeout, _TIMEOUT))
            self._note(container, probe, grace_end, _or(check.retries, _RETRIES))
            await self._core.store.save(container)

    async def _probe(self, container: Container, command: Sequence[str], timeout_ns: int) -> Probe:
        record = container.record
        process = exec_process(
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
        begun = time.time_ns()
        output = b""
        text = " ".join(command)
        self._core.publish(container, f"exec_create: {text}")
        self._core.publish(container, f"exec_start: {text}")
        try:
            async with asyncio.timeout(timeout_ns / 1e9):
                code, output = await self._run(container, process)
        except TimeoutError:
            code = -1
            output = f"Health check exceeded timeout ({timeout_ns / 1e9:g}s)".encode()
        except (EngineError, ProcessLookupError) as error:
            code, output = -1, str(error).encode()
        self._core.publish(container, "exec_die", exitCode=str(code))
        shown = output[:_KEPT_OUTPUT].decode(errors="replace")
        return Probe(start_ns=begun, end_ns=time.time_ns(), exit_code=code, output=shown)

    async def _run(self, container: Container, process: ProcessSpec) -> tuple[int, bytes]:
        runtime = self._core.runtime
        exec_id = secrets.token_hex(32)
        running = await runtime.exec(container.id, exec_id, process, attach=AttachRequest())
        stream = running.streams[0]
        collected = b""
        loop = asyncio.get_running_loop()
        stream.setblocking(False)
        try:
            while chunk := await loop.sock_recv(stream, 65536):
                if len(collected) < 2 * _KEPT_OUTPUT:
                    collected += chunk
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):  # the check took too long: its process must not stay
                import os  # noqa: PLC0415
                import signal  # noqa: PLC0415

                os.kill(running.pid, signal.SIGKILL)
            raise
        finally:
            stream.close()
        ended = await runtime.wait_exec(container.id, exec_id)
        return ended.code, b"".join(data for _, data in split_frames(collected))

    def _note(self, container: Container, probe: Probe, grace_end: int, retries: int) -> None:
        health = container.record.state.health
        if health is None:
            return
        before = health.status
        health.log = [*health.log, probe][-_KEPT_PROBES:]
        if probe.exit_code == 0:
            health.failing_streak = 0
            health.status = "healthy"
        elif before != "starting" or probe.end_ns >= grace_end:
            health.failing_streak += 1
            if health.failing_streak >= retries:
                health.status = "unhealthy"
        if health.status != before:
            self._core.publish(container, f"health_status: {health.status}")


def _or(value: object, default: int) -> int:
    return value if isinstance(value, int) and value > 0 else default
