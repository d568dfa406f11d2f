"""Completing a line: subcommands and options from the grammar, names of images and containers from the daemon."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import grammar
from .errors import CommandError
from .words import split

if TYPE_CHECKING:
    from .context import Context

__all__ = ["Completion", "complete"]


@dataclass(frozen=True, slots=True)
class Completion:
    """A word that fits: it replaces ``line[start:end]``. ``kind`` is ``command``, ``option``, ``image`` or the like."""

    text: str
    start: int
    end: int
    kind: str
    help: str = ""


def complete(line: str, cursor: int | None = None, context: Context | None = None) -> list[Completion]:
    """Return what may stand at the cursor of a line that follows ``docker``.

    The daemon is asked for names only where a connection is already open: completing never starts an engine and never
    fails.
    """
    cursor = len(line) if cursor is None else cursor
    start = cursor
    while start > 0 and not line[start - 1].isspace():
        start -= 1
    prefix = line[start:cursor]
    try:
        before = split(line[:start])
    except CommandError:
        return []
    found = _candidates(before, prefix, context)
    return [
        Completion(text, start, cursor, kind, about)
        for text, kind, about in sorted(set(found))
        if text.startswith(prefix) and text != prefix
    ]


def _candidates(before: list[str], prefix: str, context: Context | None) -> Iterable[tuple[str, str, str]]:
    if not before:
        return _entries(grammar.top_level())
    try:
        found = grammar.find(before)
    except CommandError:
        return []
    if isinstance(found.entry, grammar.Group):
        return _entries(grammar.names_below(found.entry.path))
    command = found.entry
    rest = list(found.rest)
    if prefix.startswith("-") and not (command.stops and _arguments(command, rest)):
        return [(f"--{o.name}", "option", o.help.split("\n")[0]) for o in command.options if not o.hidden]
    if context is None or not context.connection.is_open:
        return []
    from .names import names_for  # noqa: PLC0415 - only with a daemon at hand

    waiting = _waiting_option(command, rest)
    return names_for(command, waiting, len(_arguments(command, rest)), context.client)


def _entries(names: dict[str, tuple[grammar.Command | grammar.Group, str]]) -> list[tuple[str, str, str]]:
    listed = {name: entry for name, (entry, _) in names.items() if not getattr(entry, "unlisted", False)}
    return [(name, "command", entry.about) for name, entry in listed.items()]


def _waiting_option(command: grammar.Command, words: list[str]) -> str | None:
    """Return the option whose value stands next, if any."""
    if not words or not words[-1].startswith("-") or "=" in words[-1]:
        return None
    last = words[-1]
    option = command.by_name.get(last[2:]) if last.startswith("--") else command.by_short.get(last[-1])
    return option.name if option is not None and option.kind != "bool" else None


def _arguments(command: grammar.Command, words: list[str]) -> list[str]:
    try:
        return grammar.parse(_lenient(command), command.path, words).arguments
    except (CommandError, grammar.HelpAsked):
        return []


def _lenient(command: grammar.Command) -> grammar.Command:
    from dataclasses import replace  # noqa: PLC0415

    return replace(command, arity=grammar.Arity())
