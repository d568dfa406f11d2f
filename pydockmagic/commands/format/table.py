"""Aligned columns as Go's text/tabwriter makes them with docker's settings: at least 10 wide, 3 blanks between.

A column is a run of neighbouring lines that have a cell there; the last cell of a line belongs to no column, so it is
never padded.
"""

from __future__ import annotations

__all__ = ["align", "ellipsis"]

_NARROWEST = 10
_PADDING = 3


def align(text: str, *, narrowest: int = _NARROWEST, padding: int = _PADDING) -> str:
    """Align the tab-separated cells of some lines."""
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[0] * (len(cells) - 1) for cells in lines]
    _measure(lines, widths, 0, len(lines), 0, narrowest, padding)
    written = []
    for cells, row in zip(lines, widths, strict=True):
        head = "".join(cell.ljust(width) for cell, width in zip(cells, row, strict=False))
        written.append(head + cells[-1])
    return "\n".join(written)


def _measure(
    lines: list[list[str]], widths: list[list[int]], start: int, end: int, column: int, narrowest: int, padding: int
) -> None:
    """Set the widths of a column and of the columns inside each of its blocks."""
    at = start
    while at < end:
        if len(lines[at]) - 1 <= column:
            at += 1
            continue
        stop = at
        while stop < end and len(lines[stop]) - 1 > column:
            stop += 1
        width = max(narrowest, *(len(lines[index][column]) + padding for index in range(at, stop)))
        for index in range(at, stop):
            widths[index][column] = width
        _measure(lines, widths, at, stop, column + 1, narrowest, padding)
        at = stop


def ellipsis(text: str, width: int) -> str:
    """Shorten a text to a number of display columns, the last of them ``…`` (wide characters count two)."""
    if width <= 0:
        return ""
    if len(text) <= width and text.isascii():
        return text
    columns = [_columns(char) for char in text]
    if sum(columns) <= width:
        return text
    if width == 1:
        return text[0]
    taken = 0
    for index, count in enumerate(columns):
        if taken + count > width - 1:
            return text[:index] + "…"
        taken += count
    return text


def _columns(char: str) -> int:
    from unicodedata import east_asian_width  # noqa: PLC0415 - hardly ever needed

    return 2 if east_asian_width(char) in {"W", "F"} else 1
