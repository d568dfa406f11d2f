"""The live view of a stack of layers: every file of every layer, a hundred thousand of them if need be."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import msgspec
import traitlets

from pydockmagic.notebook.widgets.base import LiveView, asset
from pydockmagic.notebook.widgets.layers import LayersView, described, notes, place
from pydockmagic.notebook.widgets.records import FileTable, Layer

__all__ = ["LayersWidget", "pack"]

_MOST = 200_000
"""Rows of one layer that travel to the browser; more than that nobody scrolls through."""

ReadFiles = Callable[[Layer, int], FileTable]
"""Give the largest files of a layer, at most so many."""


class LayersWidget(LiveView):
    """The live twin of a ``LayersView``. ``expanded`` are the rows that are open, counted from the top."""

    _esm = asset("live.js", "layers.js")
    _css = asset("live.css", "layers.css")
    rows = traitlets.List(traitlets.Dict(), help="The layers, top first.").tag(sync=True)
    files = traitlets.Dict(help="Packed files by row.").tag(sync=True)
    expanded = traitlets.List(traitlets.Int(), help="Rows that are open.").tag(sync=True)
    note = traitlets.Unicode(help="What this engine cannot tell.").tag(sync=True)

    def __init__(self, view: LayersView, read: ReadFiles | None = None, **options: Any) -> None:
        self.view = view
        packed = {}
        for at, layer in enumerate(view.layers):
            listing = view.files.get(layer.chain_id)
            if listing and listing.total == len(listing.columns.path):
                packed[str(at)] = pack(listing)
        super().__init__(
            token=view.token,
            title=f"Layers of {view.subject}",
            summary=view.summary(),
            engine=view.engine,
            note=view.note,
            rows=[_row(layer, view) for layer in view.layers],
            files=packed,
            **options,
        )
        self.complete = threading.Event()
        """Set once all files were handed to the browser."""
        if read is None:
            self.complete.set()
            return
        # The cell is done when the stack is there; the files follow. The copied context lets an error reach this cell.
        threading.Thread(target=copy_context().run, args=(self._fetch, read), daemon=True, name="pydock-layers").start()

    def plain(self) -> str:
        """Give the stack as text."""
        return str(self.view)

    def _fetch(self, read: ReadFiles) -> None:
        try:
            for at, layer in enumerate(self.view.layers):
                if layer.files and not layer.empty and str(at) not in self.files:
                    self.files = {**self.files, str(at): pack(read(layer, _MOST))}
        except Exception as error:  # noqa: BLE001 - a thread's error is shown in the view, whatever it is
            self.problem = str(error)
        finally:
            self.complete.set()


def pack(listing: FileTable) -> bytes:
    """Compress a listing for the browser: columns again, changes as one text, paths from the root."""
    columns = listing.columns
    count = len(columns.path)
    data = {
        "total": listing.total,
        "path": ["/" + path.lstrip("/") for path in columns.path],
        "size": columns.size,
        "change": "".join(columns.change) if len(columns.change) == count else "A" * count,
        "target": {at: target for at, target in enumerate(columns.target) if target},
    }
    return gzip.compress(msgspec.json.encode(data), compresslevel=1, mtime=0)


def _row(layer: Layer, view: LayersView) -> dict[str, object]:
    return {
        "instruction": described(layer),
        "place": place(layer),
        "notes": notes(layer, view.stack),
        "size": layer.size,
        "wasted": min(layer.wasted, layer.size),
        "files": layer.files,
        "empty": layer.empty,
        "writable": layer.writable,
    }
