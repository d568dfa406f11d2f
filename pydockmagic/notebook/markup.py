"""Static HTML that survives every viewer: escaping, a palette that reads on light and on dark, small building blocks.

An untrusted JupyterLab, GitHub, nbviewer and nbconvert agree on little: ``<details>``, ``<table>``, inline ``style``
(GitHub drops even that) and ``<img src="data:...">``. So meaning is in the text, Unicode bars stand in ``<code>``, and
styles only make it calmer. Colours are inherited or half transparent: the same markup lies on white and on black.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pydockmagic.commands.units import human_size

__all__ = [
    "ACCENT",
    "bar",
    "caption",
    "cell",
    "code",
    "details",
    "image",
    "muted",
    "pre",
    "size",
    "table",
    "tag",
    "unfolded",
]

ACCENT = "#3b82f6"
"""Legible as a fill on white and on near-black alike (contrast 3.7 and 5.1)."""
_LINE = "1px solid rgba(128,128,128,0.3)"
_CELL = "text-align:left;vertical-align:top;padding:4px 10px 4px 0"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def size(count: float) -> str:
    """Write bytes as docker's image tables do: decimal units, three significant digits (``683kB``, ``1.98MB``)."""
    return human_size(count, 3)


def bar(part: float, width: int = 20) -> str:
    """Draw ``part`` (0 to 1) of ``width`` characters with eighths of a block; anything above nothing is visible."""
    eighths = round(max(0.0, min(1.0, part)) * width * 8)
    if part > 0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def tag(name: str, content: str, style: str = "", **attributes: str) -> str:
    """Give one element; ``content`` is HTML already, attribute values are escaped here."""
    pairs = dict(attributes)
    if style:
        pairs["style"] = style
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in pairs.items())
    return f"<{name}{written}>{content}</{name}>"


def code(text: str, style: str = "") -> str:
    """Give text in a monospaced face, blanks kept without the help of a stylesheet."""
    kept = escape(text).replace("  ", "&nbsp; ")
    return tag("code", kept, f"background:none;padding:0;color:inherit;font-size:12px;{style}")


def pre(text: str, style: str = "") -> str:
    """Give text with its lines and blanks; a converted page takes a proportional face where none is named."""
    return tag("pre", escape(text), f"font:12px monospace;margin:0;{style}")


def unfolded(instruction: str) -> str:
    """Break an instruction of many lines again where its lines were joined: at the indentation they had."""
    return re.sub(r" {4,}", "\n    ", instruction)


def muted(content: str) -> str:
    """Give HTML that steps back behind its surroundings."""
    return tag("span", content, "opacity:0.72;font-size:12px")


def caption(title: str, notes: Iterable[str] = ()) -> str:
    """Give the heading of a display: its subject in bold, then short remarks. All are HTML already."""
    aside = " · ".join(note for note in notes if note)
    return tag("div", f"<b>{title}</b>" + (f" &nbsp;{muted(aside)}" if aside else ""), "margin:2px 0 6px 0")


def cell(content: str, *, right: bool = False, name: str = "td", style: str = "") -> str:
    """Give one table cell of HTML."""
    extra = "text-align:right;font-variant:tabular-nums;" if right else ""
    weight = "font-weight:600;font-size:12px;opacity:0.72;" if name == "th" else ""
    return tag(name, content, f"{_CELL};background:none;{extra}{weight}{style}")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Iterable[int] = (),
    styles: Mapping[int, str] | None = None,
) -> str:
    """Give a table of HTML cells with a line between rows; ``right`` are the columns of numbers."""
    numbers = set(right)
    styles = styles or {}

    def line(cells: Sequence[str], name: str) -> str:
        inside = "".join(
            cell(text, right=at in numbers, name=name, style=styles.get(at, "")) for at, text in enumerate(cells)
        )
        return tag("tr", inside, f"border-top:{_LINE};background:none" if name == "td" else "background:none")

    header = tag("thead", line([escape(text) for text in head], "th"), "border-bottom:none") if any(head) else ""
    body = tag("tbody", "".join(line(row, "td") for row in rows))
    return tag("table", header + body, "border-collapse:collapse;border:none;margin:0;font-size:13px")


def details(summary: str, inside: str, *, opened: bool = False) -> str:
    """Give a part that folds away; both are HTML."""
    flag = " open" if opened else ""
    style = "margin:0"
    return f'<details style="{style}"{flag}><summary style="cursor:pointer">{summary}</summary>{inside}</details>'


def image(svg: str, alt: str, width: int) -> str:
    """Give a drawing as an image: inline ``<svg>`` is dropped by viewers, a data URI is not."""
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<img alt="{escape(alt)}" width="{width}" style="max-width:100%;height:auto" '
        f'src="data:image/svg+xml;base64,{data}">'
    )
