"""The docker command language: one declarative grammar, turned into client calls and result objects.

``execute(["run", "--rm", "busybox", "true"], Context())`` does what ``docker run --rm busybox true`` does and returns a
``Result``, or raises a ``CommandError`` with docker's own sentence and exit code. Knows nothing of IPython.
"""

from __future__ import annotations

from . import grammar
from .complete import Completion, complete
from .context import (
    BuildProgress,
    Connection,
    Context,
    Output,
    OutputStream,
    PullProgress,
    Quiet,
    Terminal,
)
from .dockerfiles import complete_dockerfile, explain_instruction
from .errors import CommandError, Interrupted, Lost, UsageError, WordsError
from .execute import build, execute, help_text, wants_terminal
from .results import BuildResult, BuildStep, InspectResult, Result, RunResult, TableResult
from .terminal import process_terminal
from .words import operator, plain_words, split

__all__ = [
    "BuildProgress",
    "BuildResult",
    "BuildStep",
    "CommandError",
    "Completion",
    "Connection",
    "Context",
    "InspectResult",
    "Interrupted",
    "Lost",
    "Output",
    "OutputStream",
    "PullProgress",
    "Quiet",
    "Result",
    "RunResult",
    "TableResult",
    "Terminal",
    "UsageError",
    "WordsError",
    "build",
    "complete",
    "complete_dockerfile",
    "execute",
    "explain_instruction",
    "grammar",
    "help_text",
    "operator",
    "plain_words",
    "process_terminal",
    "split",
    "wants_terminal",
]
