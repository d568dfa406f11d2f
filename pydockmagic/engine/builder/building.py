"""One build from its upload to its last message: what is wrong, what is built, what is thrown away."""

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

from .build import Build
from .context import Context, open_context, receive
from .options import BuildOptions
from .output import Output
from .plan import make_plan
from .running import RunFailed
from .workbench import Workbench
from .workshop import Workshop

__all__ = ["Building"]

_log = logging.getLogger(__name__)


class Building:
    """One ``POST /build``."""

    def __init__(self, workshop: Workshop, options: BuildOptions) -> None:
        self._workshop = workshop
        self._options = options
        self._references = options.references()
        self._output = Output(quiet=options.quiet, progress=options.progress)

    async def messages(self, context: AsyncIterator[bytes], home: Path) -> AsyncGenerator[Mapping[str, Any], None]:
        """Build in a new folder below ``home``; see ``Builder.build``."""
        work = asyncio.create_task(self._work(context, home / uuid.uuid4().hex))
        try:
            while (message := await self._output.queue.get()) is not None:
                yield message
            await work
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, EngineError):
                await work

    async def _work(self, chunks: AsyncIterator[bytes], folder: Path) -> None:
        output = self._output
        await asyncio.to_thread(folder.mkdir, 0o700)
        try:
            image_id = await self._build_in(folder, chunks)
            if self._options.quiet:
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
            self._workshop.trash.discard(folder)
        await output.queue.put(None)

    async def _build_in(self, folder: Path, chunks: AsyncIterator[bytes]) -> str:
        upload = await receive(chunks, folder)
        context = await asyncio.to_thread(open_context, upload, folder, self._options.dockerfile)
        try:
            return await self._build_from(context, folder)
        finally:
            context.close()

    async def _build_from(self, context: Context, folder: Path) -> str:
        options = self._options
        plan = make_plan(_parsed(context.dockerfile), options.target, options.labels, options.build_args)
        recipe = self._references[0] if self._references else ""
        bench = Workbench(self._workshop, options, self._output, folder, recipe)
        return await Build(bench, plan, context).run(self._references)


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
