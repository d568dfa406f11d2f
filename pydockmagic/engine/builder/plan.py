"""What is to be built: the stages up to the target, how their steps are numbered, which of them are needed.

The classic builder numbers every step of the stages up to the target; so do we, also where a stage is left out because
nothing of it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from pydockmagic.dockerfile import Copy, Dockerfile, KeyValue, Label, Stage, expand_word
from pydockmagic.dockerfile.errors import DockerfileError
from pydockmagic.dockerfile.shell import LexOptions
from pydockmagic.engine.errors import InvalidParameter

from .args import BuildArgs

__all__ = ["Plan", "make_plan", "stage_named"]


@dataclass(frozen=True)
class Plan:
    """The stages, the last of which is the target. ``firsts`` are the numbers of their FROM steps."""

    file: Dockerfile
    stages: tuple[Stage, ...]
    firsts: tuple[int, ...]
    total: int
    needed: frozenset[int]


def make_plan(file: Dockerfile, target: str, labels: Mapping[str, str], given: Mapping[str, str | None]) -> Plan:
    """Plan a build. Raises InvalidParameter for a target that is not there."""
    stages = list(file.stages[: _target(file, target) + 1])
    extra = tuple(
        Label(pairs=(KeyValue(key, labels[key]),), source=f"LABEL {key}={labels[key]}") for key in sorted(labels)
    )
    stages[-1] = replace(stages[-1], commands=(*stages[-1].commands, *extra))
    firsts: list[int] = []
    number = len(file.meta_args) + 1
    for stage in stages:
        firsts.append(number)
        number += 1 + len(stage.commands)
    return Plan(file, tuple(stages), tuple(firsts), number - 1, _needed(file, stages, given))


def _target(file: Dockerfile, target: str) -> int:
    if not target:
        return len(file.stages) - 1
    found = stage_named(file.stages, target)
    if found is None and target.isdigit() and int(target) < len(file.stages):
        found = int(target)
    if found is None:
        raise InvalidParameter(f"failed to reach build target {target} in Dockerfile")
    return found


def stage_named(stages: tuple[Stage, ...] | list[Stage], name: str) -> int | None:
    """Find a stage by name; the last of that name counts."""
    for index in range(len(stages) - 1, -1, -1):
        if stages[index].stage_name and stages[index].stage_name == name.lower():
            return index
    return None


def _needed(file: Dockerfile, stages: list[Stage], given: Mapping[str, str | None]) -> frozenset[int]:
    """Follow FROM and ``--from`` back from the target."""
    meta = _meta_values(file, given)
    needed: set[int] = set()
    pending = [len(stages) - 1]
    while pending:
        index = pending.pop()
        if index in needed:
            continue
        needed.add(index)
        earlier = stages[:index]
        names = [command.from_ for command in stages[index].commands if isinstance(command, Copy) and command.from_]
        for name in (_base(stages[index], meta, file.escape), *names):
            found = stage_named(earlier, name)
            if found is None and name in names and name.isdigit() and int(name) < index:
                found = int(name)
            if found is not None:
                pending.append(found)
    return frozenset(needed)


def _meta_values(file: Dockerfile, given: Mapping[str, str | None]) -> Mapping[str, str]:
    args = BuildArgs(given)
    for record in file.meta_args:
        for arg in record.args:
            args.declare_meta(arg.key, _expanded(arg.value, args.meta(), file.escape))
    return args.meta()


def _expanded(text: str | None, values: Mapping[str, str], escape: str) -> str | None:
    try:
        return None if text is None else expand_word(text, values, LexOptions(escape)).text
    except DockerfileError:
        return text  # the step itself will say what is wrong


def _base(stage: Stage, meta: Mapping[str, str], escape: str) -> str:
    return _expanded(stage.base, meta, escape) or ""
