"""The builder: a Dockerfile becomes steps, steps become layers, equal steps come from the cache."""

from .options import BuildOptions
from .service import Builder

__all__ = ["BuildOptions", "Builder"]
