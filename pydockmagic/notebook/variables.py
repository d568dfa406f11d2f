"""Python variables in a docker line: ``{name}``, and nothing else.

IPython's own expansion turns ``{{.Names}}`` into ``{.Names}`` and gives up on the whole line for one unknown ``$NAME``;
our magics switch it off. Here only braces around one plain Python name count; ``{{...}}`` belongs to docker's
templates, ``$NAME``, ``${NAME}`` and ``$(...)`` to the shell in the container.
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

    Raises ``DockerError`` for a name that is not defined.
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

    return [_NAME.sub(value, word) for word in words]
