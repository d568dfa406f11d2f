"""The one interface between the container service and whatever starts processes: ``RuntimeDriver``.

Streams are unix sockets that carry Docker's own attach format (Engine API, "Attach to a container"): without a
terminal, frames of ``[stream, 0, 0, 0, length:u32be]`` + bytes towards the engine and raw bytes towards the process;
with one, raw bytes both ways. Half-close ends the process's stdin. So the API passes bytes through untouched.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from .spec import CgroupLimits, ContainerSpec, ExitRecord, PortForward, ProcessSpec

__all__ = ["AttachRequest", "CgroupStats", "Running", "RuntimeDriver"]


class AttachRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams of a process to connect."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    stdin_once: bool = True
    """Whether the end of this client's half ends the process's stdin."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A started process: its pid as the engine sees it, start time, and one socket per attach request, in order."""

    pid: int
    started_ns: int
    streams: tuple[socket.socket, ...] = ()
    warnings: tuple[str, ...] = ()
    """Docker's warnings for limits that could not be applied."""


class CgroupStats(msgspec.Struct, frozen=True, kw_only=True):
    """Raw counters of one container's cgroup; what the kernel does not offer is None."""

    memory_usage: int | None = None
    memory_limit: int | None = None
    memory_max_usage: int | None = None
    memory_failures: int | None = None
    """How often the limit was met (cgroup v1)."""
    memory_stat: Mapping[str, int] = msgspec.field(default_factory=dict)
    cpu_usage_ns: int | None = None
    cpu_user_ns: int | None = None
    cpu_system_ns: int | None = None
    per_cpu_ns: tuple[int, ...] | None = None
    """CPU time by processor (cgroup v1)."""
    pids: int | None = None
    pids_limit: int | None = None
    blkio_bytes: tuple[tuple[int, int, str, int], ...] = ()
    """(major, minor, operation, bytes)"""
    blkio_operations: tuple[tuple[int, int, str, int], ...] = ()
    """(major, minor, operation, count)"""
    throttled: tuple[int, int, int] = (0, 0, 0)
    """(periods, throttled periods, throttled nanoseconds)"""


class RuntimeDriver(Protocol):
    """Starts, watches and ends containers; every method is a coroutine and none blocks the event loop.

    Containers outlive the object: after a restart of the engine ``recover`` finds them again.
    Methods that name a container which is not running raise ``ProcessLookupError``.
    """

    name: str

    async def start(
        self,
        spec: ContainerSpec,
        *,
        net: int | None = None,
        listeners: Sequence[socket.socket] = (),
        attach: Sequence[AttachRequest] = (),
    ) -> Running:
        """Start the container. ``net`` is a network namespace descriptor (for ``namespaces.net == "given"``).

        Returns once the program has been exec'ed. Raises ``StartError`` with nothing left behind.
        """
        ...

    async def attach(self, container_id: str, request: AttachRequest) -> socket.socket:
        """Connect further streams to a running container (from now on; earlier output is in its log)."""
        ...

    async def resize(self, container_id: str, rows: int, columns: int, exec_id: str | None = None) -> None:
        """Set the terminal's size, of the container or of one exec in it."""
        ...

    async def signal(self, container_id: str, signum: int, exec_id: str | None = None) -> None:
        """Send a signal to the container's first process, or to that of one exec in it."""
        ...

    async def pause(self, container_id: str) -> None:
        """Freeze every process of the container."""
        ...

    async def unpause(self, container_id: str) -> None:
        """Thaw it."""
        ...

    async def wait(self, container_id: str) -> ExitRecord:
        """Wait for the end of the container; returns at once when it has ended, also after an engine restart."""
        ...

    async def oom(self) -> str:
        """Wait for the next time that the kernel kills in a container for want of memory; give the container's id."""
        ...

    async def exec(
        self,
        container_id: str,
        exec_id: str,
        process: ProcessSpec,
        *,
        privileged: bool = False,
        attach: AttachRequest | None = None,
    ) -> Running:
        """Start one more process in a running container. Raises ``StartError``."""
        ...

    async def wait_exec(self, container_id: str, exec_id: str) -> ExitRecord:
        """Wait for the end of an exec'ed process and forget it."""
        ...

    async def processes(self, container_id: str) -> list[int]:
        """Give the pids of all processes of the container, as the engine sees them."""
        ...

    async def stats(self, container_id: str) -> CgroupStats:
        """Read the counters of the container's cgroup."""
        ...

    async def update(self, container_id: str, limits: CgroupLimits) -> None:
        """Apply new limits to a running container."""
        ...

    async def serve(
        self,
        container_id: str,
        *,
        listeners: Sequence[socket.socket] = (),
        forwards: Sequence[PortForward] = (),
        moved: Mapping[str, str] | None = None,
    ) -> None:
        """Serve more ports of a running container; ``moved`` leads those of an address that is gone to another."""
        ...

    async def delete(self, container_id: str) -> None:
        """Remove what the container left (cgroup, sockets, bundle); it must have ended. Idempotent."""
        ...

    async def recover(self) -> Mapping[str, Running | ExitRecord]:
        """Find the containers of an earlier engine: still running, or ended with their exit record."""
        ...

    async def close(self) -> None:
        """Let go of everything but the running containers."""
        ...
