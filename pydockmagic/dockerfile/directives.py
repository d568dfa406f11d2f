"""Parser directives: the ``# name=value`` comments at the very top of a Dockerfile.

Dockerfile reference, "Parser directives": ``syntax``, ``escape`` and ``check``; the first line that is none of them
(a blank one too) ends the search.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .errors import ParseError

__all__ = ["Directive", "DirectiveReader", "find_directive", "find_syntax", "read_directives"]

_KNOWN = frozenset(("syntax", "escape", "check"))
_PATTERN = r"^{}\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$"
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True)
class Directive:
    """One directive and the line it stands on (0 where the text is JSON)."""

    name: str
    value: str
    line: int


class DirectiveReader:
    """Takes the lines of a file one after another and says which of them are directives."""

    def __init__(self, marker: str = "#", first_line: int = 1) -> None:
        self._expression = re.compile(_PATTERN.format(re.escape(marker)))
        self._line = first_line - 1
        self._seen: set[str] = set()
        self._done = False

    def feed(self, line: str) -> Directive | None:
        """Look at the next line. Raises ParseError for a directive given twice."""
        self._line += 1
        if self._done:
            return None
        match = self._expression.match(line)
        name = match[1].lower() if match else ""
        if match is None or name not in _KNOWN:
            self._done = True
            return None
        if name in self._seen:
            raise ParseError(f"only one {name} parser directive can be used", self._line)
        self._seen.add(name)
        return Directive(name, match[2], self._line)


def read_directives(text: str, marker: str = "#", first_line: int = 1) -> list[Directive]:
    """Give the directives of a text in order."""
    reader = DirectiveReader(marker, first_line)
    found = []
    for line in text.removeprefix(BYTE_ORDER_MARK).splitlines():
        directive = reader.feed(line)
        if directive is None:
            break
        found.append(directive)
    return found


def find_directive(name: str, text: str) -> Directive | None:
    """Find one directive, also below a ``#!`` line; ``syntax`` also in ``//`` comments and in JSON."""
    text = text.removeprefix(BYTE_ORDER_MARK)
    first_line = 1
    if text.startswith("#!"):
        text = text.partition("\n")[2]
        first_line = 2
    try:
        for marker in ("#", "//") if name == "syntax" else ("#",):
            for directive in read_directives(text, marker, first_line):
                if directive.name == name:
                    return directive
        document = json.loads(text) if name == "syntax" else None
    except (ParseError, ValueError):
        return None
    value = document.get(name) if isinstance(document, dict) else None
    return Directive(name, value, 0) if isinstance(value, str) else None


def find_syntax(text: str) -> Directive | None:
    """Find the image of the frontend that ``# syntax=`` asks for; what follows a blank in the value is left off."""
    directive = find_directive("syntax", text)
    if directive is None or not directive.value.split():
        return None
    return Directive("syntax", directive.value.split()[0], directive.line)
