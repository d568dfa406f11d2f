"""A command that failed, told in Docker's own words.

```
CommandError        exit code, message, what to do next
 +- Interrupted     a person stopped it
 +- Lost            the connection to the daemon broke meanwhile
 +- WordsError      the line cannot be split into words
 +- UsageError      the words do not fit the grammar
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Result

__all__ = ["CommandError", "Interrupted", "Lost", "UsageError", "WordsError"]


class CommandError(Exception):
    """A docker command failed.

    ``message`` is what docker prints on standard error (one or more lines, no end of line), ``exit_code`` what it exits
    with. ``usage`` and ``hint`` are the lines that docker prints below (the usage line; ``Run 'docker run --help' for
    more information``), empty where it prints none. ``result`` holds what the command did before it failed.
    """

    def __init__(
        self,
        message: str,
        exit_code: int = 1,
        *,
        hint: str = "",
        usage: str = "",
        result: Result | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint
        self.usage = usage
        self.result = result

    @property
    def stderr(self) -> str:
        """Everything that docker prints on standard error for this failure."""
        if not self.message:
            return ""
        parts = [self.message + "\n"]
        if self.usage:
            parts.append(f"\n{self.usage}\n")
        if self.hint:
            parts.append(f"\n{self.hint}\n")
        return "".join(parts)


class Interrupted(CommandError):
    """A person interrupted the command; ``message`` says what became of the container. docker prints nothing."""

    @property
    def stderr(self) -> str:
        """Nothing: who pressed the key knows."""
        return ""


class Lost(CommandError):
    """The connection to the daemon broke under the command; ``message`` says what is left.

    ``embedded`` says that it was our own engine's.
    """

    def __init__(
        self, message: str, exit_code: int = 1, *, result: Result | None = None, embedded: bool = False
    ) -> None:
        super().__init__(message, exit_code, result=result)
        self.embedded = embedded


class WordsError(CommandError):
    """The line cannot be split into words."""


class UsageError(CommandError):
    """The words do not fit the grammar: an unknown command or option, a missing argument, a value of the wrong kind."""
