"""The live views that this kernel keeps: one for each display, found again by its token."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydockmagic.client import Client, NotFound
from pydockmagic.notebook.views import read_files, read_state
from pydockmagic.notebook.widgets.base import LiveView
from pydockmagic.notebook.widgets.diagram import GONE
from pydockmagic.notebook.widgets.layers_live import LayersWidget
from pydockmagic.notebook.widgets.records import StateHistory, StepTaken
from pydockmagic.notebook.widgets.states_live import StatesWidget

if TYPE_CHECKING:
    from pydockmagic.notebook.widgets.layers import LayersView
    from pydockmagic.notebook.widgets.states import StatesView

__all__ = ["LiveViews", "StatesFollower"]

_W = TypeVar("_W", bound=LiveView)
_KEPT = 24
"""Displays that stay live; the oldest turns into its static form. Each holds its files in the page."""


class LiveViews:
    """Makes live views, takes the same one for the same display, and lets the oldest go."""

    def __init__(self) -> None:
        self._views: OrderedDict[str, LiveView] = OrderedDict()
        self._guard = threading.RLock()

    def layers(self, view: LayersView, client: Client, container: str) -> LayersWidget:
        """Bring a stack of layers to life; the same image has its files in the page already."""
        with self._guard:
            known = self._views.get(view.token)
            if not container and isinstance(known, LayersWidget) and known.comm is not None and not known.problem:
                self._views.move_to_end(view.token)
                return known
            read = (lambda layer, limit: read_files(client, layer, container, limit)) if view.files else None
            return self._keep(view.token, LayersWidget(view, read))

    def states(self, view: StatesView) -> StatesWidget:
        """Bring a life-cycle diagram to life."""
        with self._guard:
            known = self._views.get(view.token)
            if isinstance(known, StatesWidget) and known.comm is not None:
                known.show(view)
                known.problem = ""
                self._views.move_to_end(view.token)
                return known
            return self._keep(view.token, StatesWidget(view))

    def close(self) -> None:
        """Turn all views into their static forms."""
        with self._guard:
            while self._views:
                self._views.popitem()[1].close()

    def _keep(self, token: str, widget: _W) -> _W:
        with self._guard:
            if old := self._views.pop(token, None):
                old.close()
            self._views[token] = widget
            while len(self._views) > _KEPT:
                self._views.popitem(last=False)[1].close()
            return widget


class StatesFollower:
    """Keeps a diagram up to date: asks for a container's history whenever an event names it."""

    def __init__(self, widget: StatesWidget, client: Client) -> None:
        self.widget = widget
        self._client = client
        self._guard = threading.Lock()

    @property
    def ids(self) -> frozenset[str]:
        """The containers that are shown."""
        return frozenset(each.id for each in self.widget.view.containers)

    def refresh(self, container: str, event: dict[str, Any]) -> None:
        """Show how it stands with a container now; of one that is gone, what its last events told."""
        with self._guard:
            view = self.widget.view
            known = next(each for each in view.containers if each.id == container)
            try:
                now = known if event["Action"] == "destroy" else read_state(self._client, container)
            except NotFound:
                now = known
            if now is known:
                now = told(known, event)
            self.widget.show(replace(view, containers=[now if each is known else each for each in view.containers]))

    def catch_up(self) -> None:
        """Ask anew for all containers."""
        with self._guard:
            view = self.widget.view
            now = [self._again(each) for each in view.containers]
            if now != list(view.containers):
                self.widget.show(replace(view, containers=now))

    def _again(self, known: StateHistory) -> StateHistory:
        try:
            return read_state(self._client, known.id)
        except NotFound:
            return known

    def fail(self, reason: str) -> None:
        """Show that nothing more will come."""
        self.widget.problem = reason


def told(container: StateHistory, event: dict[str, Any]) -> StateHistory:
    """Add to a history what an event tells, where the engine cannot be asked any more: it ended, it is gone."""
    action, attributes = str(event["Action"]), event["Actor"].get("Attributes") or {}
    target = {"die": "removing", "destroy": GONE}.get(action)
    if target is None or container.state == GONE:
        return container
    code = attributes.get("exitCode") if action == "die" else None
    step = StepTaken(
        action="rm" if action == "destroy" else action,
        from_=container.state,
        to=target,
        time_nano=int(event["timeNano"]),
        exit_code=None if code is None else int(code),
    )
    return StateHistory(id=container.id, name=container.name, state=target, history=[*container.history, step])
