"""One build: stage after stage, step after step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from pydockmagic.dockerfile import (
    Add,
    Arg,
    Copy,
    DockerfileError,
    Instruction,
    Run,
    Stage,
    Workdir,
    expand,
    expand_word,
    parse,
    parse_instruction,
)
from pydockmagic.dockerfile.shell import LexOptions
from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.images.records import ImageRecord

from .args import BuildArgs
from .clock import parse_epoch
from .commanding import run_step, workdir_step
from .context import Context
from .copying import copy_step
from .image import StageImage
from .metadata import apply_metadata
from .plan import Plan, stage_named
from .running import RunFailed
from .steps import Step, short_id
from .workbench import Workbench, digest_of

__all__ = ["Build"]

T = TypeVar("T")


class Build:
    """Carries a plan out."""

    def __init__(self, bench: Workbench, plan: Plan, context: Context) -> None:
        self._bench = bench
        self._plan = plan
        self._context = context
        self._output = bench.output
        self._args = BuildArgs(bench.options.build_args)
        self._done: dict[int, StageImage] = {}

    async def run(self, references: list[str]) -> str:
        """Build everything; gives the image id. Raises EngineError, DockerfileError."""
        try:
            await self._warnings()
            await self._meta_args()
            for index in range(len(self._plan.stages)):
                if index in self._plan.needed:
                    await self._stage(index)
                else:
                    await self._left_out(index)
        finally:
            await asyncio.shield(self._bench.tracker.finish())
        await self._bench.note_hits()
        unused = self._args.unused()
        if unused:
            await self._output.text(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        image_id = self._done[len(self._plan.stages) - 1].image_id
        await self._output.text(f"Successfully built {short_id(image_id)}\n")
        for reference in references:
            await self._bench.images.tag(image_id, reference)
            await self._output.text(f"Successfully tagged {reference}\n")
        return image_id

    async def _warnings(self) -> None:
        texts = [sentence.replace(": ", ":\n    ", 1) for sentence, _ in self._plan.file.warnings]
        if texts:
            texts.append("Empty continuation lines will become errors in a future release.")
            await self._output.alarm("".join(f"[WARNING]: {text}\n" for text in texts))

    async def _meta_args(self) -> None:
        for number, record in enumerate(self._plan.file.meta_args, 1):
            step = Step(number, self._plan.total, record)
            await step.begin(self._output)
            for pair in record.args:
                # One after the other: each may use those before it.
                for arg in self._expanded(replace(record, args=(pair,)), self._args.meta()).args:
                    self._args.declare_meta(arg.key, arg.value)
            await step.end(self._output)

    async def _left_out(self, index: int) -> None:
        """Say why steps are missing: one line for each stage that nothing is needed of."""
        stage, first = self._plan.stages[index], self._plan.firsts[index]
        last = first + len(stage.commands)
        steps = f"Step {first}" if first == last else f"Steps {first}-{last}"
        name = f" {stage.stage_name}" if stage.stage_name else ""
        await self._output.text(f"{steps}/{self._plan.total} : stage{name} is not needed, skipped\n")

    async def _stage(self, index: int) -> StageImage:
        """Build a stage, unless that is done."""
        if index in self._done:
            return self._done[index]
        stage, number = self._plan.stages[index], self._plan.firsts[index]
        self._bench.tracker.new_stage()
        step = Step(number, self._plan.total, stage)
        image = await self._in_step(step, self._from(index, stage, step))
        for offset, record in enumerate(stage.commands, 1):
            await self._output.text(f" ---> {short_id(image.image_id)}\n")
            step = Step(number + offset, self._plan.total, record)
            await self._in_step(step, self._dispatch(image, record, step, index))
        await self._output.text(f" ---> {short_id(image.image_id)}\n")
        if not image.image_id:
            raise EngineError("No image was generated. Is your Dockerfile empty?")
        await self._output.aux({"ID": image.image_id})
        self._done[index] = image
        return image

    async def _in_step(self, step: Step, action: Awaitable[T]) -> T:
        await step.begin(self._output)
        try:
            result = await action
        except (EngineError, DockerfileError, OSError) as error:
            await step.fail(self._output, error.code if isinstance(error, RunFailed) else None)
            raise
        await step.end(self._output)
        return result

    async def _from(self, index: int, stage: Stage, step: Step) -> StageImage:
        try:
            name = expand_word(stage.base, self._args.meta(), LexOptions(self._plan.file.escape)).text
        except DockerfileError as error:
            raise error.at(stage.first_line, stage.last_line) from None
        if not name:
            raise EngineError(f"base name ({stage.base}) should not be blank")
        image = await self._base(index, name)
        if self._args.clock is not None:
            image.created = parse_epoch(self._args.clock)
        triggers = image.config.pop("OnBuild", None) or []
        if triggers:
            plural = "s" if len(triggers) > 1 else ""
            await self._output.text(f"# Executing {len(triggers)} build trigger{plural}\n")
        for text in triggers:
            record = replace(_trigger(text), first_line=stage.first_line, last_line=stage.last_line)
            await self._dispatch(image, record, Step(step.number, step.total, record), index)
        return image

    async def _base(self, index: int, name: str) -> StageImage:
        args = self._args.stage()
        if name == "scratch":
            return StageImage(args, None, None)
        earlier = stage_named(self._plan.stages[:index], name)
        if earlier is None:
            record = await self._find_image(name)
        else:
            record = self._bench.images.get((await self._stage(earlier)).image_id)
        return StageImage(args, record, self._bench.images.config(record.id))

    async def _find_image(self, name: str) -> ImageRecord:
        images = self._bench.images
        auth = self._bench.options.auth_for(name)
        if not self._bench.options.pull:
            return await images.ensure(name, self._output.pull_progress, auth=auth)
        async for message in images.pull(name, auth=auth):
            await self._output.send(message)
        return images.get(name)

    def _expanded(self, record: Arg, values: dict[str, str]) -> Arg:
        return expand(record, values, self._plan.file.escape)

    async def _dispatch(self, image: StageImage, record: Instruction, step: Step, index: int) -> None:
        """Carry one instruction out."""
        record = expand(record, image.variables(), self._plan.file.escape)
        match record:
            case Run():
                await run_step(self._bench, image, record, step)
            case Copy() | Add():

                async def layers_of(name: str) -> list[Path]:
                    return await self._layers_of(name, index)

                await copy_step(self._bench, image, record, step, context=self._context, layers_of=layers_of)
            case Workdir():
                await workdir_step(self._bench, image, record, step)
            case _:
                await self._metadata(image, record, step)

    async def _metadata(self, image: StageImage, record: Instruction, step: Step) -> None:
        bench = self._bench
        text = apply_metadata(record, image)
        created_by = " ".join([*image.shell, f"#(nop)  {text}"])
        question = bench.ask(image, created_by, exact=digest_of(image.config, image.author))
        if not await bench.from_cache(image, question, created_by, step):
            await bench.without_container(question, lambda: bench.commit(image, question, created_by, None, step))

    async def _layers_of(self, name: str, index: int) -> list[Path]:
        """Give the layers of what ``--from`` names: an earlier stage, by name or number, or any image."""
        images = self._bench.images
        found = stage_named(self._plan.stages[:index], name)
        if found is None and name.isdigit():
            if int(name) >= index:
                raise EngineError(f"invalid from flag value {name}: index out of bounds")
            found = int(name)
        if found is not None:
            return images.layer_dirs((await self._stage(found)).chain_ids)
        try:
            return images.layer_dirs((await self._find_image(name)).chain_ids)
        except EngineError as error:
            raise EngineError(f"invalid from flag value {name}: {error}") from None


def _trigger(text: str) -> Instruction:
    """Read an instruction that ONBUILD has kept."""
    tree = parse(text)
    if len(tree.nodes) != 1:
        raise EngineError("onbuild trigger should be a single expression")
    return parse_instruction(tree.nodes[0], tree.escape)
