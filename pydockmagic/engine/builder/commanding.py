"""RUN and WORKDIR, step by step: ask the cache, else do it and keep the result."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from pydockmagic.dockerfile import Run, Workdir
from pydockmagic.engine.errors import EngineError

from .args import env_map
from .cache import Question
from .draft import Draft
from .image import StageImage
from .metadata import new_working_dir
from .running import RunFailed, container_body, run_container, script_of, take_layer
from .steps import Step, short_id
from .view import View
from .workbench import Workbench, digest_of

__all__ = ["NEEDS_BUILDKIT", "run_step", "workdir_step"]

NEEDS_BUILDKIT = (
    "the --{} option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images "
    "with BuildKit enabled"
)


async def workdir_step(bench: Workbench, image: StageImage, record: Workdir, step: Step) -> None:
    """Carry WORKDIR out: the directory is made if it is missing."""
    path = new_working_dir(record.path, image.working_dir)
    image.set("WorkingDir", path)
    created_by = " ".join([*image.shell, f"#(nop) WORKDIR {path}"])
    question = bench.ask(image, created_by, exact=digest_of(image.config))
    if await bench.from_cache(image, question, created_by, step):
        return

    async def make() -> None:
        draft = await asyncio.to_thread(_draft_directory, bench, image, path)
        layer = await bench.take_draft(image, draft) if draft else None
        await bench.commit(image, question, created_by, layer, step)

    await bench.without_container(question, make)


def _draft_directory(bench: Workbench, image: StageImage, path: str) -> Draft | None:
    try:
        found, missing = View(bench.images.layer_dirs(image.chain_ids)).resolve(path)
        if not missing and found.is_dir:
            return None
        draft = bench.draft(image)
        draft.directory_at((*found.names, *missing))
    except NotADirectoryError:
        raise EngineError(f"Cannot mkdir: {path} is not a directory") from None
    return draft


async def run_step(bench: Workbench, image: StageImage, record: Run, step: Step) -> None:
    """Carry RUN out."""
    if record.mounts:
        raise EngineError(NEEDS_BUILDKIT.format("mount"))
    if record.security:
        raise EngineError(NEEDS_BUILDKIT.format("security"))
    command, script = script_of(record)
    words = [*image.shell, *command] if record.prepend_shell and script is None else list(command)
    given = image.args.allowed(env_map(image.env))
    created_by = " ".join([*image.args.command_prefix(given), *words])
    content = digest_of(script[1].hex()) if script else ""
    question = bench.ask(image, created_by, content=content, exact=digest_of(words, record.network))
    if await bench.from_cache(image, question, created_by, step):
        return
    if not image.image_id:
        await _materialise(bench, image)
    scripts = await asyncio.to_thread(_write_script, bench.new_path("script"), script) if script else None
    env = [*image.env, *(f"{name}={value}" for name, value in given.items())]
    body = container_body(image.image_id, words, env, bench.options, network=record.network, scripts=scripts)
    container = await bench.containers.create(body)
    await _run_in(bench, container, words, image, question, created_by, step)


async def _run_in(
    bench: Workbench,
    container: str,
    words: list[str],
    image: StageImage,
    question: Question,
    created_by: str,
    step: Step,
) -> None:
    """Run the container and keep its layer. A container that failed stays, to be looked at."""
    try:
        await bench.output.text(f" ---> Running in {short_id(container)}\n")
        code = await run_container(bench.containers, container, bench.output)
        if code:
            raise RunFailed(words, code)  # noqa: TRY301 - the handlers below see to the container
        layer = await take_layer(bench.containers, bench.images, container, image.clamp_ns)
        await bench.commit(image, question, created_by, layer, step, container=container)
    except asyncio.CancelledError:
        await asyncio.shield(_discard(bench, container))
        raise
    except BaseException:
        if bench.options.force_remove:
            await _remove(bench, container)
        raise
    if bench.options.remove or bench.options.force_remove:
        await _remove(bench, container)
    else:
        # Its writable layer is the image's now; over that it gets a new one, so that it can be looked at and started.
        await asyncio.to_thread(bench.storage.create, container, bench.images.layer_dirs(image.chain_ids))


async def _remove(bench: Workbench, container: str) -> None:
    await _discard(bench, container)
    await bench.output.text(f"Removing intermediate container {short_id(container)}\n")


async def _discard(bench: Workbench, container: str) -> None:
    with contextlib.suppress(EngineError):
        await bench.containers.remove(container, force=True, volumes=True)


def _write_script(folder: Path, script: tuple[str, bytes]) -> Path:
    folder.mkdir(mode=0o755)
    file = folder / script[0].replace("/", "_")
    file.write_bytes(script[1])
    file.chmod(0o755)
    return folder


async def _materialise(bench: Workbench, image: StageImage) -> None:
    """Give a stage from scratch an image, for a container needs one."""
    document = image.document("", None)
    document["history"] = []
    record = await bench.images.create(config=document, chain_ids=(), origin="build")
    image.image_id = record.id
