"""What stands in a cell: docker commands one a line, a Dockerfile, a Compose file, or what a grader left for an answer.

Pure reading of text; what is wrong with it, and what to do about that, is said in ``mistakes``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "BOTH_FORMS",
    "CELL_ONLY",
    "LINE_ONLY",
    "LOOKS",
    "CellCommand",
    "Content",
    "clean",
    "commands_of",
    "content_of",
    "first_line",
    "is_stub",
]

Content = Literal["empty", "stub", "dockerfile", "compose", "magic", "other"]

CELL_ONLY = ("dockerfile",)
LOOKS = ("inside", "layers", "states")
"""Magics that show something and have no commands."""
LINE_ONLY = ("builder", "context", "engine", "network", "system", "volume", *LOOKS)
BOTH_FORMS = ("container", "docker", "image")
"""Magics by the forms that they have."""

_FILE_WORDS = (
    "ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME"
    "|WORKDIR"
)
# Docker's instructions may be written small, and so are its commands: `run` in small letters is a command.
_INSTRUCTION = re.compile(rf"(?:{_FILE_WORDS})\s|(?i:FROM\s|ARG\s+\w+)")
_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=", re.IGNORECASE)
_COMPOSE = re.compile(r"(?:services|version|name|networks|volumes|configs|secrets|include|x-[\w.-]+)\s*:(?:\s|$)")
# What graders leave in the place of an answer: nbgrader the first, wherever the solution began; otter the other.
_NBGRADER = re.compile(r"^[ \t]*# YOUR CODE HERE[ \t]*\n[ \t]*raise NotImplementedError\(?\)?[ \t]*$", re.MULTILINE)
_ALONE = re.compile(r"raise NotImplementedError(\(\))?|\.\.\.|…")


def clean(cell: str) -> str:
    """Return a cell's text without what editors on other systems leave: a byte order mark, carriage returns."""
    return cell.removeprefix("\ufeff").replace("\r\n", "\n")


def first_line(cell: str) -> str:
    """Return the first line that says something: not a blank one, not a comment, though a parser's directive."""
    for line in cell.splitlines():
        text = line.strip().removeprefix("\ufeff")
        if text and (not text.startswith("#") or _DIRECTIVE.match(text)):
            return text
    return ""


def is_stub(cell: str) -> bool:
    """Say whether a cell holds no answer yet: a grader's stub, alone or among what the teacher gave."""
    if _NBGRADER.search(cell):
        return True
    lines = [line.strip() for line in cell.splitlines()]
    said = [line for line in lines if line and not line.startswith("#")]
    return len(said) == 1 and bool(_ALONE.fullmatch(said[0]))


def content_of(cell: str) -> Content:
    """Tell what a cell is by its first line that says anything."""
    if is_stub(cell):
        return "stub"
    line = first_line(cell)
    if not line:
        return "empty"
    if line.startswith(("%", "!", "?")) or line.endswith("?"):
        return "magic"
    if _DIRECTIVE.match(line) or _INSTRUCTION.match(line):
        return "dockerfile"
    return "compose" if _COMPOSE.match(line) else "other"


@dataclass(frozen=True, slots=True)
class CellCommand:
    """One command of a cell and the number of the line that it begins in, from 1."""

    line: int
    text: str


def commands_of(cell: str) -> list[CellCommand]:
    """Return the commands of a ``%%docker`` cell: one a line, as a shell reads lines.

    A backslash at the end or a quote that is open joins the next line; ``#`` begins a comment. A quote that nobody
    closes ends with its line, so that it is told of that line and not of all that follow.
    """
    from pydockmagic.commands.words import open_at_end  # noqa: PLC0415 - %load_ext is to be quick

    lines = cell.split("\n")
    found: list[CellCommand] = []
    at = 0
    while at < len(lines):
        begin, at = at, at + 1
        if not lines[begin].strip() or lines[begin].lstrip().startswith("#"):
            continue
        reason = open_at_end(lines[begin])
        while reason and at < len(lines):
            reason = open_at_end(lines[at], reason.strip("\\"))
            at += 1
        if reason in ("'", '"'):
            at = begin + 1
        found.append(CellCommand(begin + 1, "\n".join(lines[begin:at]).strip()))
    return found
