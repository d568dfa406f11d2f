"""What a terminal shows: bytes with escape sequences into rows of text with colours (pyte does the work).

A run is ``[text, foreground, background, flags]``. Colours are names (``red``, ``brightblue``), six hexadecimal digits,
or empty for the terminal's own; flags are letters: ``b`` bold, ``i`` italic, ``u`` underlined, ``s`` struck,
``r`` reverse.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

import pyte

__all__ = ["Emulator", "Row", "Run"]

Run = list[str]
Row = list[Run]

_HISTORY = 2000
_FLAGS = {"bold": "b", "italics": "i", "underscore": "u", "strikethrough": "s", "reverse": "r"}
_NAMES = {"default": "", "brown": "yellow", "brightbrown": "brightyellow", "bfightmagenta": "brightmagenta"}


class _Screen(pyte.Screen):
    """A screen that remembers what scrolled out of it (pyte's own history costs ten times the speed)."""

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], None]) -> None:
        self.above: deque[Mapping[int, Any]] = deque(maxlen=_HISTORY)
        self._answer = answer
        super().__init__(columns, lines)

    def write_process_input(self, data: str) -> None:
        self._answer(data.encode())

    def index(self) -> None:
        top, bottom = self.margins or (0, self.lines - 1)
        if self.cursor.y == bottom and top == 0:
            self.above.append(self.buffer[0])
        super().index()

    def lose_rows(self, rows: int) -> None:
        """Have no more than so many rows (pyte alone would take them from the top, wherever the cursor is)."""
        if rows >= self.lines:
            return
        above = max(0, self.cursor.y - rows + 1)
        kept = {row: self.buffer[row + above] for row in range(rows)}
        self.above.extend(self.buffer[row] for row in range(above))
        self.buffer.clear()
        self.buffer.update(kept)
        self.cursor.y -= above
        self.lines = rows
        self.set_margins()


class Emulator:
    """A screen of ``rows`` by ``columns`` characters, for any thread.

    ``answer`` takes what the terminal itself replies to a program that asks where its cursor is.
    """

    def __init__(self, rows: int, columns: int, answer: Callable[[bytes], None] = lambda _data: None) -> None:
        self._guard = threading.RLock()
        self._screen = _Screen(columns, rows, answer)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in characters."""
        return self._screen.lines, self._screen.columns

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Row and column of the cursor, counted from 0; ``None`` while it is hidden."""
        cursor = self._screen.cursor
        return None if cursor.hidden else (cursor.y, min(cursor.x, self._screen.columns - 1))

    @property
    def application_keys(self) -> bool:
        """Whether the program wants arrow keys as ``ESC O A`` (DECCKM)."""
        return 1 << 5 in self._screen.mode

    def feed(self, data: bytes) -> None:
        """Take what the program wrote."""
        with self._guard:
            self._stream.feed(data)

    def resize(self, rows: int, columns: int) -> None:
        """Take another size; of fewer rows those around the cursor stay."""
        with self._guard:
            self._screen.lose_rows(rows)
            self._screen.resize(rows, columns)
            self._screen.dirty.update(range(rows))

    def changed(self) -> dict[int, Row]:
        """Return the rows that changed since the last time."""
        with self._guard:
            dirty = [row for row in sorted(self._screen.dirty) if row < self._screen.lines]
            self._screen.dirty.clear()
            return {row: self._row(self._screen.buffer[row]) for row in dirty}

    def rows(self) -> list[Row]:
        """Return the whole screen."""
        with self._guard:
            return [self._row(self._screen.buffer[row]) for row in range(self._screen.lines)]

    def text(self) -> str:
        """Return all that was shown and is remembered, without colours."""
        with self._guard:
            above = [self._row(line) for line in self._screen.above]
        lines = ["".join(run[0] for run in row).rstrip() for row in [*above, *self.rows()]]
        return "\n".join(lines).rstrip("\n")

    def _row(self, line: Mapping[int, Any]) -> Row:
        cells = [line[column] for column in range(self._screen.columns)]
        runs: Row = []
        for style, group in groupby(cells, key=_style):
            runs.append(["".join(cell.data for cell in group), *style])
        while runs and not runs[-1][2] and "r" not in runs[-1][3]:
            runs[-1][0] = runs[-1][0].rstrip(" ")
            if runs[-1][0]:
                break
            runs.pop()
        return runs


def _style(cell: Any) -> tuple[str, str, str]:
    flags = "".join(letter for name, letter in _FLAGS.items() if getattr(cell, name))
    return _NAMES.get(cell.fg, cell.fg), _NAMES.get(cell.bg, cell.bg), flags
