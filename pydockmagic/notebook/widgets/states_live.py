"""The live view of containers' life cycle: fed by the event stream, never by polling."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import traitlets

from pydockmagic.notebook.widgets.base import LiveView, asset
from pydockmagic.notebook.widgets.diagram import GONE
from pydockmagic.notebook.widgets.records import StateHistory
from pydockmagic.notebook.widgets.states import StatesView, clock, move, outcome, shown_name

__all__ = ["StatesWidget"]


class StatesWidget(LiveView):
    """The live twin of a ``StatesView``; ``show`` takes the next one."""

    _esm = asset("live.js", "states.js")
    _css = asset("live.css", "states.css")
    diagram = traitlets.Dict(help="Boxes and arrows of the life cycle.").tag(sync=True)
    containers = traitlets.List(traitlets.Dict(), help="State and history of each container.").tag(sync=True)

    def __init__(self, view: StatesView, **options: Any) -> None:
        self.view = view
        super().__init__(
            token=view.token,
            title=view.sentence(),
            engine=view.engine,
            diagram=asdict(view.diagram),
            containers=[_container(view, each) for each in view.containers],
            **options,
        )

    @property
    def state(self) -> str:
        """The state of the first container."""
        return (self.view.containers[0].state or GONE) if self.view.containers else ""

    def show(self, view: StatesView) -> None:
        """Show how things stand now; may be called from any thread."""
        self.view = view
        with self.hold_sync():
            self.problem = ""
            self.containers = [_container(view, each) for each in view.containers]
            self.title = view.sentence()

    def plain(self) -> str:
        """Give states and history as text."""
        return str(self.view)


def _container(view: StatesView, each: StateHistory) -> dict[str, object]:
    return {
        "id": each.id,
        "name": shown_name(each),
        "state": each.state or GONE,
        "history": [
            {
                "action": step.action,
                "move": move(step),
                "arrow": ">".join(way) if way else "",
                "at": step.time_nano,
                "clock": clock(step),
                "outcome": outcome(step),
            }
            for step, way in zip(each.history, view.arrows(each), strict=True)
        ],
    }
