"""Layers: their tars, their directories in overlayfs form, their indexes, and the algebra of stacking them."""

from __future__ import annotations

from .compress import CompressedBlob, GzipStream, gzip_chunks
from .copying import CopyRules, copy_into_root
from .decompress import compression_of, open_stream
from .diff import Change, change_kinds, changes, compare
from .entry import Kind, LayerEntry, clean_path
from .extract import extract
from .index import LayerIndex, ScannedLayer
from .limits import DEFAULT_LIMITS, ExtractLimits
from .listing import index_tar
from .merge import MergedView, squash
from .reader import TarMember, TarReader
from .roots import make_parents_in_root, open_beneath, open_in_root, open_root, resolve_in_root
from .scan import checksum, export_tree, iter_tar, scan, tar_entry, write_tar
from .waste import Efficiency, efficiency, wasted_by_layer

__all__ = [
    "DEFAULT_LIMITS",
    "Change",
    "CompressedBlob",
    "CopyRules",
    "Efficiency",
    "ExtractLimits",
    "GzipStream",
    "Kind",
    "LayerEntry",
    "LayerIndex",
    "MergedView",
    "ScannedLayer",
    "TarMember",
    "TarReader",
    "change_kinds",
    "changes",
    "checksum",
    "clean_path",
    "compare",
    "compression_of",
    "copy_into_root",
    "efficiency",
    "export_tree",
    "extract",
    "gzip_chunks",
    "index_tar",
    "iter_tar",
    "make_parents_in_root",
    "open_beneath",
    "open_in_root",
    "open_root",
    "open_stream",
    "resolve_in_root",
    "scan",
    "squash",
    "tar_entry",
    "wasted_by_layer",
    "write_tar",
]
