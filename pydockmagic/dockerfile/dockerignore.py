"""``.dockerignore``: reading the file, and matching paths against its patterns.

Dockerfile reference, ".dockerignore file" (moby/patternmatcher): Go's ``filepath.Match`` for one path element, ``**``
for any number of them, ``!`` to take back; the last pattern that matches decides, and a matched directory takes all
below it along.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from .directives import BYTE_ORDER_MARK
from .errors import IgnorePatternError

__all__ = ["IgnorePattern", "Ignored", "read_ignore_file"]

_CHAR = r"(?:\\.|[^\\\]\-])"
_WELL_FORMED = re.compile(rf"(?s)(?:\\.|[^\\\[]|\[\^?(?:{_CHAR}(?:-{_CHAR})?)+\])*")


def read_ignore_file(text: str) -> list[str]:
    """Read the patterns of a ``.dockerignore``, tidied: no comments, no leading slash, no ``.`` or ``..`` inside."""
    patterns: list[str] = []
    for line in text.removeprefix(BYTE_ORDER_MARK).splitlines():
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        exception = pattern.startswith("!")
        if exception:
            pattern = pattern[1:].strip()
        if pattern:
            pattern = _clean(pattern)
            pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
        patterns.append(("!" if exception else "") + pattern)
    return patterns


def _clean(path: str) -> str:
    """Tidy a path as Go's ``filepath.Clean`` does (unlike Python's, it knows no special ``//``)."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


@dataclass(frozen=True)
class IgnorePattern:
    """One pattern; ``exception`` for one with ``!`` in front."""

    pattern: str
    exception: bool = False

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(_expression(self.pattern), re.DOTALL)

    def matches(self, path: str) -> bool:
        """Whether the pattern matches this very path."""
        return self._expression.fullmatch(path) is not None


class Ignored:
    """The patterns of one ``.dockerignore`` together. Raises IgnorePatternError for a malformed one."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns: list[IgnorePattern] = []
        for number, text in enumerate(patterns, 1):
            if not text.strip():
                continue
            pattern = _clean(text.strip())
            exception = pattern.startswith("!")
            if exception and len(pattern) == 1:
                raise IgnorePatternError('illegal exclusion pattern: "!"', number)
            pattern = pattern[1:] if exception else pattern
            _check(pattern, number)
            self.patterns.append(IgnorePattern(pattern, exception))

    @property
    def has_exceptions(self) -> bool:
        """Whether something below an ignored directory may still be wanted."""
        return any(pattern.exception for pattern in self.patterns)

    def ignores(self, path: str) -> bool:
        """Whether a path (relative, with ``/``) is left out of the context, by itself or by a directory above it."""
        path = _clean(path)
        parents = _parents(path)
        ignored = False
        for pattern in self.patterns:
            if pattern.exception == ignored and (pattern.matches(path) or any(map(pattern.matches, parents))):
                ignored = not pattern.exception
        return ignored


def _parents(path: str) -> Sequence[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _check(pattern: str, number: int) -> None:
    """Refuse what Go's ``filepath.Match`` calls a bad pattern: an open ``[`` or a trailing backslash."""
    if not _WELL_FORMED.fullmatch(pattern):
        raise IgnorePatternError("syntax error in pattern", number)


def _expression(pattern: str) -> str:
    """Turn a pattern into a regular expression over whole paths."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            at += pattern.startswith("/", at)
            out.append(".*" if at >= len(pattern) else "(?:.*/)?")
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            expression, at = _class(pattern, at)
            out.append(expression)
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Translate the ``[...]`` whose first character after the bracket is at ``at``; give its end too."""
    negated = pattern.startswith("^", at)
    at += negated
    out: list[str] = []
    while pattern[at] != "]":
        low, at = _class_char(pattern, at)
        high = low
        if pattern[at] == "-":
            high, at = _class_char(pattern, at + 1)
        if low <= high:  # Go takes a range the wrong way round for an empty one
            out.append(f"{re.escape(low)}-{re.escape(high)}")
    if not out:
        return ("[^/]" if negated else "(?!)"), at + 1
    return f"(?!/)[{'^' if negated else ''}{''.join(out)}]", at + 1


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    at += pattern[at] == "\\"
    return pattern[at], at + 1
