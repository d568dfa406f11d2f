"""Output without end: a cell shows its beginning as it comes, then only the tail, and a file keeps all of it.

A page with a million lines freezes, in the notebook's file as on the screen. So after ``lines`` lines what follows is
one small display that is drawn over: how many lines there were, the last of them, and a link to the whole log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote

from . import markup

if TYPE_CHECKING:
    from .capture import Canvas

__all__ = ["Flood", "FloodBoard"]

_TAIL = 100
_WIDEST = 2000
_CHARACTERS_A_LINE = 200


class FloodBoard:
    """The display in the place of the lines that are not shown."""

    def __init__(self) -> None:
        self.hidden = 0
        """Lines that came after those that are shown above."""
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.log = ""
        """The file with everything, seen from the notebook's folder; empty where none could be written."""

    def plain(self) -> str:
        """Give it as text."""
        where = f"; all of it is in {self.log}" if self.log else ""
        skipped = self.hidden - len(self.tail)
        return "\n".join([f"... {skipped:,} more lines, then the last {len(self.tail)}{where}", *self.tail])

    def html(self) -> str:
        """Give it as static HTML."""
        skipped = self.hidden - len(self.tail)
        note = f"{skipped:,} more lines are not shown, then these {len(self.tail)}"
        link = f'<a href="{quote(self.log)}">whole log: {escape(self.log)}</a>' if self.log else ""
        style = "max-height:24em;overflow:auto;white-space:pre-wrap"
        inside = markup.caption(escape(note), [link]) + markup.pre("\n".join(self.tail), style)
        return markup.tag("div", inside, class_="pydock")


class Flood:
    """Divides one command's output: what is shown as it comes, and what only the board tells of."""

    def __init__(self, lines: int, log: Callable[[], Path | None], canvas: Callable[[FloodBoard], Canvas]) -> None:
        self.board = FloodBoard()
        self._lines = lines
        self._characters = lines * _CHARACTERS_A_LINE
        self._choose_log = log
        self._make_canvas = canvas
        self._canvas: Canvas | None = None
        self._begun: list[str] = []
        self._file: TextIO | None = None
        self._unfinished = ""

    def take(self, text: str) -> str:
        """Take text and return the part of it that is to be shown now."""
        if self._canvas is not None:
            if self._file is not None:
                self._file.write(text)
            self._count(text)
            return ""
        self._begun.append(text)
        end = min(_after_lines(text, self._lines), self._characters)
        self._lines -= text.count("\n")
        self._characters -= len(text)
        if end < len(text):
            self._begin()
            self._count(text[end:])
        return text[:end]

    def draw(self) -> None:
        """Draw the board soon, if there is one: after what ``take`` gave has been shown."""
        if self._canvas is not None:
            self._canvas.changed()

    def finish(self) -> None:
        """Draw a last time and close the log."""
        if self._canvas is None:
            return
        if self._unfinished:
            self._count("\n")
        self._canvas.draw()
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        """Open the log, with what was shown already, and the board."""
        path = self._choose_log()
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("w", encoding="utf-8", errors="surrogateescape")
                self._file.writelines(self._begun)
                self.board.log = str(path)
            except OSError:  # a folder that cannot be written: the result has the text still
                self._file = None
        self._begun.clear()
        self._canvas = self._make_canvas(self.board)

    def _count(self, text: str) -> None:
        lines = (self._unfinished + text).split("\n")
        self._unfinished = lines.pop()[-_WIDEST:]
        self.board.hidden += len(lines)
        self.board.tail.extend(line[:_WIDEST] for line in lines[-_TAIL:])


def _after_lines(text: str, count: int) -> int:
    """Give the place after so many lines of a text, or its end."""
    place = 0
    for _ in range(count):
        place = text.find("\n", place) + 1
        if not place:
            return len(text)
    return place
