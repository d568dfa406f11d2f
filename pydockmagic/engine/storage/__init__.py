"""Storage drivers: they give a container its root from read-only layers; they know no image format."""

from .driver import StorageDriver
from .probe import Probe, open_driver, probe
from .trash import Trash

__all__ = ["Probe", "StorageDriver", "Trash", "open_driver", "probe"]
