"""The builder service: ``POST /build`` and what remains of builds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from pydockmagic.dockerfile import Dockerfile, DockerfileError, InstructionError, ParseError, parse_dockerfile
from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.state import State
from pydockmagic.engine.storage.driver import StorageDriver
from pydockmagic.engine.storage.trash import Trash

from .build import Build
from .cache import BuildCache
from .context import Context, open_context, receive
from .options import BuildOptions
from .output import Output
from .plan import make_plan
from .ports import Containers, Images
from .running import RunFailed
from .workbench import Workbench

__all__ = ["Builder"]

_MANY_RESULTS = 5_000
_log = logging.getLogger(__name__)


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
        self._containers = containers
        self._storage = storage
        self._cache = BuildCache(state)
        self._trash = Trash(data_root / "trash")
        self._home = data_root / "builds"
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._home.iterdir():  # of an engine that was killed while it built
            self._trash.discard(left)

    async def build(
        self, context: AsyncIterator[bytes], options: BuildOptions
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Build an image from an uploaded context; gives the messages of Docker's JSON stream.

        What is wrong before the first message raises; later errors are messages themselves. Closing the generator
        ends the build and what runs for it.
        """
        options.check()
        references = options.references()
        output = Output(quiet=options.quiet, progress=options.progress)
        work = asyncio.create_task(self._work(context, options, references, output))
        try:
            while (message := await output.queue.get()) is not None:
                yield message
            await work
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, EngineError):
                await work

    async def _work(
        self, chunks: AsyncIterator[bytes], options: BuildOptions, references: list[str], output: Output
    ) -> None:
        folder = self._home / uuid.uuid4().hex
        folder.mkdir(mode=0o700)
        try:
            image_id = await self._build_in(folder, chunks, options, references, output)
            if options.quiet:
                await output.result(f"{image_id}\n")
        except Exception as error:  # whatever it is, the client must not wait for ever
            if not isinstance(error, (EngineError, DockerfileError, OSError)):
                _log.exception("a build broke off")
            if not output.anything:
                await output.queue.put(None)
                if isinstance(error, EngineError):
                    raise
                raise EngineError(_sentence(error)) from error
            await output.fail(_error_message(error))
        finally:
            self._trash.discard(folder)
        await output.queue.put(None)

    async def _build_in(
        self, folder: Path, chunks: AsyncIterator[bytes], options: BuildOptions, references: list[str], output: Output
    ) -> str:
        upload = await receive(chunks, folder)
        context = await asyncio.to_thread(open_context, upload, folder, options.dockerfile)
        try:
            return await self._build_from(context, folder, options, references, output)
        finally:
            context.close()

    async def _build_from(
        self, context: Context, folder: Path, options: BuildOptions, references: list[str], output: Output
    ) -> str:
        await self._sweep()
        plan = make_plan(_parsed(context.dockerfile), options.target, options.labels, options.build_args)
        recipe = references[0] if references else ""
        bench = Workbench(self._images, self._containers, self._storage, self._cache, options, output, folder, recipe)
        return await Build(bench, plan, context).run(references)

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


def _parsed(text: str) -> Dockerfile:
    try:
        return parse_dockerfile(text)
    except InstructionError as error:
        raise InvalidParameter(error.classic) from None
    except ParseError as error:
        raise InvalidParameter(f"failed to parse Dockerfile: {error}") from None
    except DockerfileError as error:
        raise InvalidParameter(str(error)) from None


def _sentence(error: Exception) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    if isinstance(error, DockerfileError):
        return error.classic
    return str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"


def _error_message(error: Exception) -> dict[str, Any]:
    text = _sentence(error)
    detail: dict[str, Any] = {"message": text}
    if isinstance(error, RunFailed):
        detail = {"code": error.code, "message": text}
    return {"errorDetail": detail, "error": text}
