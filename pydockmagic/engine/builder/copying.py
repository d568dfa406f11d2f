"""COPY and ADD, step by step: find the sources, ask the cache, else put them into a new layer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydockmagic.dockerfile import Add, Copy
from pydockmagic.engine.errors import EngineError

from .context import Context
from .draft import Draft
from .fetch import fetch
from .image import StageImage
from .owners import parse_chmod, parse_chown
from .sources import Source, find_sources, is_url, text_source
from .steps import Step
from .transfer import Placement, destination_of, put
from .tree import Tree
from .view import View
from .workbench import Workbench, digest_of

__all__ = ["LayersOf", "copy_step"]

LayersOf = Callable[[str], Awaitable[list[Path]]]
"""Gives the layer directories that ``--from`` names, topmost first."""


async def copy_step(
    bench: Workbench, image: StageImage, record: Copy | Add, step: Step, *, context: Context, layers_of: LayersOf
) -> None:
    """Carry COPY or ADD out. Raises EngineError in Docker's words."""
    origin = record.from_ if isinstance(record, Copy) else ""
    tree: Tree[Any] = View(await layers_of(origin)) if origin else context.tree
    destination = destination_of(record.destination, image.working_dir)
    try:
        sources = await asyncio.to_thread(_sources, record, tree, destination)
    except EngineError as error:
        raise EngineError(f"{record.name} failed: {error}") from None
    if not sources:
        raise EngineError(f"{record.name} failed: no source files were specified")
    if len(sources) > 1 and not destination.endswith("/"):
        raise EngineError(
            f"When using {record.name} with more than one source file, "
            "the destination must be a directory and end with a /"
        )
    flags = [f"--{name}={text} " for name, text in (("chown", record.chown), ("chmod", record.chmod)) if text]
    created_by = " ".join([*image.shell, f"#(nop) {record.name} {''.join(flags)}{_label(sources)} in {destination} "])
    inputs = {name: digest for source in sources for name, digest in source.inputs.items()}
    question = bench.ask(
        image,
        _normal_form(record, origin),
        content=digest_of([(source.name, source.label) for source in sources], destination),
        inputs=inputs,
    )
    if await bench.from_cache(image, question, created_by, step):
        return
    draft = await asyncio.to_thread(_put, bench, image, record, sources, destination)
    layer = await bench.take_draft(image, draft)
    await bench.commit(image, question, created_by, layer, step)


def _normal_form(record: Copy | Add, origin: str) -> str:
    """Write the instruction with all that changes its result, but for the files themselves."""
    flags = {
        "from": origin, "chown": record.chown, "chmod": record.chmod, "exclude": ",".join(record.exclude),
        "parents": "true" if isinstance(record, Copy) and record.parents else "",
        "checksum": record.checksum if isinstance(record, Add) else "",
        "unpack": str(record.unpack) if isinstance(record, Add) and record.unpack is not None else "",
    }  # fmt: skip
    names = [*record.sources, *(f"<<{inline.name}" for inline in record.contents), record.destination]
    return " ".join([record.name, *(f"--{name}={value}" for name, value in flags.items() if value), *names])


def _label(sources: list[Source]) -> str:
    if len(sources) == 1:
        return sources[0].label
    return f"multi:{digest_of([source.label for source in sources])}"


def _sources(record: Copy | Add, tree: Tree[Any], destination: str) -> list[Source]:
    own = isinstance(record, Copy) and bool(record.from_) and not record.chown
    context = not (isinstance(record, Copy) and record.from_)
    found: list[Source] = []
    for pattern in record.sources:
        if is_url(pattern):
            if isinstance(record, Copy):
                raise EngineError("source can't be a URL for COPY")
            found.append(fetch(pattern, destination, record.checksum))
        elif isinstance(record, Add) and (pattern.startswith("git@") or pattern.endswith(".git")):
            raise EngineError(f"{pattern}: git repositories are not fetched by this engine")
        else:
            found += find_sources(tree, [pattern], exclude=record.exclude, own=own, context=context)
    return found + [text_source(inline.name, inline.content.encode()) for inline in record.contents]


def _put(bench: Workbench, image: StageImage, record: Copy | Add, sources: list[Source], destination: str) -> Draft:
    draft = bench.draft(image)
    copied = isinstance(record, Copy) and bool(record.from_)
    owner: tuple[int, int] | None = parse_chown(record.chown, draft.view) if record.chown else (0, 0)
    put(
        draft,
        sources,
        Placement(
            destination,
            None if copied and not record.chown else owner,
            parse_chmod(record.chmod),
            keep_times=copied,
            unpack=isinstance(record, Add) and record.unpack is not False,
            parents=isinstance(record, Copy) and record.parents,
        ),
    )
    return draft
