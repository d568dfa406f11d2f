"""A line into words, by the rules of the shell: quotes, backslashes, nothing expanded (POSIX shell, 2.2 Quoting).

``$NAME``, ``*`` and ``~`` stay as they are: there is no shell here, and the docker command would get what a quoted
word gives.
"""

from __future__ import annotations

from .errors import WordsError

__all__ = ["split"]

_BLANK = " \t\r\n"
_ESCAPABLE_IN_DOUBLE = '"\\$`\n'


def split(line: str) -> list[str]:
    """Return the words of a line.

    Raises ``WordsError`` for a quote that is never closed or a backslash at the very end.
    """
    words: list[str] = []
    position = 0
    while True:
        while position < len(line) and line[position] in _BLANK:
            position += 1
        if position == len(line):
            return words
        word, position = _word(line, position)
        if word is not None:
            words.append(word)


def _word(line: str, position: int) -> tuple[str | None, int]:
    """Read one word; ``None`` where a line continuation leaves nothing."""
    parts: list[str] = []
    quoted = False
    while position < len(line) and line[position] not in _BLANK:
        char = line[position]
        if char == "'":
            end = line.find("'", position + 1)
            if end < 0:
                raise WordsError(f"no closing quotation: the ' at column {position + 1} is never closed", 1)
            parts.append(line[position + 1 : end])
            position, quoted = end + 1, True
        elif char == '"':
            text, position = _double_quoted(line, position)
            parts.append(text)
            quoted = True
        elif char == "\\":
            if position + 1 == len(line):
                raise WordsError("nothing follows the backslash at the end of the line", 1)
            if line[position + 1] != "\n":
                parts.append(line[position + 1])
                quoted = True
            position += 2
        else:
            parts.append(char)
            position += 1
    return ("".join(parts) if parts or quoted else None), position


def _double_quoted(line: str, start: int) -> tuple[str, int]:
    parts: list[str] = []
    position = start + 1
    while position < len(line):
        char = line[position]
        if char == '"':
            return "".join(parts), position + 1
        if char == "\\" and position + 1 < len(line) and line[position + 1] in _ESCAPABLE_IN_DOUBLE:
            if line[position + 1] != "\n":
                parts.append(line[position + 1])
            position += 2
            continue
        parts.append(char)
        position += 1
    raise WordsError(f'no closing quotation: the " at column {start + 1} is never closed', 1)
