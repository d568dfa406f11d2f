"""The life-cycle diagram: the engine's own table of transitions laid out as boxes and arrows.

Which states and arrows there are comes from ``GET /pydock/lifecycle`` alone; this module only knows good places for
the states that Docker has. One geometry serves the static drawing here and the live one in ``states.js``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pydockmagic.notebook.widgets.ink import BOX, LINE, LIT, SOFT, TAKEN, TEXT, begin
from pydockmagic.notebook.widgets.records import Transition

__all__ = ["GONE", "Arrow", "Box", "Diagram", "draw", "lay_out"]

GONE = "gone"
"""The end of the way: the engine no longer knows the container."""

Point = tuple[float, float]
Pair = tuple[str, str]

_WIDTH, _HEIGHT, _DRAWING = 116, 44, 840
_PLACES: Mapping[str, Point] = {
    "created": (70, 40),
    "running": (290, 40),
    "restarting": (520, 130),
    "paused": (760, 130),
    "exited": (290, 220),
    GONE: (70, 220),
    "dead": (290, 316),
    "removing": (520, 316),
}
_SPARE = (690, 316)
# The corners of each arrow, and where its label stands (start, middle or end of the text there). The arrows of one box
# keep to lanes of their own, so that no label lies on a line.
_ROUTES: Mapping[Pair, tuple[tuple[Point, ...], Point, str]] = {
    ("created", "running"): (((128, 40), (232, 40)), (180, 34), "middle"),
    ("created", GONE): (((70, 62), (70, 198)), (62, 134), "end"),
    ("exited", GONE): (((232, 220), (128, 220)), (180, 214), "middle"),
    ("running", GONE): (((240, 62), (120, 198)), (170, 128), "end"),
    ("running", "exited"): (((268, 62), (268, 198)), (260, 134), "end"),
    ("exited", "running"): (((306, 198), (306, 62)), (314, 166), "start"),
    ("running", "restarting"): (((332, 62), (332, 130), (462, 130)), (400, 124), "middle"),
    ("restarting", "running"): (((520, 108), (520, 54), (348, 54)), (434, 66), "middle"),
    ("running", "paused"): (((348, 26), (770, 26), (770, 108)), (560, 21), "middle"),
    ("paused", "running"): (((750, 108), (750, 40), (348, 40)), (620, 53), "middle"),
    ("restarting", "exited"): (((510, 152), (510, 210), (348, 210)), (434, 204), "middle"),
    ("paused", "exited"): (((750, 152), (750, 230), (348, 230)), (630, 224), "middle"),
    ("paused", "restarting"): (((702, 130), (578, 130)), (640, 124), "middle"),
    ("restarting", GONE): (((530, 152), (530, 262), (102, 262), (102, 242)), (400, 257), "middle"),
    ("paused", GONE): (((770, 152), (770, 278), (84, 278), (84, 242)), (650, 273), "middle"),
    ("dead", GONE): (((232, 316), (56, 316), (56, 242)), (160, 311), "middle"),
}
_LINE = 13


@dataclass(frozen=True)
class Box:
    """One state: its name, and the centre and size of its box."""

    state: str
    x: float
    y: float
    width: float = _WIDTH
    height: float = _HEIGHT


@dataclass(frozen=True)
class Arrow:
    """All actions that lead from one state to another: the path to draw, and the label, line by line."""

    source: str
    target: str
    label: tuple[str, ...]
    path: str
    x: float
    y: float
    anchor: str = "middle"


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows in a drawing of ``width`` by ``height``."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: int
    height: int


def lay_out(table: Iterable[Transition], states: Iterable[str] = ()) -> Diagram:
    """Turn the life-cycle table into boxes and arrows; rows that stay in their state draw nothing.

    ``states`` are those that containers are in: each gets a box, even where no transition is known.
    """
    pairs: dict[Pair, list[str]] = {}
    known: dict[str, None] = {}
    for row in table:
        source, target = row.state, row.to or GONE
        if source:  # else it is made just now: there is no state that it comes from
            known.setdefault(source)
        known.setdefault(target)
        if source and source != target:
            pairs.setdefault((source, target), []).append(row.action)
    places = _place([*known, *(state for state in states if state not in known)])
    boxes = tuple(Box(state, *places[state]) for state in sorted(places, key=lambda name: places[name][::-1]))
    arrows = tuple(_arrow(places, pair, actions, pairs) for pair, actions in pairs.items())
    lowest = max((y for _, y in places.values()), default=0)
    return Diagram(boxes, arrows, _DRAWING, int(lowest) + _HEIGHT // 2 + 12)


def draw(
    diagram: Diagram, lit: Mapping[str, Collection[str]], taken: Collection[Pair] = (), last: Collection[Pair] = ()
) -> str:
    """Draw as SVG text.

    ``lit`` names the containers in each state, ``taken`` the arrows that they went along, ``last`` the newest of those.
    """
    parts = [begin(diagram.width, diagram.height)]
    # What was taken is drawn last, over the grey.
    ordered = sorted(diagram.arrows, key=lambda arrow: (arrow.source, arrow.target) in taken)
    parts += [_draw_arrow(arrow, taken, last) for arrow in ordered]
    parts += [_draw_box(box, lit.get(box.state, ())) for box in diagram.boxes]
    return "".join(parts) + "</svg>"


def _place(states: Iterable[str]) -> dict[str, Point]:
    places: dict[str, Point] = {}
    spare = _SPARE
    for state in states:
        if state in _PLACES:
            places[state] = _PLACES[state]
        else:
            places[state] = spare
            spare = (spare[0], spare[1] + 60)
    return places


def _arrow(places: Mapping[str, Point], pair: Pair, actions: Sequence[str], pairs: Collection[Pair]) -> Arrow:
    source, target = pair
    # `rm --force` needs no label of its own where plain `rm` does.
    words = [each for each in dict.fromkeys(actions) if not any(each.startswith(f"{other} ") for other in actions)]
    if pair in _ROUTES:
        corners, (x, y), anchor = _ROUTES[pair]
        upright = anchor != "middle"
        label = tuple(words) if upright else (", ".join(words),)
        return Arrow(source, target, label, _rounded(corners), x, y - (len(label) - 1) * _LINE / 2, anchor)
    start, end = places[source], places[target]
    aside = 10.0 if (target, source) in pairs else 0.0
    (x1, y1), (x2, y2) = _between(start, end, aside)
    path = f"M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}"
    return Arrow(source, target, (", ".join(words),), path, (x1 + x2) / 2, (y1 + y2) / 2 - 5)


def _between(start: Point, end: Point, aside: float) -> tuple[Point, Point]:
    """Give the line from the edge of one box to the edge of another, moved ``aside`` to the right of its direction."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1
    shift = (-dy / length * aside, dx / length * aside)
    leaves = (start[0] + shift[0], start[1] + shift[1])
    enters = (end[0] + shift[0], end[1] + shift[1])
    return _edge(leaves, (dx, dy), start), _edge(enters, (-dx, -dy), end)


def _edge(point: Point, way: Point, centre: Point) -> Point:
    """Walk from ``point`` along ``way`` to the border of the box around ``centre``."""
    reach = []
    for at, direction, middle, half in zip(point, way, centre, (_WIDTH / 2, _HEIGHT / 2), strict=True):
        if direction:
            reach.append((middle + math.copysign(half, direction) - at) / direction)
    step = min(reach, default=0)
    return point[0] + way[0] * step, point[1] + way[1] * step


def _rounded(corners: Sequence[Point], radius: float = 10) -> str:
    """Give the path through ``corners`` with rounded turns."""
    path = [f"M{corners[0][0]:.0f} {corners[0][1]:.0f}"]
    for before, here, after in zip(corners, corners[1:], corners[2:], strict=False):
        entry, leave = _towards(here, before, radius), _towards(here, after, radius)
        path.append(f"L{entry[0]:.0f} {entry[1]:.0f}Q{here[0]:.0f} {here[1]:.0f} {leave[0]:.0f} {leave[1]:.0f}")
    path.append(f"L{corners[-1][0]:.0f} {corners[-1][1]:.0f}")
    return "".join(path)


def _towards(here: Point, there: Point, distance: float) -> Point:
    dx, dy = there[0] - here[0], there[1] - here[1]
    length = math.hypot(dx, dy) or 1
    part = min(distance, length / 2) / length
    return here[0] + dx * part, here[1] + dy * part


def _draw_arrow(arrow: Arrow, taken: Collection[Pair], last: Collection[Pair]) -> str:
    pair = (arrow.source, arrow.target)
    went = pair in taken
    stroke, head = (TAKEN, "b") if went else (LINE, "a")
    width = 3 if pair in last else (1.75 if went else 1)
    fill = f'class="kt" fill="{LIT}" font-weight="600"' if went else SOFT
    lines = "".join(
        f'<tspan x="{arrow.x:.0f}" y="{arrow.y + at * _LINE:.0f}">{escape(text)}</tspan>'
        for at, text in enumerate(arrow.label)
    )
    return (
        f'<path {stroke} d="{arrow.path}" stroke-width="{width}" marker-end="url(#{head})"/>'
        f'<text {fill} text-anchor="{arrow.anchor}" font-size="11.5">{lines}</text>'
    )


def _draw_box(box: Box, names: Collection[str]) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    shape = f'x="{left:.0f}" y="{top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="8"'
    middle = f'x="{box.x:.0f}" text-anchor="middle"'
    if not names:
        dashes = ' stroke-dasharray="4 3"' if box.state == GONE else ""
        return (
            f"<rect {BOX} {shape}{dashes}/>"
            f'<text {TEXT} {middle} y="{box.y + 4.5:.1f}" font-size="13">{escape(box.state)}</text>'
        )
    ring = (
        f'<rect x="{left - 4:.0f}" y="{top - 4:.0f}" width="{box.width + 8:.0f}" height="{box.height + 8:.0f}" rx="11" '
        f'fill="none" stroke="{LIT}" stroke-opacity=".5" stroke-width="2"/>'
    )
    who = ", ".join(names)
    who = who if len(who) <= 18 else who[:17] + "…"
    return (
        f'{ring}<rect {shape} fill="{LIT}" stroke="{LIT}"/>'
        f'<text {middle} y="{box.y - 3:.0f}" font-size="13" font-weight="700" fill="#fff">{escape(box.state)}</text>'
        f'<text {middle} y="{box.y + 13:.0f}" font-size="11" fill="#fff">{escape(who)}</text>'
    )
