"""A cell on its way to IPython: what IPython would refuse in words of its own, on standard error, is handed on or told.

IPython's ``UsageError`` is a stream and no error output: Run All goes on, and a grader takes the points away. So a cell
magic with nothing below it reaches the magic, a magic in the wrong form gives our sentence, and a byte order mark or a
tab behind a magic's name is no riddle.
"""

from __future__ import annotations

import re

from .cells import BOTH_FORMS, CELL_ONLY, LINE_ONLY, LOOKS
from .errors import DockerError

__all__ = ["is_command", "refuse_form", "transform"]

_OURS = "|".join((*CELL_ONLY, *LINE_ONLY, *BOTH_FORMS))
_HEAD = re.compile(rf"([ \t]*)(%%?)({_OURS})(?![\w?])[ \t\u00a0]*(.*)", re.DOTALL)
_ASSIGNED = re.compile(rf"[ \t]*[A-Za-z_]\w*\s*=\s*(?:(%%)({_OURS})|%({'|'.join(CELL_ONLY)}))(?!\w)")
_COMMANDING = "|".join(name for name in (*LINE_ONLY, *BOTH_FORMS) if name not in LOOKS)
_QUESTION = re.compile(rf"%({_COMMANDING})[ \t]+(\S.*\?\s*)$")
_MAGIC = re.compile(r"[ \t]*(?:[A-Za-z_]\w*\s*=\s*)?(%%?)([A-Za-z]\w*)(?![\w?])")
_BLANK_AFTER = re.compile(rf"^(\s*(?:[A-Za-z_]\w*\s*=\s*)?%({_OURS}))[\t\u00a0]")


def transform(lines: list[str]) -> list[str]:
    """Return the lines of a cell as IPython is to read them."""
    first = next((at for at, line in enumerate(lines) if line.strip("\ufeff \t\r\n")), None)
    if first is None:
        return lines
    above, head, below = lines[:first], lines[first].removeprefix("\ufeff"), lines[first + 1 :]
    match = _HEAD.match(head)
    if match and _asks(match):
        head = f"{match[1]}%{match[3]} {match[4].strip()}\n" if match[4].strip(" ?\r\n") else f"%{match[3]}?\n"
        below = below if match[2] == "%" else []
    elif match:
        indent, percent, name, rest = match[1], match[2], match[3], match[4].strip()
        if refusal := _wrong_form(percent, name, rest, below):
            return refusal
        end = head[len(head.rstrip("\r\n")) :] or "\n"
        head = f"{indent}{percent}{name} {rest}".rstrip() + end
        if percent == "%%":
            return [*above, *(line.removeprefix(indent) for line in (head, *(below or ["\n"])))]
    elif (match := _MAGIC.match(head)) and match[1] == "%%" and (meant := _meant(match[2])):
        return _refusal("name", match[1] + match[2], meant)
    lines = [*above, head, *below]
    if head.lstrip().startswith("%%") or any(mark in line for line in lines for mark in ('"""', "'''")):
        return lines  # another's cell, or text in which ours may only be quoted
    for at, line in enumerate(lines[first:]):
        if refusal := _wrong_line(line, leads=not at):
            return refusal
    return [_asked(_BLANK_AFTER.sub(r"\1 ", line)) for line in lines]


def _asks(match: re.Match[str]) -> bool:
    """Whether the line of a magic asks for help: ``%container ?``, ``%%container run?``."""
    rest = match[4].strip()
    return rest.endswith("?") and (rest.strip("?") == "" or is_command(match[3], rest.rstrip("?")))


def _wrong_form(percent: str, name: str, rest: str, below: list[str]) -> list[str]:
    """Give the refusal of a magic whose form the first line of a cell gets wrong; nothing where it is right."""
    if percent == "%%":
        return _refusal("cell", name, rest) if name in LINE_ONLY else []
    alone = name in BOTH_FORMS and not rest and any(line.strip() for line in below)
    return _refusal("line", name, rest) if alone or name in CELL_ONLY else []


def _wrong_line(line: str, *, leads: bool) -> list[str]:
    """Give the refusal of a line of Python with a magic in the wrong place, or one that is none; ``leads`` the cell."""
    if match := _ASSIGNED.match(line):
        return _refusal("value", match[2] or match[3], "")
    if not leads and (match := _HEAD.match(line)):
        if match[2] == "%%":
            return _refusal("place", match[3], match[4].strip())
        if match[3] in CELL_ONLY and not _asks(match):
            return _refusal("line", match[3], match[4].strip())
    if (match := _MAGIC.match(line)) and (meant := _meant(match[2])):
        return _refusal("name", match[1] + match[2], meant)
    return []


def _asked(line: str) -> str:
    """Return the line that shows the help where a command with a ``?`` asks for it.

    IPython would take the last word alone for a name of Python's, also where it ends an argument.
    """
    match = _QUESTION.match(line)
    if match is None:
        return line
    name, rest = match[1], match[2].rstrip()
    if is_command(name, rest.rstrip("?")):
        rest = f"{rest.rstrip('?')} --help"
    return f"get_ipython().run_line_magic({name!r}, {rest!r})\n"


def _meant(name: str) -> str:
    """Give the magic of ours that was meant by a name which is no magic at all; nothing where none was."""
    from IPython.core.getipython import get_ipython  # noqa: PLC0415

    shell = get_ipython()
    if shell is None or any(name in table for table in shell.magics_manager.magics.values()):
        return ""
    from pydockmagic.commands import grammar  # noqa: PLC0415 - only for mistakes

    if name in grammar.top_level():
        return f"docker {name}"
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(name.lower(), [*CELL_ONLY, *LINE_ONLY, *BOTH_FORMS], n=1, cutoff=0.75)
    return close[0] if close else ""


def is_command(magic: str, text: str) -> bool:
    """Whether these words name a command or a noun of docker's, and nothing more."""
    from pydockmagic.commands import CommandError, grammar, split  # noqa: PLC0415 - only for questions

    try:
        found = grammar.find([*([] if magic == "docker" else [magic]), *split(text)])
    except (CommandError, IndexError):
        return False
    return not found.rest


def _refusal(what: str, name: str, rest: str) -> list[str]:
    """Give the Python that says what is wrong."""
    return [f"__import__({__name__!r}, fromlist=['_']).refuse_form({what!r}, {name!r}, {rest!r})\n"]


def refuse_form(what: str, name: str, rest: str) -> None:
    """Say that a magic was used in a form that it does not have."""
    written = f"%{name} {rest}".rstrip()
    if what == "value":
        hint = f"x = %{name} ... keeps the result of a line" if name not in CELL_ONLY else "_ is its result afterwards"
        raise DockerError(f"%%{name} is the first line of a cell, and no value", hint=hint)
    if what == "name":
        percent = "%%" if rest in CELL_ONLY or (rest in BOTH_FORMS and name.startswith("%%")) else "%"
        raise DockerError(f"{name} is no magic", hint=f"Did you mean {percent}{rest}?")
    if what == "place":
        raise DockerError(
            f"%%{name} is not the first line of its cell",
            hint="put it there: above it only blank lines may stand, and comments go below",
        )
    if what == "line":
        below = "its Dockerfile" if name in CELL_ONLY else "its commands"
        raise DockerError(
            f"%{name} has one percent sign too few", hint=f"%{written} in the first line, and {below} in those below"
        )
    hint = "%%docker runs docker commands, one a line"
    if name == "system":
        hint = "%%sx runs a shell script, as IPython's own %%system does"
    raise DockerError(f"%%{name} takes no cell", hint=f"{written} is a line of its own; {hint}")
