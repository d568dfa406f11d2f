"""Completing a line: subcommands and options from the grammar, names of images and containers from the daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import grammar
from .errors import CommandError
from .grammar.help import GLOBAL_OPTIONS
from .words import split

if TYPE_CHECKING:
    from .context import Context

__all__ = ["Completion", "complete"]

_PATIENCE = 2.0
_TAKE_FILES = frozenset({"container cp", "context import", "image import"})


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

    The daemon is asked for names only where a connection is already open, and not waited for any longer than a person
    waits: completing never starts an engine and never fails.
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
    if prefix.startswith("--") and "=" in prefix:
        option, _, value = prefix.partition("=")
        before, prefix, start = [*before, option], value, start + len(option) + 1
    found = _candidates(before, prefix, context)
    return [
        Completion(text, start, cursor, kind, about)
        for text, kind, about in sorted(set(found))
        if text.startswith(prefix) and text != prefix
    ]


def _candidates(before: list[str], prefix: str, context: Context | None) -> Iterable[tuple[str, str, str]]:
    before, waiting = _without_global_options(before)
    if waiting is not None or (not before and prefix.startswith("-")):
        return _global(waiting, prefix, context)
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
    option = _waiting_option(command, rest)
    arguments = _arguments(command, rest)
    if option is None and prefix.startswith("-") and not (command.stops and arguments):
        return [(f"--{o.name}", "option", o.help.split("\n")[0]) for o in command.options if not o.hidden]
    return _values(command, option, arguments, prefix, context)


def _values(
    command: grammar.Command, option: str | None, arguments: list[str], prefix: str, context: Context | None
) -> list[tuple[str, str, str]]:
    """Return what may be an option's value, or the next argument: what is known here, and the names of the daemon."""
    from . import names, values  # noqa: PLC0415 - only where a value stands

    directory = Path.cwd() if context is None else context.directory
    environ = os.environ if context is None else context.environ
    if option is not None:
        found = list(values.known_values(command, option, prefix, directory, environ))
    else:
        found = _known_arguments(command, prefix, directory, environ)
    if context is not None and context.connection.is_open:
        position = len(arguments)
        client = context.client
        found += _in_time(lambda: names.names_for(command, option, position, client))
    taken = set(arguments) if option is None and command.arity.most is None else set()
    return [each for each in found if each[0] not in taken]


def _known_arguments(
    command: grammar.Command, prefix: str, directory: Path, environ: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    from . import values  # noqa: PLC0415

    if command.noun == "context" and command.verb in {"export", "inspect", "rm", "update", "use"}:
        return values.contexts(environ)
    if command.path == "engine use":
        return [("embedded", "engine", "the engine that comes along"), *values.contexts(environ)]
    if command.verb == "build":
        return values.entries(directory, prefix, folders=True)
    if command.path in _TAKE_FILES:
        return values.entries(directory, prefix)
    return []


def _in_time(ask: Callable[[], list[tuple[str, str, str]]]) -> list[tuple[str, str, str]]:
    """Ask the daemon in a thread of its own: who does not answer soon is not waited for."""
    import threading  # noqa: PLC0415 - only with a daemon at hand

    answers: list[list[tuple[str, str, str]]] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True, name="pydock-complete")
    thread.start()
    thread.join(_PATIENCE)
    return answers[0] if answers else []


def _without_global_options(before: list[str]) -> tuple[list[str], grammar.Option | None]:
    """Drop the options before the command; the one whose value comes next is given as well."""
    known = {f"--{each.name}": each for each in GLOBAL_OPTIONS} | {f"-{e.short}": e for e in GLOBAL_OPTIONS if e.short}
    rest = list(before)
    while rest and rest[0].startswith("-"):
        option = known.get(rest.pop(0))
        if option is not None and option.kind != "bool":
            if not rest:
                return [], option
            rest.pop(0)
    return rest, None


def _global(waiting: grammar.Option | None, prefix: str, context: Context | None) -> list[tuple[str, str, str]]:
    if waiting is None:
        return [(f"--{each.name}", "option", each.help) for each in GLOBAL_OPTIONS]
    from . import values  # noqa: PLC0415

    if waiting.name == "context":
        return values.contexts(os.environ if context is None else context.environ)
    if waiting.name in {"config", "tlscacert", "tlscert", "tlskey"}:
        return values.entries(Path.cwd() if context is None else context.directory, prefix)
    return []


def _entries(names: dict[str, tuple[grammar.Command | grammar.Group, str]]) -> list[tuple[str, str, str]]:
    listed = {name: entry for name, (entry, _) in names.items() if not getattr(entry, "unlisted", False)}
    return [(name, "command", entry.about) for name, entry in listed.items()]


def _waiting_option(command: grammar.Command, words: list[str]) -> str | None:
    """Return the option whose value stands next, if any."""
    if not words or (command.stops and _arguments(command, words[:-1])):
        return None
    option = _option(command, words[-1])
    return None if option is None else option.name


def _arguments(command: grammar.Command, words: list[str]) -> list[str]:
    if words and _option(command, words[-1]) is not None:
        words = words[:-1]  # its value is what stands at the cursor
    try:
        return grammar.parse(_lenient(command), command.path, words).arguments
    except (CommandError, grammar.HelpAsked):
        return []


def _option(command: grammar.Command, word: str) -> grammar.Option | None:
    """Return the option that a word ends with, if it takes a value that is not in the word."""
    if not word.startswith("-") or "=" in word or len(word) < 2:
        return None
    option = command.by_name.get(word[2:]) if word.startswith("--") else command.by_short.get(word[-1])
    return option if option is not None and option.kind != "bool" else None


def _lenient(command: grammar.Command) -> grammar.Command:
    from dataclasses import replace  # noqa: PLC0415

    return replace(command, arity=grammar.Arity())
