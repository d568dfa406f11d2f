"""Two images side by side: the layers that they share, and in what they differ. ``%layers A B``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.graph import Line, Node, Row, lay_out
from pydockmagic.notebook.widgets.layers import CHANGES, described
from pydockmagic.notebook.widgets.records import FileTable, Layer
from pydockmagic.notebook.widgets.sheet import Cell, Code, Section, Sheet, Soft, plural
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["Side", "compare_sheet", "shared_depth"]

_MOST_FILES = 200
_BOXED = 6


@dataclass(frozen=True)
class Side:
    """An image: its layers (those without content left out), bottom first, its configuration, its own layers' files.

    ``files`` are by chain id; without those of a layer, nothing is said of them.
    """

    name: str
    layers: Sequence[Layer]
    config: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileTable] = field(default_factory=dict)


def shared_depth(one: Sequence[Layer], other: Sequence[Layer]) -> int:
    """Count the layers at the bottom that two images have in common: a layer counts only on the same ones below."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if not mine.chain_id or mine.chain_id != theirs.chain_id:
            break
        count += 1
    return count


def compare_sheet(one: Side, other: Side, engine: str = "") -> Sheet:
    """Make the comparison."""
    depth = shared_depth(one.layers, other.layers)
    shared, mine, theirs = one.layers[:depth], one.layers[depth:], other.layers[depth:]
    nodes, lines = _drawn(one.name, other.name, shared, mine, theirs)
    sections = [
        _layers("Shared layers", shared, "at the bottom of both"),
        _layers(f"Only in {one.name}", mine, ""),
        _layers(f"Only in {other.name}", theirs, ""),
        _configuration(one, other),
        _files(one, other, mine, theirs),
    ]
    return Sheet(
        token=token_of("compare", one.name, other.name, *(layer.chain_id for layer in (*one.layers, *other.layers))),
        subject=f"{one.name} and {other.name}",
        sentence=_sentence(one.name, other.name, shared, mine, theirs),
        sections=[section for section in sections if section.rows],
        graph=lay_out(nodes, lines),
        engine=engine,
    )


def _size(layers: Sequence[Layer]) -> str:
    return markup.size(sum(layer.size for layer in layers))


def _sentence(one: str, other: str, shared: Sequence[Layer], mine: Sequence[Layer], theirs: Sequence[Layer]) -> str:
    if not mine and not theirs:
        return f"They have the same {plural(len(shared), 'layer')} ({_size(shared)})."
    below = f"They share the lowest {_layers_of(shared)}" if shared else "They share no layer"
    adds = [
        f"{name} adds {plural(len(own), 'layer')} ({_size(own)})" if own else f"{name} adds nothing"
        for name, own in ((one, mine), (other, theirs))
    ]
    return f"{below}; {', '.join(adds)}."


def _layers_of(layers: Sequence[Layer]) -> str:
    count = "layer" if len(layers) == 1 else f"{len(layers)} layers"
    return f"{count} ({_size(layers)})"


def _drawn(
    one: str, other: str, shared: Sequence[Layer], mine: Sequence[Layer], theirs: Sequence[Layer]
) -> tuple[list[Node], list[Line]]:
    nodes = []
    if shared:
        words = f"{plural(len(shared), 'layer')} of both images, {_size(shared)}: stored once."
        nodes.append(Node("shared", 0, "shared", _boxed(shared), "layers of both", words))
    for key, name, own in (("one", one, mine), ("other", other, theirs)):
        told = f"adds {plural(len(own), 'layer')}, {_size(own)}" if own else "adds nothing"
        nodes.append(Node(key, 1, name, _boxed(own), f"image, {told}", f"{name} {told}.", faint=not own))
    lines = [Line("shared", key, arrow=True) for key in ("one", "other")] if shared else []
    return nodes, lines


def _boxed(layers: Sequence[Layer]) -> list[Row]:
    """List layers in a box as they lie, the last one on top."""
    rows = [Row(_flat(described(layer), 34), markup.size(layer.size)) for layer in reversed(layers[-_BOXED:])]
    more = len(layers) - _BOXED
    return [*rows, Row(f"and {plural(more, 'layer')} below")] if more > 0 else rows


def _flat(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def _layers(title: str, layers: Sequence[Layer], about: str) -> Section:
    rows: list[list[Cell]] = [
        [Code(described(layer)), markup.size(layer.size), Soft(plural(layer.files, "file") if layer.files else "")]
        for layer in reversed(layers)
    ]
    said = ", ".join(part for part in (about, plural(len(layers), "layer"), _size(layers)) if part)
    return Section(title, ("layer, the last one on top", "size", ""), rows, summary=said, opened=True, right=(1,))


def _configuration(one: Side, other: Side) -> Section:
    keys = list(dict.fromkeys([*one.config, *other.config]))
    rows: list[list[Cell]] = [
        [key, Code(one.config.get(key, "")) if key in one.config else Soft("not set"),
         Code(other.config.get(key, "")) if key in other.config else Soft("not set")]
        for key in keys
        if one.config.get(key) != other.config.get(key)
    ]  # fmt: skip
    head = ("", one.name, other.name)
    return Section("What differs in the configuration", head, rows, summary=str(len(rows)), opened=True)


def _files(one: Side, other: Side, mine: Sequence[Layer], theirs: Sequence[Layer]) -> Section:
    ours, others = _last(one, mine), _last(other, theirs)
    paths = sorted(ours.keys() | others.keys())
    rows: list[list[Cell]] = []
    for path in paths:
        here, there = ours.get(path), others.get(path)
        if here == there:
            continue
        rows.append([Code(path), _told(here), _told(there)])
    total = len(rows)
    notes = [f"The first {_MOST_FILES} of {total:,} files."] if total > _MOST_FILES else []
    if any(
        layer.files and layer.chain_id not in side.files
        for side, own in ((one, mine), (other, theirs))
        for layer in own
    ):
        notes.append("Files of some layers are not known here.")
    notes.append("Not touched: as in the shared layers, or not there.")
    notes.append("Files of the same size may still differ: only layers with the same digest are the same for sure.")
    head = ("path", one.name, other.name)
    return Section(
        "Files that differ above the shared layers", head, rows[:_MOST_FILES], summary=f"{total:,}", notes=notes
    )


def _last(side: Side, layers: Sequence[Layer]) -> dict[str, tuple[str, int]]:
    """Give what the layers of one image alone come to: the last change of each path, and its size."""
    found: dict[str, tuple[str, int]] = {}
    for layer in layers:
        columns = side.files[layer.chain_id].columns if layer.chain_id in side.files else FileTable().columns
        for at, path in enumerate(columns.path):
            change = columns.change[at] if at < len(columns.change) else "A"
            if not path.endswith("/") and not (
                at < len(columns.kind) and columns.kind[at] in ("d", "dir", "directory")
            ):
                found["/" + path.lstrip("/")] = (change, columns.size[at])
    return found


def _told(change: tuple[str, int] | None) -> Cell:
    if change is None:
        return Soft("not touched")
    letter, size = change
    word = CHANGES.get(letter, letter)
    return word if letter == "D" else f"{word}, {markup.size(size)}"
