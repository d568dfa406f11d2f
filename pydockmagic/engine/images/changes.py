"""What a layer does to those below it.

Which of its entries are new, which change or delete something, and how many bytes of each lower layer nobody sees any
more because of it. Worked out once, when a layer is made, so that showing an image of 100,000 files needs no comparing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pydockmagic.oci.layer.entry import Kind
from pydockmagic.oci.layer.index import LayerIndex

__all__ = ["Changes", "compare"]

_ADDED, _CHANGED, _DELETED = b"ACD"

_MANY = 500
"""From so many look-ups on, a table of a layer's paths costs less than searching."""

Below = Sequence[tuple[str, LayerIndex]]


class Changes(msgspec.Struct, frozen=True):
    """``kinds``: one of ``A``, ``C``, ``D`` for each row of the layer's index. ``hidden``: chain id -> bytes."""

    kinds: bytes
    hidden: dict[str, int]


def compare(index: LayerIndex, below: Below) -> Changes:
    """Compare a layer with those below it (chain id and index, topmost first)."""
    return _Comparison(index, below).run()


class _Comparison:
    """One layer against those below. Rows of lower layers are (number of the layer, row), topmost layer first."""

    def __init__(self, index: LayerIndex, below: Below) -> None:
        self._index = index
        self._chains = [chain for chain, _ in below]
        self._layers = [layer for _, layer in below]
        self._blocking: list[dict[str, bool]] = [{} for _ in below]
        self._gone: set[tuple[int, int]] = set()

    def run(self) -> Changes:
        index, layers = self._index, self._layers
        kinds = bytearray(len(index))
        if len(index) > _MANY:
            for layer in layers:
                layer.positions()
        new_directory = ""  # everything below a directory that is new is new
        for row, path in enumerate(index.paths):
            kind = index.kind(row)
            if new_directory and path.startswith(new_directory):
                kinds[row] = _DELETED if kind is Kind.WHITEOUT else _ADDED
                continue
            found = self._find(path) if layers else None
            if kind is Kind.WHITEOUT:
                kinds[row] = _DELETED
            elif found is None:
                kinds[row] = _ADDED
                if kind is Kind.DIRECTORY:
                    new_directory = path + "/"
            else:
                kinds[row] = _CHANGED
            if found is not None:
                self._hide(path, found, keeps_entries=kind is Kind.DIRECTORY and row not in index.opaque)
        if index.root_opaque:
            self._hide_below("")
        return Changes(bytes(kinds), self._hidden_bytes())

    def _hide(self, path: str, found: tuple[int, int], *, keeps_entries: bool) -> None:
        """Note what an entry at ``path`` hides; a plain directory over another shows what is in both."""
        number, row = found
        if self._layers[number].kind(row) is not Kind.DIRECTORY:
            self._gone.add(found)
        elif not keeps_entries:
            self._hide_below(path)

    def _hide_below(self, directory: str) -> None:
        seen: set[str] = set()
        for number, layer in enumerate(self._layers):
            for row in layer.subtree(directory):
                path = layer.paths[row]
                if path not in seen:
                    seen.add(path)
                    if self._find(path) == (number, row):
                        self._gone.add((number, row))

    def _hidden_bytes(self) -> dict[str, int]:
        """Add up by layer. Content with several names is gone when the last of them is."""
        hidden: dict[str, int] = {}
        for number in {number for number, _ in self._gone}:
            layer = self._layers[number]
            names = _hard_links(layer)
            firsts = {names.firsts.get(row, row) for other, row in self._gone if other == number}
            total = sum(
                layer.sizes[first]
                for first in firsts
                if all(
                    (number, row) in self._gone or self._find(layer.paths[row]) != (number, row)
                    for row in (first, *names.others.get(first, ()))
                )
            )
            if total:
                hidden[self._chains[number]] = total
        return hidden

    def _find(self, path: str) -> tuple[int, int] | None:
        """Give the row that is seen at a path below this layer, or None."""
        parent = path.rpartition("/")[0]
        for number, layer in enumerate(self._layers):
            row = layer.find(path)
            if row is not None:
                return None if layer.kind(row) is Kind.WHITEOUT else (number, row)
            if self._blocks(number, parent):
                return None
        return None

    def _blocks(self, number: int, directory: str) -> bool:
        """Tell whether a layer hides everything that lower layers have in a directory."""
        known = self._blocking[number]
        blocks = known.get(directory)
        if blocks is None:
            layer = self._layers[number]
            if not directory:
                blocks = layer.root_opaque
            else:
                row = layer.find(directory)
                blocks = (row is not None and (layer.kind(row) is not Kind.DIRECTORY or row in layer.opaque)) or (
                    self._blocks(number, directory.rpartition("/")[0])
                )
            known[directory] = blocks
        return blocks


class _HardLinks(NamedTuple):
    """``firsts``: row of a link -> row that has the content; ``others``: the other way round."""

    firsts: dict[int, int]
    others: dict[int, list[int]]


def _hard_links(layer: LayerIndex) -> _HardLinks:
    links = _HardLinks({}, {})
    for row, target in layer.links.items():
        if layer.kind(row) is Kind.HARDLINK and (first := layer.find(target)) is not None:
            links.firsts[row] = first
            links.others.setdefault(first, []).append(row)
    return links
