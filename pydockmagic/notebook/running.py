"""Running one command in a cell: what belongs around it, from its words to what is left when it fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import DockerError

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.commands import Result

    from .capture import NotebookOutput
    from .cells import CellCommand

__all__ = ["Finishing", "display_asked", "has_terminal", "refuse_failure", "take_context", "what_was_done"]

_SHOWN_BEFORE, _SHOWN_AFTER, _WIDEST = 3, 6, 80


class Finishing:
    """Sees to it that progress is drawn a last time, also when the command fails or is interrupted."""

    def __init__(self, output: NotebookOutput, source: str = "") -> None:
        self._output = output
        self._source = source
        self.result: Any = None

    def __enter__(self) -> Finishing:  # noqa: PYI034 - never subclassed
        """Hand out the place for the result."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Draw, and show the offending line of a Dockerfile that does not even parse."""
        output = self._output
        output.finish(self.result if output.build.steps else None)
        if error is not None and self._source and not output.drew_build:
            if match := re.search(r"\bline (\d+)", str(error)):
                from .results import show_lines  # noqa: PLC0415 - only for mistakes

                show_lines(self._source, int(match[1]))
        elif self.result is not None and self.result.stderr and not self.result.streamed and not output.wrote:
            output.write("stderr", self.result.stderr)


def refuse_failure(result: Result | None) -> None:
    """Raise a ``DockerError`` where the program of a command that went well failed itself."""
    if result is not None and result.exit_code:
        code = result.exit_code
        raise DockerError(f"the program ended with exit code {code}", exit_code=code, result=result)


def what_was_done(commands: Sequence[CellCommand], failed: int) -> str:
    """Tell of the commands of a cell which were done, which failed and which were not run; of a single one nothing."""
    if len(commands) == 1:
        return ""
    rows = [("done", each) for each in commands[max(0, failed - _SHOWN_BEFORE) : failed]]
    rows.append(("failed", commands[failed]))
    rows += [("not run", each) for each in commands[failed + 1 : failed + 1 + _SHOWN_AFTER]]
    width = len(str(rows[-1][1].line))
    lines = [f"{what:<7}  line {each.line:>{width}}  {_short(each.text)}" for what, each in rows]
    if failed > _SHOWN_BEFORE:
        lines.insert(0, f"done     {failed - _SHOWN_BEFORE} before these")
    if (left := len(commands) - failed - 1 - _SHOWN_AFTER) > 0:
        lines.append(f"not run  {left} after these")
    return "\n".join(lines)


def _short(text: str) -> str:
    first, more, _ = text.partition("\n")
    return f"{first[:_WIDEST]} ..." if more or len(first) > _WIDEST else first


def take_context(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Take ``--context DIR`` out of the words of ``%%dockerfile``; the others are those of docker build."""
    rest: list[str] = []
    directory = None
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--context":
            if at + 1 == len(words):
                raise DockerError("flag needs an argument: --context", exit_code=125, hint="--context FOLDER")
            directory = words[at + 1]
            at += 2
            continue
        if word.startswith("--context="):
            directory = word.removeprefix("--context=")
        else:
            rest.append(word)
        at += 1
    return rest, directory


def display_asked(words: Sequence[str]) -> list[str] | None:
    """Give the path and the arguments of a display, where the words ask for one; help is no display."""
    from pydockmagic.commands import grammar  # noqa: PLC0415 - %load_ext is to be quick

    if not words or words[0].startswith("-") or words[0] not in grammar.top_level():
        return None
    found = grammar.find(words)
    if isinstance(found.entry, grammar.Group) or not found.entry.display:
        return None
    try:
        return [found.entry.path, *grammar.parse(found.entry, found.name, found.rest).arguments]
    except grammar.HelpAsked:
        return None


def has_terminal(client: Client, container: str) -> bool:
    """Whether a container has a terminal that takes keys; what is wrong with it the command itself says."""
    from pydockmagic.client import ClientError  # noqa: PLC0415 - %load_ext is to be quick

    try:
        config = client.container_inspect(container)["Config"]
    except ClientError:
        return False
    return bool(config["Tty"] and config["OpenStdin"])
