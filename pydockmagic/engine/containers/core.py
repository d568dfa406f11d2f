"""What the parts of the container service share: the stores, the drivers, and how an event is told."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.runtime.driver import RuntimeDriver
from pydockmagic.engine.state import State
from pydockmagic.engine.storage.driver import StorageDriver
from pydockmagic.engine.storage.trash import Trash

from .container import Container
from .initlayer import init_layer
from .ports import Images, Networks, Volumes
from .specs import Files
from .store import ContainerStore

__all__ = ["Core", "Surroundings"]

_log = logging.getLogger(__name__)

_HEX = 64
_LEAVING = frozenset({("image", "delete"), ("image", "prune"), ("builder", "prune"), ("container", "destroy")})
"""The events after which an init layer may be nobody's."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the container service is told of the machine."""

    data_root: Path
    run_dir: Path
    cgroup_version: str = "2"
    runtime_name: str = "pydock"


class Core:
    """The shared ground of the container service."""

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        state: State,
        events: EventBus,
        images: Images,
        runtime: RuntimeDriver,
        storage: StorageDriver,
        networks: Networks,
        volumes: Volumes,
    ) -> None:
        self.surroundings = surroundings
        self.events = events
        self.images = images
        self.runtime = runtime
        self.storage = storage
        self.networks = networks
        self.store = ContainerStore(state)
        self.volumes = volumes
        self.trash = Trash(surroundings.data_root / "trash")
        self._files_root = surroundings.data_root / "containers"
        self._files_root.mkdir(mode=0o700, exist_ok=True)
        self._bundles = surroundings.run_dir / "c"
        self._bundles.mkdir(mode=0o700, exist_ok=True)
        self._init_layers = surroundings.data_root / "init"
        self._init_layers.mkdir(mode=0o711, exist_ok=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def files(self, container_id: str) -> Files:
        """Name a container's own files."""
        return Files.of(self._files_root, container_id)

    def bundle(self, container_id: str) -> Path:
        """Name the private directory in which its supervisor lives."""
        return self._bundles / container_id

    def sweep(self) -> None:
        """Throw away what an earlier engine left of containers that are not on record. Blocks."""
        known = {container.id for container in self.store}
        used = {container.record.init_layer for container in self.store}
        self._drop_init_layers(stray.name for stray in self._init_layers.iterdir() if stray.name not in used)
        for directory in (self._files_root, self._bundles):
            for stray in directory.iterdir():
                if stray.name not in known:
                    shutil.rmtree(stray, ignore_errors=True)

    def _drop_init_layers(self, names: Iterable[str]) -> None:
        for name in names:
            shutil.rmtree(self._init_layers / name, ignore_errors=True)

    async def tidy(self) -> None:
        """Drop the init layers of images that are gone, whenever an image or a container goes; runs for ever."""
        async with self.events.subscribe() as told:
            while True:
                event = await told.get()
                if (event.type, event.action) in _LEAVING and (strays := self._stray_init_layers()):
                    await asyncio.to_thread(self._drop_init_layers, strays)

    def _stray_init_layers(self) -> list[str]:
        names = [path.name for path in self._init_layers.iterdir()]
        strays = [name for name in names if len(name) == _HEX and not self._has_layer(name)]
        used = {container.record.init_layer for container in self.store} if strays else set()
        return [name for name in strays if name not in used]

    def _has_layer(self, name: str) -> bool:
        try:
            self.images.layer(f"sha256:{name}")
        except EngineError:
            return False
        return True

    def init_layer(self, layers: Sequence[Path], chain_ids: Sequence[str]) -> Path:
        """Give the layer with the mount points that goes on top of an image's (topmost first). Blocks."""
        key = chain_ids[-1].rpartition(":")[2] if chain_ids else "scratch"
        return init_layer(self._init_layers, layers, key)

    def publish(self, container: Container, action: str, **attributes: str) -> None:
        """Tell an event with Docker's attributes: the labels, the image, the name, and what the action adds."""
        record = container.record
        every = {**record.config.labels, "image": record.image_ref, "name": record.name, **attributes}
        self.events.publish("container", action, record.id, dict(sorted(every.items())))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work in the background; a failure is logged, and the engine's end waits for it or breaks it off."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("%s failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Break off everything in the background."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
