"""Graphs of boxes in columns: networks and containers, volumes, the stages of a build.

A box has a title and rows, and a line may begin or end at a row: so what would be a label on a line (an address, a
path, a port) stands in a row, and labels never lie on each other. One geometry serves the static drawing here and the
live one in ``sheet.js``; every box also says in words what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from pydockmagic.notebook.widgets.ink import BOX, LINE, SOFT, TEXT, begin

__all__ = ["MOST_BOXES", "Box", "Graph", "Line", "Node", "Row", "describe", "draw", "lay_out"]

MOST_BOXES = 48
"""More than that nobody finds a way through."""
_TITLE, _ROW, _PAD, _GAP, _BETWEEN, _MARGIN = 22, 17, 9, 16, 96, 8
_LETTER, _MONO = 7.9, 6.7
_NARROW, _WIDE = 120, 330


@dataclass(frozen=True)
class Row:
    """A line of text in a box: ``text`` on the left, ``aside`` on the right."""

    text: str
    aside: str = ""


@dataclass(frozen=True)
class Node:
    """A box to be placed in a column. ``words`` say in a sentence what the picture shows of it."""

    key: str
    column: int
    title: str
    rows: Sequence[Row] = ()
    about: str = ""
    """What it is, above the title: ``container``, ``network``."""
    words: str = ""
    faint: bool = False
    """Drawn with a broken border: it does not run, nobody uses it."""


@dataclass(frozen=True)
class Line:
    """A line between two boxes, at a row of each or (-1) at the title."""

    source: str
    target: str
    source_row: int = -1
    target_row: int = -1
    arrow: bool = False


@dataclass(frozen=True)
class Box:
    """A node with its place: the upper left corner and the size."""

    node: Node
    x: float
    y: float
    width: float
    height: float

    def level(self, row: int) -> float:
        """Give the height at which a line meets a row."""
        if isinstance(self.node, _Waypoint):
            return self.y + self.height / 2
        if row < 0:
            return self.y + _PAD + _label(self.node) + _TITLE / 2 - 2
        return self.y + _PAD + _label(self.node) + _TITLE + row * _ROW + _ROW / 2


@dataclass(frozen=True)
class Graph:
    """Boxes and lines in a drawing."""

    nodes: tuple[Box, ...] = ()
    lines: tuple[tuple[Line, str], ...] = ()
    """Each with the path to draw."""
    width: int = 0
    height: int = 0


def lay_out(nodes: Iterable[Node], lines: Iterable[Line]) -> Graph:
    """Place boxes in their columns, each near those that it is connected to; lines lead around what they pass."""
    nodes = list(nodes)
    known = {node.key: node for node in nodes}
    lines = [line for line in lines if line.source in known and line.target in known]
    ways = [_way(at, line, known) for at, line in enumerate(lines)]
    columns: dict[int, list[Node]] = {}
    for node in (*nodes, *(point for way in ways for point in way)):
        columns.setdefault(node.column, []).append(node)
    links = [link for line, way in zip(lines, ways, strict=True) for link in _links(line, way)]
    boxes: dict[str, Box] = {}
    x = float(_MARGIN)
    tallest = max((_stacked(column) for column in columns.values()), default=0)
    for at in sorted(columns):
        column = _ordered(columns[at], boxes, links)
        width = max(_width(node) for node in column)
        y = _MARGIN + (tallest - _stacked(column)) / 2
        for node in column:
            boxes[node.key] = Box(node, x, y, width, _height(node))
            y += _height(node) + _GAP
        x += width + _BETWEEN
    paths = tuple((line, _path(_links(line, way), boxes)) for line, way in zip(lines, ways, strict=True))
    width = int(x - _BETWEEN + _MARGIN) if boxes else 0
    shown = tuple(box for box in boxes.values() if not isinstance(box.node, _Waypoint))
    return Graph(shown, paths, width, int(tallest + 2 * _MARGIN) if boxes else 0)


class _Waypoint(Node):
    """A place that a line passes in a column where it neither begins nor ends."""


def _way(at: int, line: Line, known: Mapping[str, Node]) -> list[_Waypoint]:
    first, last = known[line.source].column, known[line.target].column
    return [_Waypoint(f"line {at} in column {column}", column, "") for column in range(first + 1, last)]


def _links(line: Line, way: Sequence[Node]) -> list[Line]:
    """Cut a line into the parts between neighbouring columns."""
    stops = [(line.source, line.source_row), *((point.key, -1) for point in way), (line.target, line.target_row)]
    return [Line(one, other, row, to) for (one, row), (other, to) in pairwise(stops)]


def describe(graph: Graph) -> str:
    """Say in words what the drawing shows."""
    return " ".join(box.node.words or box.node.title for box in graph.nodes)


def draw(graph: Graph) -> str:
    """Draw as SVG text."""
    parts = [begin(graph.width, graph.height)]
    for line, path in graph.lines:
        end = ' marker-end="url(#a)"' if line.arrow else ""
        parts.append(f'<path {LINE} d="{path}" stroke-width="1.3"{end}/>')
    parts += [_draw_box(box) for box in graph.nodes]
    return "".join(parts) + "</svg>"


def _label(node: Node) -> float:
    return 14 if node.about else 0


def _height(node: Node) -> float:
    if isinstance(node, _Waypoint):
        return 6
    return 2 * _PAD + _label(node) + _TITLE + len(node.rows) * _ROW - (0 if node.rows else 4)


def _width(node: Node) -> float:
    if isinstance(node, _Waypoint):
        return 0
    wanted = [len(node.title) * _LETTER + 6]
    wanted += [(len(row.text) + (len(row.aside) + 2 if row.aside else 0)) * _MONO for row in node.rows]
    return float(min(_WIDE, max(_NARROW, *wanted) + 2 * _PAD + 4))


def _stacked(column: Sequence[Node]) -> float:
    return sum(_height(node) for node in column) + _GAP * (len(column) - 1)


def _ordered(column: Sequence[Node], placed: Mapping[str, Box], lines: Sequence[Line]) -> list[Node]:
    """Order a column by where the boxes stand that its own are connected to; as given where there are none."""

    def height(node: Node) -> float:
        levels = []
        for line in lines:
            if line.target == node.key and line.source in placed:
                levels.append(placed[line.source].level(line.source_row))
            elif line.source == node.key and line.target in placed:
                levels.append(placed[line.target].level(line.target_row))
        return sum(levels) / len(levels) if levels else float("inf")

    return sorted(column, key=height)


def _path(links: Sequence[Line], boxes: Mapping[str, Box]) -> str:
    """Draw a line through all its parts."""
    return "".join(_part(link, boxes, begins=at == 0) for at, link in enumerate(links))


def _part(line: Line, boxes: Mapping[str, Box], *, begins: bool) -> str:
    source, target = boxes[line.source], boxes[line.target]
    y1, y2 = source.level(line.source_row), target.level(line.target_row)
    if source.node.column == target.node.column:  # out on the right and in again, around what lies between
        x = source.x + source.width
        reach = min(_BETWEEN - 14, 18 + abs(y2 - y1) / 6)
        return f"M{x:.0f} {y1:.1f}C{x + reach:.0f} {y1:.1f} {x + reach:.0f} {y2:.1f} {x:.0f} {y2:.1f}"
    if source.node.column < target.node.column:
        x1, x2 = source.x + source.width, target.x
    else:
        x1, x2 = source.x, target.x + target.width
    middle = (x1 + x2) / 2
    return f"{'M' if begins else 'L'}{x1:.0f} {y1:.1f}C{middle:.0f} {y1:.1f} {middle:.0f} {y2:.1f} {x2:.0f} {y2:.1f}"


def _draw_box(box: Box) -> str:
    node, x, y = box.node, box.x, box.y
    broken = ' stroke-dasharray="4 3"' if node.faint else ""
    shape = f'x="{x:.0f}" y="{y:.1f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="8"'
    parts = [f"<rect {BOX} {shape}{broken}/>"]
    left, right = x + _PAD + 2, x + box.width - _PAD - 2
    if node.about:
        parts.append(f'<text {SOFT} x="{left:.0f}" y="{y + _PAD + 8:.1f}" font-size="10.5">{escape(node.about)}</text>')
    title = fit(node.title, box.width - 2 * _PAD, _LETTER)
    level = box.level(-1) + 5
    parts.append(
        f'<text {TEXT} x="{left:.0f}" y="{level:.1f}" font-size="13.5" font-weight="700">{escape(title)}</text>'
    )
    for at, row in enumerate(node.rows):
        level = box.level(at) + 4
        text = f'y="{level:.1f}" font-size="11" font-family="ui-monospace,Menlo,Consolas,monospace"'
        room = box.width - 2 * _PAD - (len(row.aside) + 2) * _MONO * bool(row.aside)
        parts.append(f'<text {TEXT} x="{left:.0f}" {text}>{escape(fit(row.text, room, _MONO))}</text>')
        if row.aside:
            parts.append(f'<text {SOFT} x="{right:.0f}" text-anchor="end" {text}>{escape(row.aside)}</text>')
    return "".join(parts)


def fit(text: str, room: float, letter: float) -> str:
    """Shorten a text to the room there is."""
    most = max(2, int(room / letter))
    return text if len(text) <= most else text[: most - 1] + "…"
