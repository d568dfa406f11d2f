"""What every kind of step works with: the cache, new layers, new images, and the text that goes with them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.images.records import LayerRecord

from .cache import Question, Tracker
from .draft import Draft
from .image import StageImage
from .options import BuildOptions
from .output import Output
from .steps import Step, short_id
from .workshop import Workshop

__all__ = ["Workbench", "digest_of"]


def digest_of(*values: Any) -> str:
    """Give a digest over plain values."""
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()


class Workbench:
    """One build's tools. ``folder`` is the build's own, thrown away afterwards."""

    def __init__(
        self, workshop: Workshop, options: BuildOptions, output: Output, folder: Path, recipe: str = ""
    ) -> None:
        self.images = workshop.images
        self.containers = workshop.containers
        self.storage = workshop.storage
        self.cache = workshop.cache
        self.options = options
        self.output = output
        self.folder = folder
        self.tracker = Tracker(self.cache, recipe, disabled=options.no_cache)
        self._hits: list[tuple[str, Step]] = []
        self._made = 0
        self._sources: set[str] | None = None

    def new_path(self, kind: str) -> Path:
        """Name something new in the build's folder."""
        self._made += 1
        return self.folder / f"{kind}-{self._made}"

    def ask(
        self,
        image: StageImage,
        instruction: str,
        *,
        content: str = "",
        exact: str = "",
        inputs: Mapping[str, str] | None = None,
    ) -> Question:
        """Put the question that the cache may answer."""
        return Question(image.image_id, instruction, image.created, content, inputs or {}, exact)

    async def from_cache(self, image: StageImage, question: Question, created_by: str, step: Step) -> bool:
        """Take the result of a step from the cache, if it is there."""
        self.tracker.note(question)
        found = None if self.options.no_cache else self.cache.get(question.key)
        barred = found is not None and bool(self.options.cache_from) and found.image_id not in self._allowed()
        if found is None or barred or not self.is_here(found.image_id):
            reason = self.tracker.reason(question, gone=found is not None)
            step.reason = "not among the images of --cache-from" if barred else reason
            return False
        layer = (found.chain_id, found.diff_id) if found.chain_id else None
        step.cached = True
        self._hits.append((found.image_id, step))
        await self.output.text(" ---> Using cache\n")
        image.advance(found.image_id, image.document(created_by, layer), layer)
        return True

    def _allowed(self) -> set[str]:
        """Give the images that ``--cache-from`` lets the cache use: those named and those that they were made from."""
        if self._sources is None:
            self._sources = set()
            for name in self.options.cache_from:
                with contextlib.suppress(EngineError):
                    parent: str | None = self.images.get(name).id
                    while parent and parent not in self._sources:
                        self._sources.add(parent)
                        parent = self.images.get(parent).parent
        return self._sources

    async def note_hits(self) -> None:
        """Write down, beside the images that came from the cache, by which lines they were used this time."""
        for image_id, step in self._hits:
            now = step.as_record()
            before = self.images.get(image_id).step if self.is_here(image_id) else now
            if before is not None:
                now = msgspec.structs.replace(now, seconds=before.seconds, reason=before.reason)
            if now != before:
                await self.images.note_step(image_id, now)

    def is_here(self, image_id: str) -> bool:
        """Whether an image of an earlier build is still there."""
        try:
            self.images.get(image_id)
        except EngineError:
            return False
        return True

    async def commit(
        self,
        image: StageImage,
        question: Question,
        created_by: str,
        layer: LayerRecord | None,
        step: Step,
        *,
        container: str = "",
    ) -> None:
        """Make the image of a step, and remember it."""
        pair = (layer.chain_id, layer.diff_id) if layer else None
        step.size = layer.size if layer else 0
        document = image.document(created_by, pair)
        try:
            record = await self.images.create(
                config=document,
                chain_ids=(*image.chain_ids, layer.chain_id) if layer else image.chain_ids,
                parent=image.image_id or None,
                container=container,
                author=image.author,
                step=step.as_record(),
                origin="build",
            )
        except BaseException:
            if layer:
                await self.images.release([layer.chain_id])
            raise
        image.advance(record.id, document, pair)
        await self.cache.put(question, record.id, *(pair or ("", "")))

    async def without_container(self, question: Question, action: Callable[[], Awaitable[None]]) -> None:
        """Say what the classic builder says, which makes a container for every step, also where nothing runs.

        No container is needed here; the number is the step's own.
        """
        number = short_id(question.key)
        await self.output.text(f" ---> Running in {number}\n")
        await action()
        if self.options.remove or self.options.force_remove:
            await self.output.text(f"Removing intermediate container {number}\n")

    def draft(self, image: StageImage) -> Draft:
        """Begin a layer on top of a stage's. Blocks."""
        return Draft(self.new_path("layer"), self.images.layer_dirs(image.chain_ids), image.clamp_ns)

    async def take_draft(self, image: StageImage, draft: Draft) -> LayerRecord | None:
        """Make a drafted layer one of the image service's; None where it holds nothing."""
        await asyncio.to_thread(draft.finish)
        if not draft.changed:
            return None
        return await self.images.add_layer(Path(draft.directory), image.top, clamp_ns=image.clamp_ns)
