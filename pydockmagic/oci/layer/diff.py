"""What a layer changes, and how two trees differ: added, changed, deleted.

The kinds are those of ``docker diff``: A, C, D.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .entry import Kind, LayerEntry, sort_key
from .index import LayerIndex
from .merge import MergedView

__all__ = ["Change", "change_kinds", "changes", "compare"]


class Change(msgspec.Struct, frozen=True):
    """One changed path. ``entry`` is what is there now, or for a deleted path what was there."""

    kind: str
    path: str
    entry: LayerEntry


def change_kinds(layer: LayerIndex, below: MergedView) -> str:
    """Give one letter for each row of a layer's index, against the stack of layers below it."""
    whiteout = Kind.WHITEOUT
    return "".join(
        "D" if layer.kind(row) is whiteout else "C" if path in below else "A" for row, path in enumerate(layer.paths)
    )


def changes(layer: LayerIndex, below: MergedView) -> list[Change]:
    """Give what a layer changes, sorted by path; of a deleted directory only its own name.

    What an opaque directory hides without bringing it anew is deleted too. A whiteout of nothing changes nothing.
    """
    found: list[Change] = []
    kinds = change_kinds(layer, below)
    if layer.root_opaque:
        found += _hidden("", layer, below)
    hiding = "" if layer.root_opaque else None
    for row, path in enumerate(layer.paths):
        entry = layer[row]
        if hiding and not path.startswith(hiding):
            hiding = None
        if kinds[row] == "D":
            hidden = below.get(path)
            if hidden is not None:
                found.append(Change("D", path, hidden))
            continue
        found.append(Change(kinds[row], path, entry))
        if entry.opaque and hiding is None:
            hiding = path + "/"
        if hiding is not None and kinds[row] == "C" and entry.kind is Kind.DIRECTORY:
            found += _hidden(path, layer, below)
    return sorted(found, key=lambda change: sort_key(change.path))


def _hidden(path: str, layer: LayerIndex, below: MergedView) -> Iterator[Change]:
    """Yield what is in a directory below and not in the one that hides it."""
    for name in below.children(path):
        child = f"{path}/{name}" if path else name
        hidden = below.get(child)
        if hidden is not None and layer.find(child) is None:
            yield Change("D", child, hidden)


def compare(old: MergedView, new: MergedView) -> Iterator[Change]:
    """Yield how one tree differs from another, sorted by path; of a deleted directory only its own name."""
    gone = ""
    for path in sorted({*old, *new}, key=sort_key):
        before, after = old.get(path), new.get(path)
        if after is None:
            assert before is not None
            if not (gone and path.startswith(gone)):
                gone = path + "/"
                yield Change("D", path, before)
        elif before is None:
            yield Change("A", path, after)
        elif _differs(old, new, path):
            yield Change("C", path, after)


def _differs(old: MergedView, new: MergedView, path: str) -> bool:
    """Compare by all that an index holds: content of the same size and time is taken to be the same."""
    before, after = old.find(path), new.find(path)
    assert before is not None
    assert after is not None
    if old.layers[before[0]] is new.layers[after[0]]:
        return before[1] != after[1]
    return _plain(old, path) != _plain(new, path)


def _plain(view: MergedView, path: str) -> LayerEntry:
    entry = view.content(path)
    assert entry is not None
    return msgspec.structs.replace(entry, path=path, opaque=False)
