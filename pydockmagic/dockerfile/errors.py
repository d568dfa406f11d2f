"""What can be wrong with a Dockerfile; every error knows its lines.

DockerfileError             (first_line, last_line: 1-based, inclusive; 0 where there is no file)
├── ParseError              the text is no Dockerfile (an unterminated heredoc, a bad escape directive)
├── InstructionError        an instruction is unknown, or has the wrong arguments or flags
├── SubstitutionError       quotes that do not close, a ``${...}`` that cannot be expanded
└── IgnorePatternError      a pattern of .dockerignore is malformed
"""

from __future__ import annotations

from typing import Self

__all__ = ["DockerfileError", "IgnorePatternError", "InstructionError", "ParseError", "SubstitutionError", "quote"]


class DockerfileError(Exception):
    """A fault in the text. ``reason`` is the bare sentence, ``hint`` a suggestion, ``str()`` BuildKit's whole one."""

    def __init__(self, reason: str, first_line: int = 0, last_line: int = 0, *, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.first_line = first_line
        self.last_line = last_line or first_line

    def __str__(self) -> str:
        """Say it as BuildKit does for this kind of error."""
        return self.reason + self.hint

    @property
    def classic(self) -> str:
        """Say it as the classic builder does."""
        return self.reason

    def at(self, first_line: int, last_line: int) -> Self:
        """Set the lines, unless they are known already."""
        if not self.first_line:
            self.first_line, self.last_line = first_line, last_line
        return self


class ParseError(DockerfileError):
    """The text cannot be cut into instructions."""


class InstructionError(DockerfileError):
    """An instruction that is unknown or used wrongly."""

    def __str__(self) -> str:
        """``dockerfile parse error on line 2: unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)``."""
        return f"dockerfile parse error on line {self.first_line}: {self.reason}{self.hint}"

    @property
    def classic(self) -> str:
        """``dockerfile parse error line 2: unknown instruction: FOO``."""
        return f"dockerfile parse error line {self.first_line}: {self.reason}"


class SubstitutionError(DockerfileError):
    """A word whose quotes or substitutions are malformed, or a mandatory variable that is not set."""


class IgnorePatternError(DockerfileError):
    """A malformed pattern; ``first_line`` is its number in the list of patterns."""


def quote(text: str) -> str:
    """Quote a string for an error sentence the way Go's ``%q`` does."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f"}
    escapes["\v"] = "\\v"
    out = [escapes.get(c) or (c if c.isprintable() else _code(c)) for c in text]
    return '"' + "".join(out) + '"'


def _code(char: str) -> str:
    number = ord(char)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
