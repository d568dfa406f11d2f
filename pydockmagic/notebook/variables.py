"""Python variables in a docker line: ``{name}``, and nothing else.

IPython's own expansion turns ``{{.Names}}`` into ``{.Names}`` and gives up on the whole line for one unknown ``$NAME``;
our magics switch it off. Here only braces around one plain Python name count; ``{{...}}`` belongs to docker's
templates, ``$NAME``, ``${NAME}`` and ``$(...)`` to the shell in the container.

A word that is nothing but ``{name}`` may stand for several: a list for as many words as it has items, what a command
printed for as many as it has lines. So ``ids = %container ls -aq`` and ``%container rm {ids}`` do what
``docker rm $(docker ps -aq)`` does in a shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import DockerError

__all__ = ["expand"]

_NAME = re.compile(r"(?<![{$])\{([A-Za-z_][A-Za-z0-9_]*)\}(?!\})")


def expand(words: Sequence[str], variables: Mapping[str, Any]) -> list[str]:
    """Put the values of variables into words; a value stays in its word, whatever blanks it has.

    Raises ``DockerError`` for a name that is not defined, and for a table, which is no word.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            raise DockerError(
                f"name '{name}' is not defined",
                hint=f"{{{name}}} stands for the Python variable {name}; a docker template has two braces: {{{{...}}}}",
            )
        # A result's text ends like a line: `c = %container run -d ...` and then `%container logs {c}`.
        return str(variables[name]).removesuffix("\n")

    expanded: list[str] = []
    for word in words:
        alone = _NAME.fullmatch(word)
        several = _several(alone[1], variables[alone[1]]) if alone and alone[1] in variables else None
        expanded += [_NAME.sub(value, word)] if several is None else several
    return expanded


def _several(name: str, value: Any) -> list[str] | None:
    """Give the words that a value stands for, if it is of many; ``None`` where it is one."""
    if isinstance(value, str | bytes | int | float):
        return None
    if isinstance(value, list | tuple):
        return [str(each).removesuffix("\n") for each in value]
    from pydockmagic.commands import InspectResult, Result, TableResult  # noqa: PLC0415 - %load_ext is to be quick

    if isinstance(value, TableResult) and value.columns:
        raise DockerError(
            f"{name} is a table, and no word of a docker line",
            hint=f"ls -q gives one word a row, and {name}[0] is the first row",
        )
    if isinstance(value, Result) and not isinstance(value, InspectResult):
        return value.lines
    return [str(each) for each in value.tolist()] if hasattr(value, "tolist") else None
