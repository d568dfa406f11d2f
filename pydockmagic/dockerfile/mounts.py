"""``RUN --mount=type=cache,target=/x``: reading the flag (Dockerfile reference, "RUN --mount").

Only what can be told without the values of variables is checked here.
"""

from __future__ import annotations

import csv

from .errors import InstructionError
from .records import MountFlag

__all__ = ["parse_mount"]

_BARE = ("readonly", "ro", "readwrite", "rw", "required")


def parse_mount(text: str) -> MountFlag:
    """Read the flag's value. Raises InstructionError with BuildKit's sentence."""
    kind = "bind"
    options: list[tuple[str, str]] = []
    for field in next(csv.reader([text]), []):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals and key not in _BARE:
            raise InstructionError(f"invalid field '{field}' must be a key=value pair")
        if key == "from" and "$" in value:
            raise InstructionError("'from' doesn't support variable expansion, define alias stage instead")
        if key == "type":
            kind = value.lower()
        else:
            options.append((key, value if equals else "true"))
    return MountFlag(kind, tuple(options))
