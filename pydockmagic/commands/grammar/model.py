"""What a docker command looks like: its words, options and arguments. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["Arity", "Command", "Group", "Option"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: ``kind`` names its type as docker's help does (``bool`` where it takes no value)."""

    name: str
    short: str
    kind: str
    help: str
    default: str = ""
    hidden: bool = False
    deprecated: str = ""

    @property
    def repeats(self) -> bool:
        """Whether each use adds a value."""
        return self.kind in {
            "list",
            "strings",
            "map",
            "filter",
            "ulimit",
            "mount",
            "network",
            "gpu-request",
            "stringToString",
        }

    @property
    def spelled(self) -> str:
        """The option as error messages name it: ``-m, --memory``."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


@dataclass(frozen=True, slots=True)
class Arity:
    """How many arguments a command takes; ``most`` is ``None`` where there is no limit."""

    least: int = 0
    most: int | None = None

    def complaint(self, count: int) -> str | None:
        """Say in docker's words what is wrong with this many arguments, or ``None``."""
        if count >= self.least and (self.most is None or count <= self.most):
            return None
        if self.most == 0:
            return "accepts no arguments"
        if self.most is None:
            return f"requires at least {_arguments(self.least)}"
        if self.least == self.most:
            return f"requires {_arguments(self.least)}"
        if self.least == 0:
            return f"requires at most {_arguments(self.most)}"
        return f"requires at least {self.least} and at most {_arguments(self.most)}"

    @property
    def help_word(self) -> str:
        """The word that docker begins its hint with: ``See`` where only a minimum is asked for."""
        return "See" if self.most is None and self.least else "Run"


def _arguments(count: int) -> str:
    return f"{count} argument{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Command:
    """A command: ``path`` as its noun names it (``container ls``), ``handler`` who carries it out.

    ``top`` is the top-level name that does the same (``ps``); ``aliases`` are other last words (``list``, ``ps``).
    ``stops`` says that options end at the first argument, so that ``run IMAGE ls -l`` keeps its ``-l``.
    ``unlisted`` commands are for programs: no help or completion names them. A ``display`` is no command of docker's
    but a picture that a notebook draws.
    """

    path: str
    usage: str
    about: str
    arity: Arity = field(default_factory=Arity)
    top: str = ""
    aliases: tuple[str, ...] = ()
    stops: bool = False
    options: tuple[Option, ...] = ()
    more: str = ""
    brief: str = ""
    like: str = ""
    also: tuple[str, ...] = ()
    unlisted: bool = False
    display: bool = False

    @property
    def noun(self) -> str:
        """The first word where there are two; empty for ``docker login`` and its like."""
        return self.path.rpartition(" ")[0]

    @property
    def verb(self) -> str:
        """The last word."""
        return self.path.rpartition(" ")[2]

    @cached_property
    def by_name(self) -> dict[str, Option]:
        """Options by long name."""
        return {option.name: option for option in self.options}

    @cached_property
    def by_short(self) -> dict[str, Option]:
        """Options by letter."""
        return {option.short: option for option in self.options if option.short}


@dataclass(frozen=True)
class Group:
    """A noun that has commands of its own: ``container``, ``trust key``."""

    path: str
    about: str
    section: str = "Management Commands"
    aliases: tuple[str, ...] = ()
    brief: str = ""
    more: str = ""
