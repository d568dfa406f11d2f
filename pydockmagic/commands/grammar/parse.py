"""Words into a command and its option values, by the rules of spf13/pflag and spf13/cobra, which docker uses.

``-it`` clusters, ``-p80:80``, ``--opt=value`` and ``--opt value``, ``--rm=false``, ``--`` ends options. Error texts are
pflag's and docker's own; option errors exit with 125, wrong argument counts with 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydockmagic.commands.errors import UsageError

from .kinds import ValueProblem, convert
from .model import Command, Option

__all__ = ["HelpAsked", "Parsed", "parse"]

_FLAG_ERROR = 125


class HelpAsked(Exception):
    """``--help`` was among the options."""

    def __init__(self, command: Command, name: str, *, short: bool = False) -> None:
        super().__init__(name)
        self.command = command
        self.name = name
        self.short = short


@dataclass(slots=True)
class Parsed:
    """A command's words, taken apart: ``name`` is the command as typed (``ps`` or ``container ls``)."""

    command: Command
    name: str
    arguments: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def given(self, option: str) -> bool:
        """Whether the option was among the words."""
        return option in self.values

    def __getitem__(self, option: str) -> Any:
        """Return an option's value, its default where it was not given; lists are never ``None``."""
        if option in self.values:
            return self.values[option]
        known = self.command.by_name[option]
        return default_of(known)

    def flag(self, option: str) -> bool:
        """Return a boolean option."""
        return bool(self[option])

    def text(self, option: str) -> str:
        """Return a text option."""
        return str(self[option])

    def number(self, option: str) -> int:
        """Return a number option; 0 where there is no default."""
        return int(self[option] or 0)

    def list(self, option: str) -> list[Any]:
        """Return a repeated option."""
        return list(self[option])


def default_of(option: Option) -> Any:
    """Return what an option is when it is not given."""
    if option.repeats:
        return []
    if option.kind == "bool":
        return option.default == "true"
    if option.default in {"", "[]", "map[]"}:
        return "" if option.kind == "string" else None
    try:
        return convert(option.kind, option.default)
    except ValueProblem:
        return option.default


def usage_line(command: Command, name: str) -> str:
    """Return ``Usage:  docker ps [OPTIONS]``."""
    return f"Usage:  docker {name} {command.usage}".rstrip()


def parse(command: Command, name: str, words: Sequence[str]) -> Parsed:
    """Parse what follows the command's name.

    Raises ``UsageError`` with docker's texts, ``HelpAsked`` for ``--help``.
    """
    parsed = Parsed(command, name)
    reader = _Reader(parsed, list(words))
    reader.run()
    complaint = command.arity.complaint(len(parsed.arguments))
    if complaint:
        raise UsageError(
            f"docker: 'docker {name}' {complaint}",
            1,
            usage=usage_line(command, name),
            hint=f"{command.arity.help_word} 'docker {name} --help' for more information",
        )
    return parsed


class _Reader:
    """Walks over the words once."""

    def __init__(self, parsed: Parsed, words: list[str]) -> None:
        self._parsed = parsed
        self._command = parsed.command
        self._words = words

    def run(self) -> None:
        words = self._words
        while words:
            word = words.pop(0)
            if len(word) < 2 or not word.startswith("-"):
                self._parsed.arguments.append(word)
                if self._command.stops:
                    self._parsed.arguments.extend(words)
                    return
            elif word == "--":
                self._parsed.arguments.extend(words)
                return
            elif word.startswith("--"):
                self._long(word)
            else:
                self._cluster(word)

    def _fail(self, message: str, meant: str = "") -> UsageError:
        name = self._parsed.name
        return UsageError(
            message,
            _FLAG_ERROR,
            usage=usage_line(self._command, name),
            hint=f"{meant}Run 'docker {name} --help' for more information",
        )

    def _long(self, word: str) -> None:
        body = word[2:]
        if body[0] in "-=":
            raise self._fail(f"bad flag syntax: {word}")
        name, equals, value = body.partition("=")
        option = self._command.by_name.get(name)
        if option is None:
            if name == "help":
                raise HelpAsked(self._command, self._parsed.name)
            raise self._fail(f"unknown flag: --{name}", meant=_alike(name, self._command))
        if not equals:
            if option.kind == "bool":
                value = "true"
            elif self._words:
                value = self._words.pop(0)
            else:
                raise self._fail(f"flag needs an argument: --{name}")
        self._set(option, value)

    def _cluster(self, word: str) -> None:
        letters = word[1:]
        while letters:
            letter = letters[0]
            option = self._command.by_short.get(letter)
            if option is None:
                if letter == "h":
                    raise HelpAsked(self._command, self._parsed.name, short=True)
                raise self._fail(f"unknown shorthand flag: {letter!r} in -{letters}")
            if len(letters) > 2 and letters[1] == "=":
                value, letters = letters[2:], ""
            elif option.kind == "bool":
                value, letters = "true", letters[1:]
            elif len(letters) > 1:
                value, letters = letters[1:], ""
            elif self._words:
                value, letters = self._words.pop(0), ""
            else:
                raise self._fail(f"flag needs an argument: {letter!r} in -{letters}")
            self._set(option, value)

    def _set(self, option: Option, text: str) -> None:
        if option.name == "help":
            raise HelpAsked(self._command, self._parsed.name)
        try:
            value = convert(option.kind, text, option.name)
        except ValueProblem as problem:
            raise self._fail(f'invalid argument "{text}" for "{option.spelled}" flag: {problem}') from None
        name = option.name
        if option.deprecated:
            self._parsed.notes.append(f"Flag --{name} has been deprecated, {option.deprecated}")
            name = _HEIRS.get(name, name)
        name = _SYNONYMS.get(name, name)
        if not option.repeats:
            self._parsed.values[name] = value
            return
        held = self._parsed.values.setdefault(name, [])
        if isinstance(value, list):
            held.extend(value)
        else:
            held.append(value)


def _alike(name: str, command: Command) -> str:
    """Ask whether an option was meant that is written nearly so, or begins so."""
    import difflib  # noqa: PLC0415 - only for mistakes

    known = [option.name for option in command.options if not option.hidden]
    close = [each for each in known if len(name) > 1 and each.startswith(name)]
    close = close or difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.7)
    return f"Did you mean {' or '.join(f'--{each}' for each in close[:3])}?\n\n" if close else ""


_HEIRS = {"time": "timeout"}
_SYNONYMS = {"net": "network", "net-alias": "network-alias", "dns-opt": "dns-option"}
