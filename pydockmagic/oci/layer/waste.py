"""Bytes that an image carries for nothing: files that a later layer overwrites or deletes.

Two measures. `wasted_by_layer` says for each layer how much of it no container ever sees. `efficiency` computes the
figures that the tool dive prints, by its rules, for comparison with what people know.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .entry import Kind
from .index import LayerIndex
from .merge import MergedView

__all__ = ["Efficiency", "Inefficiency", "efficiency", "wasted_by_layer"]


def wasted_by_layer(layers: Sequence[LayerIndex]) -> list[int]:
    """Give for each layer, bottom first, the bytes of its files that the layers above hide."""
    view = MergedView(layers)
    return [_hidden_size(layer, number, view) for number, layer in enumerate(layers)]


def _hidden_size(layer: LayerIndex, number: int, view: MergedView) -> int:
    # Content that is gone under one name may still be seen under another that is linked to it.
    shared = {
        target
        for row, target in layer.links.items()
        if layer.kind(row) is Kind.HARDLINK and view.find(layer.paths[row]) == (number, row)
    }
    find = view.find
    return sum(
        size
        for row, (size, path) in enumerate(zip(layer.sizes, layer.paths, strict=True))
        if size and find(path) != (number, row) and path not in shared
    )


class Inefficiency(msgspec.Struct, frozen=True):
    """A path that several layers carry: how often, and how many bytes in all."""

    path: str
    count: int
    size: int


class Efficiency(msgspec.Struct, frozen=True):
    """dive's figures. ``score`` is 1 for an image that carries nothing twice."""

    score: float
    wasted_bytes: int
    total_bytes: int
    inefficiencies: tuple[Inefficiency, ...]

    @property
    def user_wasted(self) -> float | None:
        """Wasted bytes as a part of what the layers above the first hold; None if they hold nothing."""
        return self.wasted_bytes / self.user_bytes if self.user_bytes else None

    user_bytes: int = 0


class _Seen:
    __slots__ = ("count", "least", "total")

    def __init__(self) -> None:
        self.count = self.total = 0
        self.least = -1


def efficiency(layers: Sequence[LayerIndex]) -> Efficiency:
    """Compute dive's efficiency score and its list of wasteful paths, smallest first.

    Each path is counted with the smallest size that any layer gives it (nothing, where a file is deleted), against
    the sum over all layers. Deleting a directory counts the directory's whole content, once, under its own name.
    """
    seen: dict[str, _Seen] = {}
    repeated: list[str] = []
    below = MergedView()
    for layer in layers:
        for row, path in enumerate(layer.paths):
            kind = layer.kind(row)
            if kind is Kind.DIRECTORY and row + 1 < len(layer) and layer.paths[row + 1].startswith(path + "/"):
                continue  # dive looks at leaves only
            size = _deleted_size(below, path) if kind is Kind.WHITEOUT else layer.sizes[row]
            data = seen.setdefault(path, _Seen())
            data.count += 1
            data.total += size
            data.least = size if data.least < 0 else min(data.least, size)
            if data.count == 2:
                repeated.append(path)
        below.push(layer)
    found = sorted((Inefficiency(path, seen[path].count, seen[path].total) for path in repeated), key=lambda i: i.size)
    least, total = sum(data.least for data in seen.values()), sum(data.total for data in seen.values())
    sizes = [layer.content_size for layer in layers]
    return Efficiency(
        least / total if total else 1.0, sum(item.size for item in found), sum(sizes), tuple(found), sum(sizes[1:])
    )


def _deleted_size(below: MergedView, path: str) -> int:
    entry = below.get(path)
    if entry is None or entry.kind is not Kind.DIRECTORY:
        return 0
    return sum(
        layer.sizes[row]
        for number, layer in enumerate(below.layers)
        for row in layer.subtree(path)
        if below.find(layer.paths[row]) == (number, row)
    )
