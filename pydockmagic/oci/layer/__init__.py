"""Layers: their tars, their directories in overlayfs form, their indexes, and the algebra of stacking them."""

from __future__ import annotations

from .entry import Kind, LayerEntry
from .extract import DEFAULT_LIMITS, ExtractLimits, extract
from .index import LayerIndex, ScannedLayer
from .reader import TarReader
from .scan import iter_tar, scan, write_tar

__all__ = [
    "DEFAULT_LIMITS",
    "ExtractLimits",
    "Kind",
    "LayerEntry",
    "LayerIndex",
    "ScannedLayer",
    "TarReader",
    "extract",
    "iter_tar",
    "scan",
    "write_tar",
]
