"""What every live view has in common: its modules, its token and the line at its head.

A display is saved as static HTML. While its kernel runs, the model of the live view finds that HTML in the page by the
token in its class name and lays itself over it (``static/live.js``). So a saved notebook holds no widget, no viewer
ever says "model not found", and in JupyterLab the display is live all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from pydockmagic.notebook.later import shown_in

__all__ = ["LiveView", "asset"]

_STATIC = Path(__file__).parent / "static"


@cache
def asset(*names: str) -> str:
    """Read small files of ``static/`` as one text: there is no bundler, and a module given as text imports nothing."""
    return "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in names)


class LiveView(anywidget.AnyWidget):
    """A live view over a static one."""

    token = traitlets.Unicode(help="The class name (after `pydock-`) of the static display it belongs to.").tag(
        sync=True
    )
    title = traitlets.Unicode(help="The subject of the display.").tag(sync=True)
    summary = traitlets.Unicode(help="A remark beside the title.").tag(sync=True)
    engine = traitlets.Unicode(help="The engine that answered.").tag(sync=True)
    problem = traitlets.Unicode(help="What went wrong; shown in the view.").tag(sync=True)

    def hear(self, handler: Callable[[dict[str, Any]], None]) -> None:
        """Have messages of the page handled; what goes wrong is shown in the view, whatever it is."""
        shown = shown_in(self, handler)

        def heard(_widget: object, content: object, _buffers: object) -> None:
            if isinstance(content, dict):
                shown(content)

        self.on_msg(heard)

    still: Callable[[], str] | None = None
    """What gives the static form of the display; whoever hands out the view to be displayed by itself sets it."""

    def plain(self) -> str:
        """Give the view as text."""
        return f"{self.title} ({self.summary})" if self.summary else self.title

    def __repr__(self) -> str:
        return self.plain()

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[Any, Any], dict[Any, Any]] | None:
        """Give the ordinary widget display, with text that holds no address, and with HTML for who has no kernel."""
        bundle: tuple[dict[Any, Any], dict[Any, Any]] | None = super()._repr_mimebundle_(**options)
        if bundle is not None:
            bundle[0]["text/plain"] = self.plain()
            if self.still is not None:
                bundle[0]["text/html"] = self.still()
        return bundle
