"""Images as a tree: who is built on whom, and which layers lie on the disk only once. ``%image tree``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.graph import Line, Node, Row
from pydockmagic.notebook.widgets.sheet import Cell, Code, Section, Sheet, Soft, picture, plural
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["ImageLayer", "ImageSeen", "tree_sheet"]

_SHOWN = 3


@dataclass(frozen=True)
class ImageLayer:
    """A layer: its digest, the bytes it adds, the instruction that made it."""

    diff_id: str
    size: int = 0
    made_by: str = ""


@dataclass(frozen=True)
class ImageSeen:
    """An image: its names (or the start of its id) and its layers, bottom first."""

    names: tuple[str, ...]
    layers: tuple[ImageLayer, ...]


@dataclass
class _Branch:
    """Layers that belong together: the same images have all of them. ``images`` end at the last of them."""

    layers: list[ImageLayer]
    images: list[str] = field(default_factory=list)
    below: list[_Branch] = field(default_factory=list)
    """What is built on them."""

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    def every(self) -> Iterator[_Branch]:
        yield self
        for branch in self.below:
            yield from branch.every()

    def on_top(self) -> list[str]:
        return [name for branch in self.every() for name in branch.images]


def tree_sheet(images: Sequence[ImageSeen], names: Sequence[str] = (), engine: str = "") -> Sheet:
    """Make the display of images by the layers that they share."""
    roots = _grown(images)
    branches = [branch for root in roots for branch in root.every()]
    for branch in branches:  # names before the ids of images that have lost theirs
        branch.images.sort(key=lambda name: re.fullmatch("[0-9a-f]{12}", name) is not None)
    once = sum(branch.size for branch in branches)
    alone = sum(layer.size for image in images for layer in image.layers)
    saved = f"; without sharing they would take {markup.size(alone)}" if alone > once else ""
    rows: list[list[Cell]] = []
    nodes: list[Node] = []
    lines: list[Line] = []
    for root in roots:
        _listed(root, 0, 0, rows)
        _drawn(root, 0, nodes, lines)
    drawn, notes = picture(nodes, lines)
    return Sheet(
        token=token_of("images", engine, *names),
        subject="Images by layers",
        sentence=f"{plural(len(images), 'image')} in {markup.size(once)} of layers{saved}.",
        sections=[
            Section(
                "Tree",
                ("image", "adds", "layers", "together", "built on it"),
                rows,
                opened=True,
                right=(1, 3),
                notes=[
                    "An image has its own layers on top of those of the one it stands under.",
                    "A layer that several images share is stored once.",
                    "In the picture, arrows lead from a base to what is built on it.",
                ],
            )
        ]
        if rows
        else [],
        graph=drawn,
        notes=notes,
        engine=engine,
    )


def _grown(images: Sequence[ImageSeen]) -> list[_Branch]:
    """Make the tree: split where the layers of images part, or where one ends."""
    root = _Branch([])
    for image in images:
        _plant(root, list(image.layers), image.names)
    return root.below + ([_Branch([], root.images)] if root.images else [])


def _plant(branch: _Branch, layers: list[ImageLayer], names: Sequence[str]) -> None:
    while layers:
        follows = next((each for each in branch.below if each.layers[0].diff_id == layers[0].diff_id), None)
        if follows is None:
            branch.below.append(_Branch(layers, list(names)))
            return
        same = _common(follows.layers, layers)
        if same < len(follows.layers):
            rest = _Branch(follows.layers[same:], follows.images, follows.below)
            follows.layers, follows.images, follows.below = follows.layers[:same], [], [rest]
        branch, layers = follows, layers[same:]
    branch.images += names


def _common(one: Sequence[ImageLayer], other: Sequence[ImageLayer]) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine.diff_id != theirs.diff_id:
            break
        count += 1
    return count


def _listed(branch: _Branch, depth: int, beneath: int, rows: list[list[Cell]]) -> None:
    tree = "   " * (depth - 1) + "└─ " if depth else ""
    name = ", ".join(branch.images) or "(layers of no image of their own)"
    instructions = [_flat(layer.made_by) for layer in branch.layers]
    more = len(instructions) - _SHOWN
    told = "\n".join([*instructions[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])
    built = [each for below in branch.below for each in below.on_top()]
    rows.append(
        [
            Code(tree + name),
            markup.size(branch.size),
            Code(told),
            markup.size(beneath + branch.size),
            Soft(", ".join(built)),
        ]
    )
    for below in branch.below:
        _listed(below, depth + 1, beneath + branch.size, rows)


def _drawn(branch: _Branch, depth: int, nodes: list[Node], lines: list[Line]) -> str:
    key = " ".join([*(layer.diff_id for layer in branch.layers), *branch.images])
    title = branch.images[0] if branch.images else "shared layers"
    rows = [Row(_flat(layer.made_by, 30), markup.size(layer.size)) for layer in branch.layers[-_SHOWN:]]
    if len(branch.layers) > _SHOWN:
        rows.insert(0, Row(f"{len(branch.layers) - _SHOWN} layers below"))
    built = [each for below in branch.below for each in below.on_top()]
    also = f", also called {', '.join(branch.images[1:])}," if len(branch.images) > 1 else ""
    words = f"{title}{also} adds {plural(len(branch.layers), 'layer')}, {markup.size(branch.size)}."
    words += f" On it are built {', '.join(built)}." if built else ""
    nodes.append(Node(key, depth, title, rows, "image" if branch.images else "layers", words, faint=not branch.images))
    for below in branch.below:
        lines.append(Line(key, _drawn(below, depth + 1, nodes, lines), arrow=True))
    return key


def _flat(text: str, most: int = 60) -> str:
    flat = " ".join(text.split()) or "(not known)"
    return flat if len(flat) <= most else flat[: most - 1] + "…"
