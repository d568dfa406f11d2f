"""The live views that this kernel keeps: one for each display, found again by its token."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar

from pydockmagic.client import Client
from pydockmagic.notebook.views import read_files
from pydockmagic.notebook.widgets.base import LiveView
from pydockmagic.notebook.widgets.board_live import BoardWidget
from pydockmagic.notebook.widgets.layers_live import LayersWidget
from pydockmagic.notebook.widgets.sheet_live import SheetWidget
from pydockmagic.notebook.widgets.states_live import StatesWidget
from pydockmagic.notebook.widgets.terminal_live import TerminalWidget

if TYPE_CHECKING:
    from pydockmagic.notebook.emulator import Emulator
    from pydockmagic.notebook.widgets.board import BoardView
    from pydockmagic.notebook.widgets.layers import LayersView
    from pydockmagic.notebook.widgets.sheet import Sheet
    from pydockmagic.notebook.widgets.states import StatesView
    from pydockmagic.notebook.widgets.terminal import TerminalView

__all__ = ["LiveViews"]

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
        return self._shown(view, StatesWidget)

    def sheet(self, view: Sheet) -> SheetWidget:
        """Bring a sheet to life."""
        return self._shown(view, SheetWidget)

    def board(self, view: BoardView) -> BoardWidget:
        """Bring a board to life."""
        return self._shown(view, BoardWidget)

    def terminal(self, view: TerminalView, emulator: Emulator) -> TerminalWidget:
        """Bring a terminal to life."""
        return self._keep(view.token, TerminalWidget(view, emulator))

    def close(self) -> None:
        """Turn all views into their static forms."""
        with self._guard:
            while self._views:
                self._views.popitem()[1].close()

    def _shown(self, view: Any, kind: type[_W]) -> _W:
        """Show something in the view that is there for it, or in a new one."""
        with self._guard:
            known: Any = self._views.get(view.token)
            if isinstance(known, kind) and known.comm is not None:
                known.show(view)
                known.problem = ""
                self._views.move_to_end(view.token)
                return known
            return self._keep(view.token, kind(view))

    def _keep(self, token: str, widget: _W) -> _W:
        with self._guard:
            if old := self._views.pop(token, None):
                old.close()
            self._views[token] = widget
            while len(self._views) > _KEPT:
                self._views.popitem(last=False)[1].close()
            return widget
