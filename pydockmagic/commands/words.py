"""A line into words, by the rules of the shell: quotes, backslashes, comments (POSIX shell, 2.2 Quoting, 2.3 rule 9).

Nothing is expanded. ``$NAME``, ``*`` and ``~`` stay as they are: there is no shell here, and the docker command would
get what a quoted word gives. So nothing is piped or redirected either; ``operator`` finds what asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .errors import WordsError

__all__ = ["open_at_end", "operator", "plain_words", "split"]

_BLANK = " \t\r\n"
_ESCAPABLE_IN_DOUBLE = '"\\$`\n'
_OPERATOR = re.compile(r"\|\|?|&&?|;|&>.*|\d?(?:>>?|<<?<?)[^<>]*")
_PLAIN = re.compile(r"[^\\'\"#]*")


def split(line: str) -> list[str]:
    """Return the words of a line.

    Raises ``WordsError`` for a quote that is never closed or a backslash at the very end.
    """
    return [word for word, _ in _words(line)]


def operator(line: str) -> str:
    """Return the first word that a shell would not hand to a program (``|``, ``&&``, ``> FILE``), or nothing.

    Only whole words without quotes count. Raises ``WordsError`` as ``split`` does.
    """
    return next((word for word in plain_words(line) if _OPERATOR.fullmatch(word)), "")


def plain_words(line: str) -> list[str]:
    """Return the words that stand there without any quoting; raises ``WordsError`` as ``split`` does."""
    return [word for word, plain in _words(line) if plain]


def open_at_end(line: str, quote: str = "") -> str:
    r"""Return what keeps a line (without its line end) from ending here: a quote that is open, a backslash, or nothing.

    ``quote`` is the quote that was open where the line begins.
    """
    position = 0
    while position < len(line):
        if quote == "'":
            end = line.find("'", position)
            if end < 0:
                return quote
            position, quote = end + 1, ""
            continue
        position = _PLAIN.match(line, position).end()  # type: ignore[union-attr]  # matches always
        char = line[position : position + 1]
        if char == "#":
            if not quote and (position == 0 or line[position - 1] in _BLANK):
                return ""
            position += 1
            continue
        if char == "\\":
            if position + 1 == len(line):
                return quote or "\\"
            position += 2
        elif char:
            if not quote:
                quote = char
            elif char == quote:
                quote = ""
            position += 1
    return quote


def _words(line: str) -> Iterator[tuple[str, bool]]:
    """Yield the words, each with whether it stands there without any quoting."""
    position = 0
    while True:
        while position < len(line) and line[position] in _BLANK:
            position += 1
        if line[position : position + 1] == "#":  # a comment, to the end of its line
            position = line.find("\n", position)
            if position < 0:
                return
            continue
        if position == len(line):
            return
        begin = position
        word, position = _word(line, position)
        if word is not None:
            yield word, line[begin:position] == word


def _word(line: str, position: int) -> tuple[str | None, int]:
    """Read one word; ``None`` where a line continuation leaves nothing."""
    parts: list[str] = []
    quoted = False
    while position < len(line) and line[position] not in _BLANK:
        char = line[position]
        if char == "'":
            end = line.find("'", position + 1)
            if end < 0:
                raise _unclosed("'", position)
            parts.append(line[position + 1 : end])
            position, quoted = end + 1, True
        elif char == '"':
            text, position = _double_quoted(line, position)
            parts.append(text)
            quoted = True
        elif char == "\\":
            if position + 1 == len(line):
                raise WordsError(
                    "nothing follows the backslash at the end of the line",
                    1,
                    hint="Remove it, or go on in the next line.",
                )
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
    raise _unclosed('"', start)


def _unclosed(quote: str, position: int) -> WordsError:
    return WordsError(
        f"no closing quotation: the {quote} at column {position + 1} is never closed",
        1,
        hint="Close it, or put a backslash before it where it stands for itself.",
    )
