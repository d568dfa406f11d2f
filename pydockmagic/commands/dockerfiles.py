"""Completing and explaining a Dockerfile: instructions, their flags, images after FROM, stages after ``--from=``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydockmagic.dockerfile.reference import INSTRUCTIONS

from .complete import Completion
from .values import entries

if TYPE_CHECKING:
    from .context import Context

__all__ = ["complete_dockerfile", "explain_instruction"]

_STAGE = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)


def complete_dockerfile(text: str, cursor: int | None = None, context: Context | None = None) -> list[Completion]:
    """Return what may stand at the cursor. The daemon is asked for images only where a connection is open."""
    cursor = len(text) if cursor is None else cursor
    before = text[:cursor]
    line = before.rpartition("\n")[2]
    prefix = re.search(r"\S*$", line)[0]  # type: ignore[index]  # matches always
    start = cursor - len(prefix)
    words = line[: len(line) - len(prefix)].split()
    if _continues(before):
        return []
    if not words:
        small = prefix.islower()
        found = [
            (f"{name.lower() if small else name} ", "instruction", INSTRUCTIONS[name].about) for name in INSTRUCTIONS
        ]
    else:
        found = list(_arguments(words[0].upper(), words[1:], prefix, before, context))
    return [
        Completion(each, start, cursor, kind, about)
        for each, kind, about in sorted(set(found))
        if each.startswith(prefix) and each != prefix
    ]


def explain_instruction(text: str, cursor: int) -> str | None:
    """Return what the instruction at the cursor is for; ``None`` where there is none."""
    start = text.rfind("\n", 0, cursor) + 1
    while start and _continues(text[:start]):
        start = text.rfind("\n", 0, start - 1) + 1
    words = text[start:].split(None, 1)
    found = INSTRUCTIONS.get(words[0].upper()) if words else None
    if found is None:
        return None
    layer = "Makes a layer." if found.layer else "Makes no layer: it changes the image's configuration only."
    flags = f"\nFlags: {' '.join(found.flags)}" if found.flags else ""
    return f"{found.usage}\n\n{found.about}\n{layer}{flags}"


def _continues(before: str) -> bool:
    """Whether the line at the end of a text goes on from the one above."""
    lines = before.split("\n")
    return len(lines) > 1 and lines[-2].rstrip().endswith("\\")


def _arguments(
    instruction: str, words: list[str], prefix: str, before: str, context: Context | None
) -> Iterable[tuple[str, str, str]]:
    found = INSTRUCTIONS.get(instruction)
    if found is None:
        return
    first = all(word.startswith("--") for word in words)
    if prefix.startswith("--from="):
        yield from ((f"--from={name}", "stage", about) for name, about in _stages(before))
    elif prefix.startswith("-") and first:
        yield from ((flag, "flag", "") for flag in found.flags)
    elif instruction == "FROM" and first:
        yield ("scratch", "image", "the empty image")
        yield from ((name, "stage", about) for name, about in _stages(before) if not name.isdecimal())
        yield from _images(context)
    elif instruction == "ONBUILD" and not words:
        yield from ((f"{name} ", "instruction", each.about) for name, each in INSTRUCTIONS.items())
    elif (
        instruction in {"COPY", "ADD"} and context is not None and not any(word.startswith("--from") for word in words)
    ):
        yield from entries(context.directory, prefix, inside=True)


def _stages(before: str) -> list[tuple[str, str]]:
    """List the stages above the cursor: by name, or by number where they have none."""
    above = before.rpartition("\n")[0]
    return [(match[2] or str(number), f"on {match[1]}") for number, match in enumerate(_STAGE.finditer(above))]


def _images(context: Context | None) -> list[tuple[str, str, str]]:
    if context is None or not context.connection.is_open:
        return []
    from pydockmagic.client import ClientError  # noqa: PLC0415 - only with a daemon at hand

    from .names import image_names  # noqa: PLC0415

    try:
        return image_names(context.client)
    except ClientError:
        return []
