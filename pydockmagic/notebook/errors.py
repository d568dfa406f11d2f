"""The one error that a cell shows: Docker's sentence, below it what to do next, no traceback."""

from __future__ import annotations

from typing import Any

__all__ = ["DockerError"]

_RED, _SOFT, _END = "\x1b[31m", "\x1b[2m", "\x1b[0m"
_WIDEST = 1000


class DockerError(Exception):
    """A docker command failed in a cell.

    ``exit_code`` is what the docker command would exit with, ``result`` what was done before it failed. IPython asks
    ``_render_traceback_`` how the error is to look: so the cell fails, Run All stops and graders see it, and the reader
    sees a sentence.
    """

    def __init__(self, message: str, *, exit_code: int = 1, hint: str = "", result: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint
        self.result = result

    def advise(self, advice: str) -> None:
        """Take advice that fits better than what docker says in general (its usage, its help); none changes nothing."""
        if advice and advice not in self.hint:
            self.hint = advice

    def suggest(self, step: str) -> None:
        """Name the next step, above what docker says in general; where one was named already nothing changes."""
        if step and (not self.hint or self.hint.startswith(("Usage:", "Run '", "See '"))):
            self.hint = "\n".join(part for part in (step, self.hint) if part)

    def add(self, remark: str) -> None:
        """Add a remark below the next step."""
        self.hint = "\n".join(part for part in (self.hint, remark) if part)

    def _render_traceback_(self) -> list[str]:
        """Give the lines that are shown instead of a traceback; a word of a megabyte is not shown whole."""
        parts = [(_RED, _cut(self.message)), (_SOFT, _cut(self.hint))]
        return [f"{colour}{text}{_END}" if _in_colour() else text for colour, text in parts if text]


def _cut(text: str) -> str:
    if len(text) <= _WIDEST:
        return text
    return f"{text[:_WIDEST]}... ({len(text) - _WIDEST:,} characters more)"


def _in_colour() -> bool:
    """Whether IPython shows errors in colour: ``ipython --colors=nocolor`` is for files and plain terminals."""
    from IPython import get_ipython  # noqa: PLC0415 - whoever asks for the lines is IPython

    return str(getattr(get_ipython(), "colors", "")).lower() != "nocolor"
