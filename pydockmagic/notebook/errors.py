"""The one error that a cell shows: Docker's sentence, below it what to do next, no traceback."""

from __future__ import annotations

from typing import Any

__all__ = ["DockerError"]

_RED, _SOFT, _END = "\x1b[31m", "\x1b[2m", "\x1b[0m"


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

    def _render_traceback_(self) -> list[str]:
        """Give the lines that are shown instead of a traceback."""
        lines = [f"{_RED}{self.message}{_END}"]
        if self.hint:
            lines.append(f"{_SOFT}{self.hint}{_END}")
        return lines
