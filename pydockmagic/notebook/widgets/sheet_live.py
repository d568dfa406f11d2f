"""The live view of a sheet: shown anew whenever something happened, what changed stands out for a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import traitlets

from pydockmagic.notebook.widgets.base import LiveView, asset
from pydockmagic.notebook.widgets.graph import Graph
from pydockmagic.notebook.widgets.sheet import Bar, Cell, Code, Section, Sheet, Soft, cell_text

__all__ = ["SheetWidget"]

_KINDS: dict[type, str] = {Code: "code", Soft: "soft", Bar: "bar"}


class SheetWidget(LiveView):
    """The live twin of a ``Sheet``; ``show`` takes the next one, ``ask`` is called where the person asks for it."""

    _esm = asset("live.js", "sheet.js")
    _css = asset("live.css", "sheet.css")
    sentence = traitlets.Unicode(help="What is shown, in a sentence.").tag(sync=True)
    sections = traitlets.List(traitlets.Dict(), help="Headings and tables.").tag(sync=True)
    graph = traitlets.Dict(help="Boxes and lines.").tag(sync=True)
    asks = traitlets.Bool(help="Whether the engine can be asked once more.").tag(sync=True)
    notes = traitlets.List(traitlets.Unicode(), help="Remarks on the whole.").tag(sync=True)

    def __init__(self, view: Sheet, **options: Any) -> None:
        self.view = view
        self.ask: Callable[[], None] | None = None
        super().__init__(token=view.token, title=view.subject, engine=view.engine, **_told(view), **options)
        self.hear(self._asked)

    def show(self, view: Sheet) -> None:
        """Show how things stand now; may be called from any thread."""
        if view == self.view and not self.problem:
            return
        self.view = view
        told = _told(view)
        with self.hold_sync():
            self.problem = ""
            self.title = view.subject
            self._show_sections(told.pop("sections"))
            for name, value in told.items():
                setattr(self, name, value)

    def _show_sections(self, sections: list[dict[str, Any]]) -> None:
        """Hand over the sections that changed, where the others are the same: some change every second."""
        known = self.sections
        if [each["title"] for each in known] != [each["title"] for each in sections]:
            self.sections = sections
            return
        changed = {at: each for at, each in enumerate(sections) if each != known[at]}
        if changed:
            for at, each in changed.items():
                known[at] = each  # in its place, which is no change of the trait: only what is new travels
            self.send({"kind": "sections", "changed": changed})

    def plain(self) -> str:
        """Give the sheet as text."""
        return str(self.view)

    def _asked(self, content: dict[str, Any]) -> None:
        if content.get("kind") == "again" and self.ask is not None:
            self.ask()


def _told(view: Sheet) -> dict[str, Any]:
    return {
        "sentence": view.sentence,
        "sections": [_section(each) for each in view.sections],
        "graph": _graph(view.graph) if view.graph is not None else {},
        "notes": list(view.notes),
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "summary": section.summary,
        "head": list(section.head),
        "rows": [[_cell(cell) for cell in row] for row in section.rows],
        "right": list(section.right),
        "notes": list(section.notes),
        "opened": section.opened,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    told: dict[str, Any] = {"text": cell_text(cell)}
    if kind := _KINDS.get(type(cell)):
        told["kind"] = kind
    if isinstance(cell, Bar):
        told["share"] = round(max(0.0, min(1.0, cell.share)), 4)
    return told


def _graph(graph: Graph) -> dict[str, Any]:
    nodes = []
    for box in graph.nodes:
        place = {name: round(getattr(box, name), 1) for name in ("x", "y", "width", "height")}
        levels = [round(box.level(at), 1) for at in range(-1, len(box.node.rows))]
        nodes.append({**asdict(box.node), **place, "levels": levels})
    lines = [
        {"source": each.source, "target": each.target, "arrow": each.arrow, "path": path} for each, path in graph.lines
    ]
    return {"nodes": nodes, "lines": lines, "width": graph.width, "height": graph.height}
