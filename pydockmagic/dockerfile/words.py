"""Cutting an instruction's line: the ``--flags`` in front, and words whose quotes stay in them."""

from __future__ import annotations

__all__ = ["split_flags", "split_quoted"]


def split_flags(line: str) -> tuple[str, tuple[str, ...]]:
    r"""Take the leading ``--name=value`` words off; a ``--`` of its own ends them.

    Quotes may enclose blanks and are dropped, a backslash takes the next character as it is (always a backslash:
    the escape directive does not reach flags).
    """
    flags: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at].isspace():
            at += 1
        if not line.startswith("--", at):
            return line[at:], tuple(flags)
        word, at = _flag(line, at)
        if word == "--" and at < len(line):
            return line[at:], tuple(flags)
        if word != "--":
            flags.append(word)


def _flag(line: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    quote = ""
    while at < len(line):
        char = line[at]
        if not quote and char.isspace():
            break
        at += 1
        if char == "\\":
            out.append(line[at : at + 1])
            at += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                out.append(char)
        elif char in "'\"":
            quote = char
        else:
            out.append(char)
    return "".join(out), min(at, len(line))


def split_quoted(rest: str, escape: str) -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay in the words, to be read when they are expanded."""
    words: list[str] = []
    word: list[str] = []
    quote = ""
    at = 0
    while at < len(rest):
        char = rest[at]
        at += 1
        if char.isspace() and not quote:
            if word:
                words.append("".join(word))
                word = []
            continue
        if char == escape and quote != "'":
            if at == len(rest):  # an escape with nothing after it
                break
            word.append(char)
            char = rest[at]
            at += 1
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        word.append(char)
    if word:
        words.append("".join(word))
    return words
