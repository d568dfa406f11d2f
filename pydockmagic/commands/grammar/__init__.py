"""The grammar of the docker command: tables of nouns, commands and options; finding, parsing, help.

The tables (``tables/*.txt``) are the one description of the language: parsing, help, completion and the user reference
all read them.
"""

from __future__ import annotations

from .find import Found, find, names_below, top_level
from .help import command_help, group_help, root_help
from .load import commands, groups
from .model import Arity, Command, Group, Option
from .parse import HelpAsked, Parsed, parse

__all__ = [
    "Arity",
    "Command",
    "Found",
    "Group",
    "HelpAsked",
    "Option",
    "Parsed",
    "command_help",
    "commands",
    "find",
    "group_help",
    "groups",
    "names_below",
    "parse",
    "root_help",
    "top_level",
]
