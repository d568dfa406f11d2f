"""The stack of layers of an image or a container, as text and as static HTML; the live view is ``layers_live``.

Top layer first, as a stack lies: what was written last is what a container sees first. Steps that only changed the
configuration (``CMD``, ``ENV``) made no layer: they stand between the layers, without a bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import msgspec

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.records import FileColumns, FileTable, Layer, LayerStack
from pydockmagic.notebook.widgets.tokens import token_of

__all__ = ["CHANGES", "KINDS", "LayersView", "described", "notes", "place"]

CHANGES = {"A": "added", "C": "changed", "D": "deleted"}
KINDS = {"d": "/", "dir": "/", "directory": "/", "l": "@", "link": "@", "symlink": "@"}
_ROWS = 12
_BAR = 16


@dataclass(frozen=True)
class LayersView:
    """What ``%layers`` shows: the stack, the first files of each layer, and who was asked."""

    subject: str
    """What the person asked for: an image reference or a container name."""
    stack: LayerStack
    files: Mapping[str, FileTable] = field(default_factory=dict)
    """By chain id (empty for the writable layer); largest files first."""
    engine: str = ""
    note: str = ""
    """A remark on what this engine cannot tell."""

    @property
    def layers(self) -> list[Layer]:
        """The rows, top first."""
        return list(reversed(self.stack.layers))

    @property
    def depth(self) -> int:
        """How many layers there are, configuration steps not counted."""
        return sum(not layer.empty for layer in self.stack.layers)

    @property
    def wasted(self) -> int:
        """Bytes that lie in a layer but that no container sees, because a later layer replaced or deleted them."""
        return sum(layer.wasted for layer in self.stack.layers)

    @property
    def total(self) -> int:
        """Bytes of all layers together, the writable one included."""
        return sum(layer.size for layer in self.stack.layers)

    @property
    def largest(self) -> int:
        """Bytes of the largest layer: the full length of a bar."""
        return max((layer.size for layer in self.stack.layers), default=0)

    @property
    def token(self) -> str:
        """A name made from what is shown: the same stack has the same one in every run, another stack another."""
        shown = [(layer.chain_id, layer.size, layer.instruction, layer.shared_by) for layer in self.stack.layers]
        return token_of("layers", self.subject, msgspec.json.encode(shown).decode())

    def summary(self) -> str:
        """Give the line over the stack: how many layers, how many bytes."""
        layers = f"{self.depth} layer" + ("" if self.depth == 1 else "s")
        wasted = f", {markup.size(self.wasted)} wasted" if self.wasted else ""
        return f"{layers}, {markup.size(self.total)}{wasted}"

    def __str__(self) -> str:
        """Write the stack as monospaced text."""
        lines = [f"{self.subject}: {self.summary()}"]
        for layer in self.layers:
            share = layer.size / self.largest if self.largest else 0
            sizes = "-" if layer.empty else markup.size(layer.size)
            said = ", ".join([place(layer), *notes(layer, self.stack)]).strip(", ")
            drawn = f"{sizes:>7} {markup.bar(share, _BAR):<{_BAR}}"
            lines.append(f"{drawn} {_cut(described(layer), 60):<60} {said}".rstrip())
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def html(self) -> str:
        """Write the stack as static HTML: a table, each layer's files folded below its instruction."""
        rows = [self._row(layer) for layer in self.layers]
        head = ("", "Layer, the last one on top", "Size", "", "Dockerfile", "")
        body = markup.table(head, rows, right=[2], styles=dict.fromkeys((2, 3, 4), "white-space:nowrap;"))
        about = [escape(self.summary()), escape(self.engine)]
        after = markup.muted(escape(self.note)) if self.note else ""
        inside = markup.caption(f"Layers of {escape(self.subject)}", about) + body + after
        return markup.tag("div", inside, class_=f"pydock pydock-{self.token}")

    def _row(self, layer: Layer) -> list[str]:
        share = layer.size / self.largest if self.largest else 0
        text = markup.code(described(layer), "white-space:pre-wrap;overflow-wrap:anywhere;")
        listing = self.files.get(layer.chain_id)
        if layer.empty:
            first, sizes, drawn = markup.tag("span", text, "opacity:0.72"), "", markup.muted("no layer")
        else:
            first = markup.details(text, _files(listing)) if listing and listing.total else text
            sizes, drawn = (
                escape(markup.size(layer.size)),
                markup.code(markup.bar(share, _BAR), f"color:{markup.ACCENT};"),
            )
        said = markup.muted("<br>".join(escape(note) for note in notes(layer, self.stack)))
        mark = "" if layer.empty else ("◇" if layer.writable else "◆")
        return [mark, first, sizes, drawn, markup.muted(escape(place(layer))), said]


def described(layer: Layer) -> str:
    """Give the instruction that made a layer, in the words of the Dockerfile where they are known."""
    if layer.writable:
        return layer.instruction or "writable layer of the container"
    text = layer.instruction or layer.created_by
    for prefix in ("/bin/sh -c #(nop) ", "/bin/sh -c #(nop)"):
        text = text.removeprefix(prefix)
    if text.startswith("/bin/sh -c "):
        text = "RUN " + text.removeprefix("/bin/sh -c ")
    return markup.unfolded(text.strip()) or "(unknown instruction)"


def place(layer: Layer) -> str:
    """Give the Dockerfile lines of a layer: ``line 3``, ``lines 3-5`` or nothing."""
    if not layer.first_line:
        return ""
    if not layer.last_line or layer.last_line == layer.first_line:
        return f"line {layer.first_line}"
    return f"lines {layer.first_line}-{layer.last_line}"


def notes(layer: Layer, stack: LayerStack) -> list[str]:
    """Say what is special about a layer: who shares it, what in it is wasted."""
    said = []
    if layer.writable:
        said.append("writable, gone with the container")
    others = [name for name in layer.shared_by if name not in (stack.names or ())]
    if others and not layer.empty:
        shown = ", ".join(others[:2]) + (f" and {len(others) - 2} more" if len(others) > 2 else "")
        said.append(f"shared with {shown}")
    if layer.wasted:
        said.append(f"{markup.size(layer.wasted)} wasted")
    return said


def _files(listing: FileTable) -> str:
    columns = listing.columns
    rows = []
    for at in range(min(_ROWS, len(columns.path))):
        change = columns.change[at] if at < len(columns.change) else "A"
        rows.append([_change(change), escape(markup.size(columns.size[at])), markup.code(_path(columns, at))])
    more = listing.total - len(rows)
    left = markup.muted(f"and {more:,} smaller") if more > 0 else ""
    inside = markup.table(("", "", ""), rows, right=[1]) + left
    return markup.tag("div", inside, "margin:2px 0 6px 14px")


def _change(change: str) -> str:
    return f"<b>{escape(change)}</b> {markup.muted(CHANGES.get(change, ''))}"


def _path(columns: FileColumns, at: int) -> str:
    paths, kinds, targets = columns.path, columns.kind, columns.target
    path = "/" + paths[at].lstrip("/")
    mark = "/" if at < len(kinds) and KINDS.get(kinds[at]) == "/" else ""
    target = targets[at] if at < len(targets) else None
    return path + mark + (f" -> {target}" if target else "")


def _cut(text: str, width: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
