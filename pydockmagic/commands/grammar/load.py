"""Reading the tables: text files in docker's own help layout, one for each family of nouns.

A table is a list of entries, one thing a line:

    group container                    a noun
      about Manage containers
    command container ls               a command, by noun and verb
      top ps                           the same at the top level
      aliases list ps                  other verbs for it
      usage [OPTIONS]
      about List containers
      arguments 0                      a number, 1.. or 1..2
      stops                            options end at the first argument
      unlisted                         left out of help and completion
      display                          a picture that the notebook draws, no command of docker's
      option -a, --all   Show all ...  name, kind (nothing for a bool), two blanks, help
      hidden --net network   ...       the same, left out of the help
      like container create            all options of that command as well
      brief Authenticate to a registry the line in lists of commands, where it differs from ``about``

An option's help may go on in lines that begin with ``|``. ``(default X)`` at the end of a help is the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from .model import Arity, Command, Group, Option

__all__ = ["commands", "groups", "read"]

_OPTION = re.compile(r"(?:-(?P<short>\S), )?--(?P<name>[\w-]+)(?: (?P<kind>\S+))?(?:  +(?P<help>.*))?$", re.DOTALL)
_DEFAULT = re.compile(r'\(default (?:"(?P<text>[^"]*)"|(?P<bare>[^)"]*))\)\s*$')
_FORMAT_HELP = """\
Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"""
_TABLE_FORMAT_HELP = """\
Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"""
_SHORTHANDS = {"<format>": _FORMAT_HELP, "<table format>": _TABLE_FORMAT_HELP}


@cache
def _everything() -> tuple[dict[str, Group], dict[str, Command]]:
    found_groups: dict[str, Group] = {}
    found_commands: dict[str, Command] = {}
    for file in sorted((Path(__file__).parent / "tables").glob("*.txt")):
        for entry in read(file.read_text(encoding="utf-8")):
            if isinstance(entry, Group):
                found_groups[entry.path] = entry
            else:
                found_commands[entry.path] = entry
    for path, command in found_commands.items():
        if command.like:
            options = {option.name: option for option in found_commands[command.like].options}
            options.update((option.name, option) for option in command.options)
            found_commands[path] = replace(command, options=tuple(options.values()))
    return found_groups, found_commands


def groups() -> dict[str, Group]:
    """Return all nouns by name."""
    return _everything()[0]


def commands() -> dict[str, Command]:
    """Return all commands by path."""
    return _everything()[1]


def read(text: str) -> Iterator[Group | Command]:
    """Read a table."""
    block: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line.startswith(" ") and block:
            yield _entry(block)
            block = []
        block.append(line)
    if block:
        yield _entry(block)


def _entry(block: list[str]) -> Group | Command:
    what, _, path = block[0].partition(" ")
    fields: dict[str, str] = {}
    options: list[tuple[bool, str]] = []
    more: list[str] = []
    for line in block[1:]:
        key, _, value = line.strip().partition(" ")
        if key in {"option", "hidden"}:
            options.append((key == "hidden", value))
        elif key.startswith("|"):
            hidden, before = options.pop()
            options.append((hidden, f"{before}\n{line.strip()[1:].removeprefix(' ')}"))
        elif key == "more":
            more.append(value)
        else:
            fields[key] = value
    if what == "group":
        return Group(
            path,
            fields["about"],
            fields.get("section", "Management Commands"),
            _words(fields.get("aliases", "")),
            fields.get("brief", ""),
            "\n".join(more),
        )
    return Command(
        path=path,
        usage=fields.get("usage", "").replace("\\n", "\n").replace("\\t", "\t"),
        about=fields["about"],
        arity=_arity(fields.get("arguments", "0..")),
        top=fields.get("top", ""),
        aliases=_words(fields.get("aliases", "")),
        stops="stops" in fields,
        unlisted="unlisted" in fields,
        display="display" in fields,
        options=tuple(_option(text, hidden) for hidden, text in options),
        more="\n".join(more),
        brief=fields.get("brief", ""),
        like=fields.get("like", ""),
        also=tuple(each.strip() for each in fields.get("also", "").split(",") if each.strip()),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _arity(text: str) -> Arity:
    least, dots, most = text.partition("..")
    if not dots:
        return Arity(int(least), int(least))
    return Arity(int(least), int(most) if most else None)


def _option(text: str, hidden: bool) -> Option:
    match = _OPTION.match(text)
    if match is None:
        raise ValueError(f"the grammar's option cannot be read: {text!r}")
    help_text = match["help"] or ""
    deprecated = ""
    if help_text.startswith("deprecated: "):
        deprecated, help_text = help_text.removeprefix("deprecated: "), ""
    help_text = _SHORTHANDS.get(help_text, help_text)
    default = _DEFAULT.search(help_text)
    value = "" if default is None else (default["text"] if default["text"] is not None else default["bare"])
    return Option(
        match["name"], match["short"] or "", match["kind"] or "bool", help_text, value.strip(), hidden, deprecated
    )
