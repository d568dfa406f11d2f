"""Heredocs: ``RUN <<EOF`` and ``COPY <<name /path``, with their text on the lines below."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .shell import LexOptions, split_words

__all__ = ["Heredoc", "chomped", "find_heredocs", "read_heredoc"]

_WORD = re.compile(r"^(\d*)<<(-?)([^<]*)$")


@dataclass(frozen=True)
class Heredoc:
    """One heredoc. ``expand`` is false when its name was quoted; ``chomp`` (``<<-``) strips leading tabs."""

    name: str
    descriptor: int = 0
    expand: bool = True
    chomp: bool = False
    content: str = ""


def read_heredoc(word: str, escape: str = "\\") -> Heredoc | None:
    """Read one word of a line as the start of a heredoc, if it is one. Raises SubstitutionError for open quotes."""
    match = _WORD.match(word)
    if match is None or not match[3]:
        return None
    plain = split_words(match[3], {}, LexOptions(escape, skip_unset=True))
    if len(plain) != 1:
        return None
    quoted = split_words(match[3], {}, LexOptions(escape, raw_quotes=True, skip_unset=True))
    return Heredoc(plain[0], int(match[1] or 0), plain == quoted, match[2] == "-")


def find_heredocs(line: str, escape: str = "\\") -> list[Heredoc]:
    """Find the heredocs that an instruction's line announces, in order."""
    words = split_words(line, {}, LexOptions(escape, raw_quotes=True, raw_escapes=True, skip_unset=True))
    found = (read_heredoc(word, escape) for word in words)
    return [heredoc for heredoc in found if heredoc is not None]


def chomped(content: str) -> str:
    """Strip the leading tabs of every line, as ``<<-`` asks."""
    return re.sub(r"(?m)^\t+", "", content)
