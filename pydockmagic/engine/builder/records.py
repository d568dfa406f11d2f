"""What the builder remembers in the state store: results of steps, and how each recipe was last built."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["CACHE_KIND", "RECIPE_KIND", "CacheRecord", "Recipe", "RecipeStep"]

CACHE_KIND = "build_cache"
RECIPE_KIND = "build_recipe"


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one step; its key is a digest over ``parent``, ``instruction`` and what the step read.

    ``chain_id`` and ``diff_id`` are of the layer that the step added, empty for none.
    """

    image_id: str
    parent: str
    instruction: str
    chain_id: str = ""
    diff_id: str = ""
    created_ns: int = 0


class RecipeStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step as it was the last time. ``inputs``: path -> digest of the files it read, where they are few."""

    instruction: str
    parent: str
    key: str
    inputs: Mapping[str, str] = msgspec.field(default_factory=dict)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of the last build of a recipe, from which a missed cache is explained."""

    steps: tuple[RecipeStep, ...]
