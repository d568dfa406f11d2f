"""What all builds of an engine share."""

from __future__ import annotations

from dataclasses import dataclass

from pydockmagic.engine.storage.driver import StorageDriver
from pydockmagic.engine.storage.trash import Trash

from .cache import BuildCache
from .ports import Containers, Images

__all__ = ["Workshop"]


@dataclass(frozen=True)
class Workshop:
    """The services that a build asks, the results of earlier builds, and where to throw away what is left of one."""

    images: Images
    containers: Containers
    storage: StorageDriver
    cache: BuildCache
    trash: Trash
