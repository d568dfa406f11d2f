"""The first words of a line into a command: nouns, verbs, their aliases, top-level names; unknown ones told kindly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from pydockmagic.commands.errors import UsageError

from .load import commands, groups
from .model import Command, Group

__all__ = ["Found", "find", "names_below", "top_level"]


_SWARM = frozenset({"config", "node", "plugin", "secret", "service", "stack", "swarm", "trust"})


@dataclass(frozen=True, slots=True)
class Found:
    """A command or a noun, the name it goes by in messages, and the words that follow."""

    entry: Command | Group
    name: str
    rest: tuple[str, ...]


@cache
def top_level() -> dict[str, tuple[Command | Group, str]]:
    """Return every first word, with the name that messages use for it."""
    names: dict[str, tuple[Command | Group, str]] = {}
    for path, group in groups().items():
        if " " not in path:
            names[path] = (group, path)
            names.update((alias, (group, path)) for alias in group.aliases)
    for path, command in commands().items():
        if " " not in path:
            names[path] = (command, path)
        if command.top:
            names[command.top] = (command, command.top)
    return names


@cache
def names_below(noun: str) -> dict[str, tuple[Command | Group, str]]:
    """Return every word that may follow a noun, with the name that messages use for it."""
    names: dict[str, tuple[Command | Group, str]] = {}
    for path, group in groups().items():
        if path.startswith(noun + " ") and " " not in path[len(noun) + 1 :]:
            names[path.rpartition(" ")[2]] = (group, path)
    for path, command in commands().items():
        if command.noun == noun:
            for word in (command.verb, *command.aliases):
                names[word] = (command, path)
    return names


def find(words: Sequence[str]) -> Found:
    """Find the command that the words name; a noun alone gives its group.

    Raises ``UsageError`` for a word that names nothing.
    """
    rest = list(words)
    known = top_level()
    if rest[0] not in known:
        raise _unknown(rest[0], known)
    entry, name = known[rest.pop(0)]
    while isinstance(entry, Group) and rest and not rest[0].startswith("-"):
        known = names_below(entry.path)
        if rest[0] not in known:
            raise _unknown(rest[0], known, entry.path)
        entry, name = known[rest.pop(0)]
    return Found(entry, name, tuple(rest))


def _unknown(word: str, known: Iterable[str], noun: str = "") -> UsageError:
    import difflib  # noqa: PLC0415 - only for mistakes

    before = f"docker {noun} " if noun else "docker "
    close = difflib.get_close_matches(word.lower()[:100], list(known), n=3, cutoff=0.6)
    close = [before + each for each in close] or _elsewhere(word)
    hint = f"Run 'docker {noun} --help' for more information" if noun else "Run 'docker --help' for more information"
    if close:
        meant = " or ".join(f"'{each}'" for each in close)
        hint = f"Did you mean {meant}?\n\n{hint}"
    return UsageError(
        f"docker: unknown command: {before}{word}", 1, usage=f"Usage:  docker {noun}" if noun else "", hint=hint
    )


def _elsewhere(word: str) -> list[str]:
    """Return the commands that go by this word below other nouns, or without one."""
    found = [path for path, command in commands().items() if word in (command.verb, *command.aliases)]
    return [f"docker {path}" for path in sorted(found)[:3] if path.split()[0] not in _SWARM]
