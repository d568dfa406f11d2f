"""The build cache: which image a step gave the last time, and in words why it cannot be used this time.

A step's key is a digest over the image before it, its instruction in normal form, the content of what it reads and the
time it stamps on its result. Equal key, equal result: so a hit needs nothing but the key, also after a restart.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from pydockmagic.engine.state import Change, State

from .records import CACHE_KIND, RECIPE_KIND, CacheRecord, Recipe, RecipeStep

__all__ = ["BuildCache", "Question", "Tracker"]

_MOST_INPUTS = 512
_FORM = 1


@dataclass(frozen=True)
class Question:
    """What a step is asked by. ``content`` is a digest over what it reads, ``inputs`` the same file by file.

    ``exact`` tells apart what reads the same as text (``a="b c"`` and ``a=b c``).
    """

    parent: str
    instruction: str
    clock: str
    content: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    exact: str = ""

    @property
    def key(self) -> str:
        """Give the key of the result."""
        parts = [_FORM, self.parent, self.instruction, self.clock, self.content, self.exact]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class BuildCache:
    """All results, in memory and in the state store."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.results = state.load(CACHE_KIND, CacheRecord)
        self.recipes = state.load(RECIPE_KIND, Recipe)

    def get(self, key: str) -> CacheRecord | None:
        """Look a result up."""
        return self.results.get(key)

    async def put(self, question: Question, image_id: str, chain_id: str, diff_id: str) -> None:
        """Remember a result."""
        record = CacheRecord(
            image_id=image_id,
            parent=question.parent,
            instruction=question.instruction,
            chain_id=chain_id,
            diff_id=diff_id,
            created_ns=time.time_ns(),
        )
        self.results[question.key] = record
        await self._state.put(CACHE_KIND, question.key, record)

    async def forget(self, keys: list[str]) -> None:
        """Forget results."""
        for key in keys:
            self.results.pop(key, None)
        await self._state.write([Change(CACHE_KIND, key) for key in keys])

    async def keep_recipe(self, name: str, steps: list[RecipeStep]) -> None:
        """Remember how a recipe was built, if it is not what is remembered already."""
        recipe = Recipe(steps=tuple(steps))
        if name and self.recipes.get(name) != recipe:
            self.recipes[name] = recipe
            await self._state.put(RECIPE_KIND, name, recipe)

    async def forget_recipes(self) -> None:
        """Forget all recipes."""
        names = list(self.recipes)
        self.recipes.clear()
        await self._state.write([Change(RECIPE_KIND, name) for name in names])


class Tracker:
    """Follows one build through its steps and explains each miss by the build of the same name before."""

    def __init__(self, cache: BuildCache, recipe: str, *, disabled: bool) -> None:
        self._cache = cache
        self._name = recipe
        self._before = cache.recipes[recipe].steps if recipe in cache.recipes else ()
        self._disabled = disabled
        self._missed = False
        self.steps: list[RecipeStep] = []

    def note(self, question: Question) -> None:
        """Take a step down; every step of a build comes here, hit or miss, in order."""
        inputs = question.inputs if len(question.inputs) <= _MOST_INPUTS else {}
        step = RecipeStep(instruction=question.instruction, parent=question.parent, key=question.key, inputs=inputs)
        self.steps.append(step)

    def new_stage(self) -> None:
        """Begin a stage: what was missed before says nothing about it."""
        self._missed = False

    def reason(self, question: Question, *, gone: bool) -> str:
        """Say why there is no result to use for the step that was just noted."""
        first_miss = not self._missed
        self._missed = True
        if self._disabled:
            return "no-cache asked"
        if gone:
            return "the image of this step was removed"
        index = len(self.steps) - 1
        if index >= len(self._before):
            return self._without_before(question)
        before = self._before[index]
        if before.instruction != question.instruction:
            return "instruction changed" if first_miss else "an earlier step changed"
        if before.parent != question.parent:
            return "base image changed" if first_miss and index == 0 else "an earlier step changed"
        changed = _difference(before.inputs, question.inputs)
        if changed:
            return f"input files changed: {changed}"
        if question.content:
            return "input files changed"
        return "the base image's time changed"

    def _without_before(self, question: Question) -> str:
        """Explain a step that the build before did not have; another name's build may have had it."""
        if self._before:
            return "instruction added"
        for record in self._cache.results.values():
            if record.parent == question.parent and record.instruction == question.instruction and question.content:
                return "input files changed"
        return "first build"

    async def finish(self) -> None:
        """Keep what was done, for the next time."""
        await self._cache.keep_recipe(self._name, self.steps)


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Name what differs: at most three paths."""
    if not before or not now:
        return ""
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
