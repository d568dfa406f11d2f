"""Starter images: put together from this machine on first use, with no network, and labelled with what they are."""

from .base import Missing, Recipe, Starter, image_config
from .busybox import Busybox
from .hello import HelloWorld
from .python import Python

__all__ = ["RECIPES", "Missing", "Recipe", "Starter", "image_config"]

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (HelloWorld(), Busybox(), Python())}
"""Every starter by its familiar name."""
