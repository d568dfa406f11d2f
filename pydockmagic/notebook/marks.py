"""What a program wrote to its standard error, told apart from the rest by a word and not by a colour.

Each of its lines begins with ``stderr | ``, as docker-compose writes a service's name before its lines: so it reads the
same in the cell, in the saved notebook on every viewer, and in the log of a flood. ``result.stderr`` has no marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["MARK", "Marks", "marked"]

MARK = "stderr | "
# Where a line begins anew: after a line end, or after a carriage return, with which progress is drawn over.
_BEGINS = re.compile(r"(?<=\n)(?!\Z)|(?<=\r)(?!\n|\Z)")


class Marks:
    """Marks one program's output as it comes, in pieces of any size."""

    def __init__(self) -> None:
        self._stream = "stdout"
        self._last = "\n"
        """The last character that was shown."""

    def take(self, stream: str, text: str) -> str:
        """Return a piece as it is to be shown."""
        if not text:
            return ""
        before, self._last = self._last, text[-1]
        if stream == self._stream:
            return text if stream == "stdout" else _mark(text, before)
        self._stream = stream
        end = "" if before == "\n" else "\n"  # each stream has lines of its own
        return end + (text if stream == "stdout" else _mark(text, "\n"))


def marked(pieces: Iterable[tuple[str, str]]) -> str:
    """Return a whole output, given as pieces with their streams."""
    marks = Marks()
    return "".join(marks.take(stream, text) for stream, text in pieces)


def _mark(text: str, before: str) -> str:
    begins = before == "\n" or (before == "\r" and text[0] != "\n")
    if "\r" in text:
        return (MARK if begins else "") + _BEGINS.sub(MARK, text)
    return (MARK if begins else "") + text[:-1].replace("\n", "\n" + MARK) + text[-1]
