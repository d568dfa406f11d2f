"""Asking before something is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydockmagic.commands.errors import CommandError

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context

    from .sink import Sink

__all__ = ["confirm"]

_QUESTION = "Are you sure you want to continue? [y/N] "


def confirm(warning: str, context: Context, sink: Sink) -> bool:
    """Ask whether to go on: a person where there is one, else the standard input; silence is a no.

    Where nobody can answer and nothing is piped in, this fails and says how to do without the question.
    """
    text = f"{warning}\n{_QUESTION}"
    if context.ask is not None:
        return context.ask(text).strip().lower() == "y"
    if context.stdin is None:
        raise CommandError(warning, 1, hint="Nobody can answer here: use --force to go on without the question.")
    sink.out(text)
    answer = b"".join(context.chunks()).split(b"\n")[0]
    return answer.strip().lower() == b"y"
