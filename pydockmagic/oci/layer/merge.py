"""Stacking layers: what a container sees of them, and which layer each file comes from.

Works on indexes alone. A name of an upper layer hides the same name below; a whiteout hides it without giving
another; an opaque directory hides all that lower layers have in it; only directory upon directory merge.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from itertools import repeat

import msgspec

from .entry import Kind, LayerEntry, sort_key
from .index import IndexBuilder, LayerIndex

__all__ = ["MergedView", "squash"]

_MAX_LINKS = 40


class MergedView:
    """A stack of layers, bottom first, seen as one tree. Paths are relative, as in the indexes; "" is the root."""

    def __init__(self, layers: Sequence[LayerIndex] = ()) -> None:
        self.layers: list[LayerIndex] = []
        self._where: dict[str, tuple[int, int]] = {}
        self._order: list[str] | None = None
        for layer in layers:
            self.push(layer)

    def push(self, layer: LayerIndex) -> None:
        """Put one more layer on top."""
        self._order = None
        where = self._where
        number = len(self.layers)
        if layer.root_opaque:
            where.clear()
        if where:
            self._hide(layer)
        self.layers.append(layer)
        where.update(zip(layer.paths, zip(repeat(number), range(len(layer)), strict=False), strict=False))
        code = Kind.WHITEOUT.code
        if code in layer.kinds:
            for row, path in enumerate(layer.paths):
                if layer.kinds[row] == code:
                    del where[path]

    def _hide(self, layer: LayerIndex) -> None:
        """Remove what the new layer hides below it: all under names that are no mere directories in it."""
        where = self._where
        directory = Kind.DIRECTORY.code
        for row, path in enumerate(layer.paths):
            if layer.kinds[row] == directory and row not in layer.opaque:
                continue
            found = where.get(path)
            if found is None or self.layers[found[0]].kinds[found[1]] != directory:
                continue
            for number, lower in enumerate(self.layers):
                for below in lower.subtree(path):
                    name = lower.paths[below]
                    if where.get(name) == (number, below):
                        del where[name]

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, path: str) -> bool:
        return path in self._where

    def __iter__(self) -> Iterator[str]:
        """Yield all paths, sorted as indexes are."""
        if self._order is None:
            self._order = sorted(self._where, key=sort_key)
        return iter(self._order)

    def find(self, path: str) -> tuple[int, int] | None:
        """Give (number of the layer, row in its index) of a path, or None."""
        return self._where.get(path)

    def get(self, path: str) -> LayerEntry | None:
        """Give the entry that a container sees under a path, or None."""
        found = self._where.get(path)
        return None if found is None else self.layers[found[0]][found[1]]

    def content(self, path: str) -> LayerEntry | None:
        """Give the entry that holds a path's content: for a hard link, the file of its layer that it shares."""
        found = self._where.get(path)
        if found is None:
            return None
        layer = self.layers[found[0]]
        entry = layer[found[1]]
        if entry.kind is Kind.HARDLINK:
            return layer.get(entry.linkname) or entry
        return entry

    def entries(self) -> Iterator[LayerEntry]:
        """Yield all entries, sorted as indexes are."""
        for path in self:
            number, row = self._where[path]
            yield self.layers[number][row]

    def children(self, path: str) -> list[str]:
        """Give the names in a directory, sorted by bytes."""
        prefix = path + "/" if path else ""
        names = {
            name[len(prefix) :].partition("/")[0]
            for number, layer in enumerate(self.layers)
            for row in layer.subtree(path)
            if self._where.get(name := layer.paths[row]) == (number, row)
        }
        return sorted(names, key=os.fsencode)

    def resolve(self, path: str, *, follow_last: bool = True) -> str:
        """Give the path without symlinks that ``path`` means in a container; what does not exist stays as it stands.

        Raises ``OSError`` (ELOOP) for a circle and (ENOTDIR) for a path through something that is no directory.
        """
        done: list[str] = []
        pending = path.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                if done:
                    done.pop()
                continue
            here = "/".join([*done, name])
            entry = self.get(here)
            more = any(part not in {"", "."} for part in pending)
            if entry is not None and entry.kind is Kind.SYMLINK and (follow_last or more):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if entry.linkname.startswith("/"):
                    done.clear()
                pending += entry.linkname.split("/")[::-1]
                continue
            if entry is not None and more and entry.kind is not Kind.DIRECTORY:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            done.append(name)
        return "/".join(done)

    def to_index(self) -> LayerIndex:
        """Give the one layer that shows the same as the whole stack."""
        builder = IndexBuilder()
        firsts: dict[tuple[int, str], str] = {}
        for path in self:
            number, row = self._where[path]
            entry = _joined(self.layers[number], number, self.layers[number][row], firsts)
            builder.add(msgspec.structs.replace(entry, opaque=False) if entry.opaque else entry)
        return builder.index


def _joined(layer: LayerIndex, number: int, entry: LayerEntry, firsts: dict[tuple[int, str], str]) -> LayerEntry:
    """Give an entry for an index of several layers: the first visible name of shared content holds it."""
    if entry.kind is Kind.DIRECTORY or entry.kind is Kind.WHITEOUT:
        return entry
    if entry.kind is not Kind.HARDLINK:
        firsts.setdefault((number, entry.path), entry.path)
        return entry
    first = firsts.setdefault((number, entry.linkname), entry.path)
    if first != entry.path:
        return msgspec.structs.replace(entry, linkname=first)
    original = layer.get(entry.linkname)
    return entry if original is None else msgspec.structs.replace(original, path=entry.path)


def squash(layers: Sequence[LayerIndex]) -> LayerIndex:
    """Give the one layer that has the effect of several, on whatever lies below: whiteouts and opaque marks stay."""
    result = LayerIndex()
    for number, layer in enumerate(layers):
        result = layer if number == 0 else _squash_two(result, layer)
    return result


def _squash_two(lower: LayerIndex, upper: LayerIndex) -> LayerIndex:
    entries: dict[str, tuple[int, LayerEntry]] = {}
    root_opaque = lower.root_opaque or upper.root_opaque
    if not upper.root_opaque:
        entries = {entry.path: (0, entry) for entry in lower}
    for row, path in enumerate(upper.paths):
        entry = upper[row]
        below = entries.get(path)
        if entry.kind is Kind.DIRECTORY:
            opaque = entry.opaque
            if below is not None:
                # A whiteout or a file hid what is further down; the directory in its place must go on hiding it.
                opaque = opaque or below[1].opaque or below[1].kind is not Kind.DIRECTORY
            if opaque != entry.opaque:
                entry = msgspec.structs.replace(entry, opaque=opaque)
        if below is not None and (entry.kind is not Kind.DIRECTORY or upper[row].opaque):
            for hidden in lower.subtree(path):
                if entries.get(name := lower.paths[hidden], (1,))[0] == 0:
                    del entries[name]
        entries[path] = (1, entry)
    builder = IndexBuilder()
    builder.index.root_opaque = root_opaque
    firsts: dict[tuple[int, str], str] = {}
    for path in sorted(entries, key=sort_key):
        number, entry = entries[path]
        builder.add(_joined((lower, upper)[number], number, entry, firsts))
    return builder.index
