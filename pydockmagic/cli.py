"""``pydock``: docker's command line on the same commands as the notebook, and ``pydock engine serve``.

What is here is only what a program adds: standard streams, questions, exit codes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import BinaryIO

from pydockmagic.commands import (
    BuildProgress,
    CommandError,
    Context,
    Interrupted,
    OutputStream,
    PullProgress,
    execute,
    process_terminal,
)

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:2] == ["engine", "serve"] and not {"--help", "-h"} & set(words):
        _serve(words[2:])
    output = TerminalOutput()
    context = _context(output)
    try:
        result = execute(words, context)
    except Interrupted as error:
        return error.exit_code
    except CommandError as error:
        output.write("stderr", error.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us has gone. Point the stream elsewhere, or the interpreter complains when it flushes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    finally:
        context.connection.close()
    return result.exit_code


def _serve(options: Sequence[str]) -> None:
    """Become the engine: the same process, so that whoever started us supervises it."""
    os.execv(sys.executable, [sys.executable, "-m", "pydockmagic.engine", "serve", *options])  # noqa: S606


def _context(output: TerminalOutput) -> Context:
    # Streams may be closed from the start (`pydock ps <&-`); what is read unbuffered comes as soon as it is typed.
    stdin = None if sys.stdin is None else open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
    person = sys.stdin is not None and sys.stdin.isatty()
    return Context(
        output=output,
        stdin=stdin,
        interactive=person,
        echo=True,
        ask=_ask if person else None,
        secret=_secret if person else None,
        terminal=process_terminal(),
        columns=_columns(),
        binary=None if sys.stdout.isatty() else sys.stdout.buffer,
    )


def _ask(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        return ""


def _secret(question: str) -> str:
    import getpass  # noqa: PLC0415 - only docker login asks for a password

    try:
        return getpass.getpass(question)
    except EOFError:
        return ""


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class TerminalOutput:
    """Texts to the standard streams as they are; on a terminal, pulls as lines that are drawn over."""

    def __init__(self, out: BinaryIO | None = None, err: BinaryIO | None = None) -> None:
        self._streams = {"stdout": out or sys.stdout.buffer, "stderr": err or sys.stderr.buffer}

    @property
    def draws_progress(self) -> bool:
        """Nothing is drawn: docker's own lines say it all, on a terminal and in a file alike."""
        return False

    def write(self, stream: OutputStream, text: str) -> None:
        """Write text at once."""
        if not text:
            return
        target = self._streams[stream]
        target.write(text.encode("utf-8", "surrogateescape"))
        target.flush()

    def program(self, stream: OutputStream, text: str) -> None:
        """Write what a program wrote, to the stream that it wrote to."""
        self.write(stream, text)

    def step(self, progress: BuildProgress) -> None:
        """Nothing to add to docker's own text."""

    def pull(self, progress: PullProgress) -> None:
        """Nothing to add to docker's own text."""


if __name__ == "__main__":
    sys.exit(main())
