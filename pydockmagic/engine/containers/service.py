"""The container service: one face for the API and for the engine's other services.

Each method is one thing that can be asked of containers; the work is done by the parts beside this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import Conflict, EngineError
from pydockmagic.engine.images.records import LayerRecord
from pydockmagic.engine.runtime.driver import AttachRequest, Running
from pydockmagic.engine.runtime.spec import ExitRecord

from . import lifecycle, links
from .archive import Archive
from .config import CreateRequest, EndpointSettings, UpdateRequest
from .container import Container, WaitCondition, WaitResult
from .control import Control
from .core import Core
from .creation import Created, Creator
from .describing import Describer
from .execs import Execs
from .health import HealthMonitor
from .inside import inside
from .joining import Joining
from .lifecycle import Lifecycle
from .listing import Lister
from .lives import Lives
from .logs import Logs
from .requests import decode_create
from .stats import stats
from .streams import Attacher
from .top import top

__all__ = ["ContainerService"]

_log = logging.getLogger(__name__)

_LOST = 137


class ContainerService:
    """Everything about containers."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._lives = Lives(core, HealthMonitor(core))
        self._creator = Creator(core)
        self._joining = Joining(core, self._lives)
        self.control = Control(core, self._lives)
        self.describer = Describer(core)
        self.lister = Lister(core, self.describer)
        self.logs = Logs(core)
        self.attacher = Attacher(core)
        self.execs = Execs(core)
        self.archive = Archive(core)
        self._remover: asyncio.Task[None] | None = None

    def get(self, asked: str) -> Container:
        """Find a container, or raise ``NoSuchContainer``."""
        return self.core.store.get(asked)

    # --- from and to an earlier and a later engine ----------------------------------------------------------------

    async def open(self) -> None:
        """Take up the containers of an earlier engine: what runs goes on, what ended gets its end noted."""
        core = self.core
        containers = core.store.load()
        found = await core.runtime.recover()
        keys = set(await asyncio.to_thread(core.storage.keys))
        for container in containers:
            if container.record.state.pid:
                await core.volumes.take_up(container.id, container.record.mounts)
        for container in containers:
            await self._take_up(container, found.get(container.id), has_layer=container.id in keys)
        known = {container.id for container in core.store}
        for identity, what in found.items():
            if identity not in known:
                await self._end_stranger(identity, what)
        for key in keys - known:
            await asyncio.to_thread(core.storage.remove, key)
        await asyncio.to_thread(core.sweep)
        await core.volumes.drop_unused()
        self._remover = core.spawn(self.control.remove_finished(), "removing finished containers")
        core.spawn(self._lives.tell_ooms(), "telling of kills for want of memory")
        core.spawn(core.tidy(), "dropping init layers of images that are gone")
        for container in list(core.store):
            self._start_by_policy(container)

    async def _take_up(self, container: Container, found: Running | ExitRecord | None, *, has_layer: bool) -> None:
        core, record = self.core, container.record
        half_made = record.transient and not record.state.finished_ns
        if half_made or record.state.dead or not has_layer:
            # a build step's, or one whose removal was interrupted: it does not come back
            if found is not None:
                await self._end_stranger(container.id, found)
            await asyncio.to_thread(core.storage.remove, record.id)
            await core.store.drop(container)
            return
        if isinstance(found, Running):
            before = container.lifecycle
            record.state.running, record.state.restarting = True, False
            record.state.started_ns = found.started_ns or record.state.started_ns
            if before is not container.lifecycle:
                container.remember("start", before)
            self._lives.watch(container, found)
            await core.store.save(container)
        elif isinstance(found, ExitRecord) and record.state.pid:
            await self._lives.finish(container, found)
        elif (record.state.pid or record.state.running) and not record.state.restarting:
            lost = ExitRecord(code=_LOST, started_ns=record.state.started_ns, finished_ns=_now())
            await self._lives.finish(container, lost)
        else:
            record.state.running = record.state.restarting = False  # a policy starts it again below
            await core.runtime.delete(container.id)

    async def _end_stranger(self, identity: str, what: Running | ExitRecord) -> None:
        """End a process whose container is not on record: it was half made when the engine died."""
        runtime = self.core.runtime
        with contextlib.suppress(ProcessLookupError, EngineError):
            if isinstance(what, Running):
                await runtime.signal(identity, 9)
                await runtime.wait(identity)
        await runtime.delete(identity)

    def _start_by_policy(self, container: Container) -> None:
        record = container.record
        policy = record.host_config.restart_policy.name
        wanted = policy == "always" or (policy == "unless-stopped" and not record.manually_stopped)
        if wanted and container.lifecycle is Lifecycle.EXITED:
            self.core.spawn(self._start_quietly(container), f"starting {record.name} by its restart policy")

    async def _start_quietly(self, container: Container) -> None:
        try:
            await self._lives.start(container)
        except EngineError as error:
            _log.warning("container %s did not start: %s", container.record.name, error)

    async def close(self, *, stop: bool = False) -> None:
        """Let go of the containers; with ``stop`` they are stopped first, else they run on."""
        if stop:
            await self.control.stop_all()
        await self.core.close()

    # --- for the engine's other services --------------------------------------------------------------------------

    async def create(self, body: Mapping[str, Any], name: str | None = None) -> str:
        """Make a build step's container from an API body; it does not outlive the engine."""
        request = decode_create(body)
        return (await self._creator.create(request, name, transient=True)).id

    async def create_from(self, request: CreateRequest, name: str | None = None) -> Created:
        """Make a container for a client."""
        return await self._creator.create(request, name)

    async def attach(self, asked: str, request: AttachRequest) -> socket.socket:
        """Give a connected socket of a container's streams, also before its start."""
        return await self.attacher.attach(asked, request)

    async def start(self, asked: str) -> None:
        """Start a container."""
        await self.control.start(asked)

    async def wait(self, asked: str) -> int:
        """Wait until a container does not run; give its exit code."""
        return (await self.control.wait(asked, WaitCondition.NOT_RUNNING)).code

    async def wait_for(self, asked: str, condition: WaitCondition) -> WaitResult:
        """Wait for a condition."""
        return await self.control.wait(asked, condition)

    async def remove(self, asked: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container."""
        await self.control.remove(asked, force=force, volumes=volumes)

    async def unlink(self, path: str) -> None:
        """Take a link (``PARENT/ALIAS``) away, also from the parent's /etc/hosts."""
        self.get(path)
        parent_name, alias = links.link_path(path)
        parent = self.get(parent_name)
        async with parent.lock:
            parent.record.links = [link for link in parent.record.links if link.alias != alias]
            await self._lives.change_hosts(parent, lambda text: links.with_address(text, alias, ""))
            await self.core.store.save(parent)

    async def commit_layer(self, asked: str, clamp_ns: int) -> LayerRecord:
        """Make a stopped container's writable layer a layer of the store; the container loses it."""
        container = self.get(asked)
        core = self.core
        async with container.lock:
            if container.record.state.pid:
                raise Conflict(f"container {container.id} is running: its layer cannot be taken")
            image = core.images.get(container.record.image_id)
            parent = image.chain_ids[-1] if image.chain_ids else None
            target = core.surroundings.data_root / "tmp" / f"commit-{container.id}"

            def adopt() -> None:
                target.parent.mkdir(mode=0o700, exist_ok=True)
                core.storage.adopt(container.id, target)

            await asyncio.to_thread(adopt)
            try:
                return await core.images.add_layer(target, parent, clamp_ns=clamp_ns)
            finally:
                await asyncio.to_thread(_remove_tree, target)

    # --- for the API --------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Count containers by running, paused and stopped."""
        result = {"running": 0, "paused": 0, "stopped": 0}
        for container in self.core.store:
            if container.record.state.paused:
                result["paused"] += 1
            elif container.record.state.running:
                result["running"] += 1
            else:
                result["stopped"] += 1
        return result

    async def inspect(self, asked: str, *, size: bool = False) -> dict[str, Any]:
        """Give the document of ``docker inspect``."""
        container = self.get(asked)
        if size:
            return await asyncio.to_thread(self.describer.inspect, container, size=True)
        return self.describer.inspect(container)

    async def update(self, asked: str, request: UpdateRequest) -> list[str]:
        """Change limits; give warnings."""
        return await self.control.update(asked, request)

    async def top(self, asked: str, arguments: str) -> dict[str, Any]:
        """List the processes of a container."""
        return await top(self.core, asked, arguments)

    def stats(self, asked: str, *, stream: bool, one_shot: bool) -> AsyncIterator[bytes]:
        """Give the counters of a container."""
        return stats(self.core, self.get(asked), stream=stream, one_shot=one_shot)

    async def inside(self, asked: str) -> dict[str, Any]:
        """Say how the kernel sees a container (``GET /pydock/containers/{id}/inside``)."""
        return await inside(self.core, self.get(asked))

    def states(self, asked: str) -> dict[str, Any]:
        """Give a container's state and history (``GET /pydock/containers/{id}/states``)."""
        container = self.get(asked)
        return {
            "Id": container.id,
            "Name": container.record.name,
            "State": container.lifecycle.value,
            "History": msgspec.to_builtins(container.record.history),
        }

    def lifecycle_table(self) -> list[dict[str, str]]:
        """Give the legal moves (``GET /pydock/lifecycle``)."""
        return lifecycle.rows()

    async def connect(self, network: str, asked: str, settings: EndpointSettings | None) -> None:
        """Join a container to a network, now or at its next start."""
        await self._joining.connect(network, asked, settings or EndpointSettings())

    async def disconnect(self, network: str, asked: str, *, force: bool = False) -> None:
        """Take a container off a network."""
        await self._joining.disconnect(network, asked, force=force)

    @property
    def busy(self) -> bool:
        """Whether a container runs, or waits for its restart."""
        return any(container.record.state.running for container in self.core.store)

    def users_of_volume(self, name: str) -> list[str]:
        """Give the ids of the containers that mount a volume."""
        return [c.id for c in self.core.store if any(m.kind == "volume" and m.name == name for m in c.record.mounts)]

    def users_of_image(self, image_id: str) -> Sequence[Container]:
        """Give the containers made from an image."""
        return [container for container in self.core.store if container.record.image_id == image_id]


def _now() -> int:
    return time.time_ns()


def _remove_tree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
