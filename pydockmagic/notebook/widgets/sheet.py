"""A sheet: what most displays are made of. A sentence, perhaps a picture, and sections of tables that fold away.

One description gives three forms: text, static HTML, and (``sheet_live``) the live view. What a cell means is in its
words; bars and pictures only repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import zip_longest

from pydockmagic.notebook import markup
from pydockmagic.notebook.widgets.graph import MOST_BOXES, Graph, Line, Node, describe, draw, lay_out

__all__ = ["Bar", "Code", "Section", "Sheet", "Soft", "cell_text", "picture", "plural"]

_BAR = 16
_WIDEST = 72
_MOST_ROWS = 60
_MOST_FOLDED = 16


@dataclass(frozen=True)
class Code:
    """A cell of text as it stands in a file or a terminal."""

    text: str


@dataclass(frozen=True)
class Soft:
    """A cell that steps back: a remark."""

    text: str


@dataclass(frozen=True)
class Bar:
    """A cell that shows ``share`` (0 to 1) of a whole; ``text`` says it in words."""

    text: str
    share: float


Cell = str | Code | Soft | Bar


@dataclass(frozen=True)
class Section:
    """One part of a sheet: a heading, a remark beside it, a table, and sentences below it."""

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    summary: str = ""
    opened: bool = False
    notes: Sequence[str] = ()
    right: Sequence[int] = ()
    """Columns of numbers."""


@dataclass(frozen=True)
class Sheet:
    """A display. ``token`` names it: the same thing looked at twice has the same one."""

    token: str
    subject: str
    sentence: str
    sections: Sequence[Section] = ()
    graph: Graph | None = None
    engine: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
    """What cannot be known here, and other remarks on the whole."""

    def __str__(self) -> str:
        """Write the sheet as monospaced text."""
        lines = [f"{self.subject}: {self.sentence}"]
        for section in self.sections:
            about = f" ({section.summary})" if section.summary else ""
            lines += ["", f"{section.title}{about}"]
            table = _text_table(section)
            # what is folded away elsewhere is told in short in a terminal
            most = len(table) if section.opened else _MOST_FOLDED
            lines += [f"  {line}" for line in table[:most]]
            lines += [f"  ... and {len(table) - most} more"] if len(table) > most else []
            lines += [f"  {note}" for note in section.notes]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines)

    def html(self) -> str:
        """Write the sheet as static HTML."""
        about = markup.tag("div", escape(self.sentence), "margin:0 0 6px 0;font-size:13px;max-width:920px")
        picture = ""
        if self.graph is not None and self.graph.nodes:
            picture = markup.image(draw(self.graph), describe(self.graph), self.graph.width)
        parts = "".join(_section(each) for each in self.sections)
        after = "".join(markup.tag("div", markup.muted(escape(note))) for note in self.notes)
        inside = markup.caption(escape(self.subject), [escape(self.engine)]) + about + picture + parts + after
        return markup.tag("div", inside, class_=f"pydock pydock-{self.token}")


def picture(nodes: Sequence[Node], lines: Sequence[Line]) -> tuple[Graph | None, list[str]]:
    """Lay out a picture; of too many boxes there is none, but a note that says so."""
    if len(nodes) <= MOST_BOXES:
        return lay_out(nodes, lines), []
    return None, [f"There is no picture: {len(nodes)} boxes are too many. Named ones alone have one."]


def plural(count: int, word: str, many: str = "") -> str:
    """Write ``1 layer`` or ``2 layers``."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def cell_text(cell: Cell) -> str:
    """Give the words of a cell."""
    return cell if isinstance(cell, str) else cell.text


def _section(section: Section) -> str:
    title = f"<b>{escape(section.title)}</b>" + (
        f" &nbsp;{markup.muted(escape(section.summary))}" if section.summary else ""
    )
    rows = [[_cell(each) for each in row] for row in section.rows[:_MOST_ROWS]]
    body = markup.table(section.head, rows, right=section.right) if rows else ""
    left = len(section.rows) - len(rows)
    notes = [*section.notes, *([f"and {left:,} more"] if left > 0 else [])]
    below = "".join(markup.tag("div", markup.muted(escape(note))) for note in notes)
    inside = markup.tag("div", body + below, "margin:2px 0 8px 14px")
    return markup.details(title, inside, opened=section.opened)


def _cell(cell: Cell) -> str:
    if isinstance(cell, Code):
        return markup.code(cell.text, "white-space:pre-wrap;overflow-wrap:anywhere;")
    if isinstance(cell, Soft):
        return markup.muted(escape(cell.text))
    if isinstance(cell, Bar):
        drawn = markup.bar(cell.share, _BAR) + "·" * max(0, _BAR - len(markup.bar(cell.share, _BAR)))
        return markup.code(drawn, f"color:{markup.ACCENT};white-space:nowrap;") + " " + escape(cell.text)
    return escape(cell).replace("\n", "<br>")


def _text_table(section: Section) -> list[str]:
    written = [list(section.head)] if any(section.head) else []
    written += [[_cut(_plain(cell)) for cell in row] for row in section.rows]
    widths = [max(len(text) for text in column) for column in zip_longest(*written, fillvalue="")]
    return [
        "  ".join(
            f"{text:>{width}}" if at in section.right else f"{text:<{width}}"
            for at, (text, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in written
    ]


def _plain(cell: Cell) -> str:
    if isinstance(cell, Bar):
        return f"{markup.bar(cell.share, _BAR):<{_BAR}} {cell.text}"
    return cell_text(cell)


def _cut(text: str) -> str:
    flat = text.replace("\n", ", ")
    return flat if len(flat) <= _WIDEST else flat[: _WIDEST - 1] + "…"
