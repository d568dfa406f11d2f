"""The composition root: opens every part of the engine, hands each what it needs, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pydockmagic.version import __version__

from .api.containers import ContainerRoutes
from .api.execs import ExecRoutes
from .api.extension import ExtensionRoutes
from .api.facts import EngineFacts
from .api.images import ImageRoutes
from .api.networks import NetworkRoutes
from .api.registries import RegistryRoutes
from .api.router import API_VERSION, Route, version_text
from .api.server import ApiServer, TlsFiles
from .api.swarm import SwarmRoutes
from .api.system import SystemRoutes
from .api.volumes import VolumeRoutes
from .builder.service import Builder
from .containers.commit import Committer
from .containers.core import Core, Surroundings
from .containers.ports import JoinRequest, NetworkChange, NetworkRequest, NetworkSandbox
from .containers.service import ContainerService
from .distribution.options import RegistryOptions
from .distribution.service import DistributionService
from .events import EventBus
from .ground import Ground
from .images.service import ImageService, ImageUser
from .networks.records import ConnectRequest, LinkTarget, SandboxRequest
from .networks.service import NetworkService
from .runtime import cgroups
from .runtime.host import host_mounts
from .runtime.namespaces import NamespacesDriver
from .state import State
from .storage.driver import StorageDriver
from .storage.probe import open_driver
from .storage.trash import Trash
from .timestamps import rfc3339
from .volumes.mounting import Mounter
from .volumes.service import Volumes

__all__ = ["Daemon", "DaemonOptions"]

_log = logging.getLogger(__name__)

_IDLE_CHECK = 1.0
_RUNTIME = "pydock"


class DaemonOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine is started."""

    hosts: tuple[str, ...]
    insecure: bool = False
    tls: TlsFiles | None = None
    idle_timeout: float = 0.0
    """Seconds without a client and without a running container after which the engine ends itself; 0 never."""
    stop_containers: bool = False
    registries: RegistryOptions = RegistryOptions()


class _Identity(msgspec.Struct, frozen=True):
    id: str


class Daemon:
    """One running engine."""

    def __init__(self, ground: Ground, options: DaemonOptions) -> None:
        self._ground = ground
        self._options = options
        self._stopping = asyncio.Event()
        self._opened = contextlib.AsyncExitStack()

    async def open(self) -> list[str]:
        """Open everything and begin to serve; give the addresses."""
        # before the address is told: whoever reads it may ask for the end at once
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, self._stopping.set)
        try:
            return await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> list[str]:
        options, ground = self._options, self._ground
        self._state = State(ground.data_root / "state.db")
        self._opened.callback(self._state.close)
        self._events = EventBus()
        identity = await self._identity()
        # the zygote takes a while to come up: meanwhile the storage driver is tried out
        opening = asyncio.create_task(asyncio.to_thread(lambda: open_driver(ground.data_root)))
        self._runtime, self._networks = await self._open_runtime(identity)
        storage = await opening
        self._images = ImageService(ground.data_root, self._state, self._events, storage.name)
        self._distribution = DistributionService(self._state, self._images.exchange, options.registries)
        self._images.registries = self._distribution
        self._volumes = Volumes(
            ground.data_root / "volumes",
            self._state,
            self._events,
            Mounter(lambda: self._runtime.zygote_pid, host_mounts() if ground.sandbox.rung == "root" else None),
            Trash(ground.data_root / "trash"),
        )
        core = Core(
            Surroundings(
                data_root=ground.data_root,
                run_dir=ground.run_dir,
                cgroup_version=str(cgroups.layout().version or 2),
                runtime_name=_RUNTIME,
            ),
            state=self._state,
            events=self._events,
            images=self._images,
            runtime=self._runtime,
            storage=storage,
            networks=_NetworkDoor(self._networks),
            volumes=self._volumes,
        )
        self._containers = ContainerService(core)
        self._images.users = self._image_users
        self._volumes.users = self._containers.users_of_volume
        await self._containers.open()
        self._opened.push_async_callback(self._close_containers)
        self._builder = Builder(
            state=self._state,
            events=self._events,
            images=self._images,
            containers=self._containers,
            storage=storage,
            data_root=ground.data_root,
        )
        await self._networks.recover([c.id for c in core.store if c.record.state.pid])
        self.server = ApiServer(self._routes(await self._facts(identity, storage)), _headers())
        self._opened.push_async_callback(self.server.close)
        addresses = [await self.server.listen(h, insecure=options.insecure, tls=options.tls) for h in options.hosts]
        gc.collect()
        gc.freeze()
        return addresses

    async def _open_runtime(self, identity: str) -> tuple[NamespacesDriver, NetworkService]:
        """Open driver and networks; rootless the bridges live in a namespace of their own, which the zygote keeps."""
        ground = self._ground
        runtime = NamespacesDriver(ground.run_dir, net=ground.network, launch=ground.zygote)
        await runtime.open()
        self._opened.push_async_callback(runtime.close)
        namespace = f"/proc/self/fd/{ground.network}" if ground.network is not None else None
        networks = NetworkService(self._state, self._events, identity, namespace=namespace, run_dir=ground.run_dir)
        await networks.open()
        self._opened.push_async_callback(networks.close)
        return runtime, networks

    async def _facts(self, identity: str, storage: StorageDriver) -> EngineFacts:
        sandbox = self._ground.sandbox
        layout = cgroups.layout()
        warnings = [*sandbox.reasons, *self._networks.warnings]
        return EngineFacts(
            id=identity,
            version=__version__,
            root=str(self._ground.data_root),
            storage=storage.name,
            storage_status=tuple((name, value) for name, value in storage.status()),
            runtime=_RUNTIME,
            cgroup_version=str(layout.version or 2),
            cgroup_driver="cgroupfs" if layout.version else "none",
            support=frozenset(layout.support),
            rootless=sandbox.rung != "root",
            warnings=tuple(f"WARNING: {text}" for text in warnings if text),
            registries=self._options.registries,
            started=rfc3339(time.time_ns()),
        )

    def _routes(self, facts: EngineFacts) -> list[Route]:
        counters = _Counters(self._images, self._containers, self._volumes, self._builder)
        families = (
            SystemRoutes(facts, self._events, counters),
            ContainerRoutes(self._containers),
            ExecRoutes(self._containers.execs),
            ImageRoutes(self._images, self._builder, Committer(self._containers.core, _apply_changes)),
            RegistryRoutes(self._images, self._distribution),
            NetworkRoutes(self._networks, self._containers),
            VolumeRoutes(self._volumes),
            ExtensionRoutes(facts, self._images, self._containers, self._examine),
            SwarmRoutes(),
        )
        return [route for family in families for route in family.routes()]

    def _examine(self) -> Mapping[str, Any]:
        from . import doctor  # noqa: PLC0415 - tries things out, which is seldom asked for

        return doctor.examine(self._ground.sandbox, self._ground.data_root)

    def _image_users(self, image_id: str) -> list[ImageUser]:
        return [
            ImageUser(c.id, c.record.name, c.record.state.running) for c in self._containers.users_of_image(image_id)
        ]

    async def run_until_stopped(self) -> None:
        """Serve until a signal or idleness asks for the end."""
        idle = asyncio.create_task(self._watch_idle())
        await self._stopping.wait()
        idle.cancel()

    async def _watch_idle(self) -> None:
        limit = self._options.idle_timeout
        while limit:
            await asyncio.sleep(min(_IDLE_CHECK, limit))
            if self.server.idle_seconds >= limit and not self._containers.busy:
                _log.info("idle for %s s: ending", limit)
                self._stopping.set()

    async def _close_containers(self) -> None:
        await self._containers.close(stop=self._options.stop_containers)

    async def close(self) -> None:
        """End everything in the reverse order; containers run on unless they are to be stopped."""
        await self._opened.aclose()

    async def _identity(self) -> str:
        known = self._state.load("engine", _Identity)
        if "identity" in known:
            return known["identity"].id
        identity = _Identity(str(uuid.uuid4()))
        await self._state.put("engine", "identity", identity)
        return identity.id


class _NetworkDoor:
    """The network service as the containers' port: the same requests under the other room's names."""

    def __init__(self, networks: NetworkService) -> None:
        self._networks = networks

    async def attach(self, request: NetworkRequest) -> NetworkSandbox:
        """Pass on."""
        linked = tuple(LinkTarget(*link) for link in request.links)
        return await self._networks.attach(SandboxRequest(**msgspec.structs.asdict(request) | {"links": linked}))

    async def release(self, container_id: str) -> None:
        """Pass on."""
        await self._networks.release(container_id)

    def advise(self, mode: str) -> Sequence[str]:
        """Pass on."""
        return self._networks.advise(mode)

    async def rename(self, container_id: str, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Pass on."""
        return await self._networks.rename(container_id, name)

    async def force_off(self, reference: str, name: str) -> None:
        """Pass on."""
        await self._networks.force_off(reference, name)

    async def connect(self, reference: str, request: JoinRequest) -> NetworkChange:
        """Pass on."""
        return await self._networks.connect(reference, ConnectRequest(**msgspec.structs.asdict(request)))

    async def disconnect(self, reference: str, container_id: str, *, mode: str = "", pid: int = 0) -> NetworkChange:
        """Pass on."""
        return await self._networks.disconnect(reference, container_id, mode=mode, pid=pid)

    def inspect(self, reference: str) -> Mapping[str, Any]:
        """Pass on."""
        return self._networks.inspect(reference)


class _Counters:
    """What ``/info`` and ``/system/df`` count."""

    def __init__(self, images: ImageService, containers: ContainerService, volumes: Volumes, builder: Builder) -> None:
        self._images = images
        self._containers = containers
        self._volumes = volumes
        self._builder = builder

    def containers(self) -> Mapping[str, int]:
        """Count containers by state."""
        return self._containers.counts()

    def images(self) -> int:
        """Count images."""
        return self._images.count()

    async def disk_usage(self, kinds: frozenset[str]) -> Mapping[str, Any]:
        """Measure what the kinds of objects take; what was not asked for is null."""
        document: dict[str, Any] = dict.fromkeys(("LayersSize", "Images", "Containers", "Volumes", "BuildCache"))
        document["LayersSize"] = 0
        if "image" in kinds:
            document |= self._images.disk_usage()
        if "container" in kinds:
            document["Containers"] = await self._containers.lister.list({}, everything=True, size=True)
        if "volume" in kinds:
            document["Volumes"] = await self._volumes.usage()
        if "build-cache" in kinds:
            document["BuildCache"] = self._builder.cache_records()
        return document


def _headers() -> Mapping[str, str]:
    return {
        "Api-Version": version_text(API_VERSION),
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": f"pydockmagic/{__version__} (linux)",
    }


def _apply_changes(config: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    from .images.applying import apply_changes  # noqa: PLC0415 - most engines read no instruction

    return apply_changes(config, changes)
