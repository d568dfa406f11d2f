"""The builder service: ``POST /build`` and what remains of builds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.state import State
from pydockmagic.engine.storage.driver import StorageDriver
from pydockmagic.engine.storage.trash import Trash

from .cache import BuildCache
from .options import BuildOptions
from .ports import Containers, Images
from .workshop import Workshop

__all__ = ["Builder"]

_MANY_RESULTS = 5_000


class Builder:
    """Builds images from Dockerfiles the way the classic builder does."""

    def __init__(
        self,
        *,
        state: State,
        events: EventBus,
        images: Images,
        containers: Containers,
        storage: StorageDriver,
        data_root: Path,
    ) -> None:
        self._events = events
        self._images = images
        self._cache = BuildCache(state)
        trash = Trash(data_root / "trash")
        self._workshop = Workshop(images, containers, storage, self._cache, trash)
        self._home = data_root / "builds"
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._home.iterdir():  # of an engine that was killed while it built
            trash.discard(left)

    async def build(
        self, context: AsyncIterator[bytes], options: BuildOptions
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Build an image from an uploaded context; gives the messages of Docker's JSON stream.

        What is wrong before the first message raises; later errors are messages themselves. Closing the generator
        ends the build and what runs for it.
        """
        from .building import Building  # noqa: PLC0415 - an engine that builds nothing starts without it

        options.check()
        await self._sweep()
        building = Building(self._workshop, options)
        async with contextlib.aclosing(building.messages(context, self._home)) as messages:
            async for message in messages:
                yield message

    async def _sweep(self) -> None:
        """Forget results whose images are gone, once they have become many."""
        if len(self._cache.results) > _MANY_RESULTS:
            gone = [key for key, record in self._cache.results.items() if not self._is_here(record.image_id)]
            if len(gone) > _MANY_RESULTS // 2:
                await self._cache.forget(gone)

    async def prune(self, *, all: bool = False, filters: Mapping[str, Any] | None = None) -> dict[str, Any]:  # noqa: A002 - Docker's own name
        """Forget results (``POST /build/prune``): those whose image is gone or, with ``all``, every one.

        The images themselves are the image service's to prune, so no space is set free here.
        """
        del filters
        bench_keys = [key for key, record in self._cache.results.items() if all or not self._is_here(record.image_id)]
        await self._cache.forget(bench_keys)
        if all:
            await self._cache.forget_recipes()
        self._events.publish("builder", "prune", "", {"reclaimed": "0"})
        return {"CachesDeleted": [], "SpaceReclaimed": 0}

    def _is_here(self, image_id: str) -> bool:
        try:
            self._images.get(image_id)
        except EngineError:
            return False
        return True

    def cache_records(self) -> list[dict[str, Any]]:
        """Give what ``docker system df`` lists as build cache: nothing, for this cache is made of images.

        dockerd's classic builder answers the same; the images it keeps are counted as images.
        """
        return []
