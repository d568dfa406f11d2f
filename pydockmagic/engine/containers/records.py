"""What the engine remembers of a container, as it lies in the state store (kind ``container``, key its id)."""

from __future__ import annotations

from typing import Any

import msgspec

from pydockmagic.engine.volumes.records import MountPoint

from .config import ContainerConfig, EndpointSettings, HostConfig
from .lifecycle import Lifecycle

__all__ = ["HISTORY_KEPT", "ContainerRecord", "ContainerState", "HealthState", "HistoryEntry", "Link", "Probe"]

HISTORY_KEPT = 256
"""State changes remembered per container; a container in a restart loop forgets its oldest."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a health check."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str


class HealthState(msgspec.Struct, kw_only=True):
    """``starting``, ``healthy`` or ``unhealthy``, and the last probes."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[Probe] = msgspec.field(default_factory=list)


class ContainerState(msgspec.Struct, kw_only=True):
    """The flags that make up a container's state; times are Unix nanoseconds, zero is never."""

    running: bool = False
    paused: bool = False
    restarting: bool = False
    oom_killed: bool = False
    dead: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    health: HealthState | None = None

    @property
    def lifecycle(self) -> Lifecycle:
        """Name the state, by Docker's precedence."""
        if self.running or self.restarting:
            if self.paused:
                return Lifecycle.PAUSED
            return Lifecycle.RESTARTING if self.restarting else Lifecycle.RUNNING
        if self.dead:
            return Lifecycle.DEAD
        return Lifecycle.EXITED if self.started_ns else Lifecycle.CREATED


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One step of a container's life, for ``GET /pydock/containers/{id}/states``."""

    action: str
    from_: str = msgspec.field(name="From")
    to: str
    time_nano: int
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A container that this one knows by ``alias`` (``--link``); ``name`` is what it was called when they met."""

    alias: str
    container_id: str
    name: str


class ContainerRecord(msgspec.Struct, kw_only=True):
    """One container. ``config`` and ``host_config`` are complete: the image's and Docker's defaults are filled in."""

    id: str
    name: str
    created_ns: int
    path: str
    args: list[str]
    image_id: str
    image_ref: str
    config: ContainerConfig
    host_config: HostConfig
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    mounts: list[MountPoint] = msgspec.field(default_factory=list)
    endpoints: dict[str, EndpointSettings] = msgspec.field(default_factory=dict)
    """What was asked of each network, by the name that was asked."""
    networks: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    """The endpoints in being, as ``NetworkSettings.Networks`` shows them."""
    ports: dict[str, list[dict[str, str]] | None] = msgspec.field(default_factory=dict)
    """The published ports in being."""
    sandbox_id: str = ""
    init_layer: str = ""
    """The name of the layer with the engine's mount points, between the image and the container's own."""
    restart_count: int = 0
    manually_stopped: bool = False
    copied_up: bool = False
    history: list[HistoryEntry] = msgspec.field(default_factory=list)
    links: list[Link] = msgspec.field(default_factory=list)
    link_environment: list[str] = msgspec.field(default_factory=list)
    """The variables of the linked containers, as they were at the last start."""
    transient: bool = False
    """A build step's container: one that has not ended when the engine dies is not taken up again."""
