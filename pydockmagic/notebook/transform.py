"""A cell on its way to IPython: what IPython would refuse in words of its own, on standard error, is handed on or told.

IPython's ``UsageError`` is a stream and no error output: Run All goes on, and a grader takes the points away. So a cell
magic with nothing below it reaches the magic, a magic in the wrong form gives our sentence, and a byte order mark or a
tab behind a magic's name is no riddle.
"""

from __future__ import annotations

import re

from .errors import DockerError

__all__ = ["is_command", "refuse_form", "transform"]

_CELL_ONLY = ("dockerfile",)
_LINE_ONLY = ("builder", "context", "engine", "inside", "layers", "network", "states", "system", "volume")
_BOTH = ("container", "docker", "image")
_OURS = "|".join((*_CELL_ONLY, *_LINE_ONLY, *_BOTH))
_HEAD = re.compile(rf"\ufeff?(%%?)({_OURS})(?![\w?])[ \t\u00a0]*(.*)", re.DOTALL)
_QUESTION = re.compile(r"%(builder|container|context|docker|engine|image|network|system|volume)[ \t]+(\S.*\?\s*)$")
_MAGIC = re.compile(r"\ufeff?(%%?)([A-Za-z]\w*)(?![\w?])")
_BLANK_AFTER = re.compile(rf"^(\s*(?:[A-Za-z_]\w*\s*=\s*)?%({_OURS}))[\t\u00a0]")


def transform(lines: list[str]) -> list[str]:
    """Return the lines of a cell as IPython is to read them."""
    first = next((at for at, line in enumerate(lines) if line.strip("\ufeff \t\r\n")), None)
    if first is None:
        return lines
    match = _HEAD.match(lines[first])
    if match and not match[3].rstrip().endswith("?"):
        percent, name, rest = match[1], match[2], match[3].strip()
        below = [line for line in lines[first + 1 :] if line.strip()]
        if percent == "%%" and name in _LINE_ONLY:
            return _refusal("cell", name, rest)
        if percent == "%" and (name in _CELL_ONLY or (name in _BOTH and not rest and below)):
            return _refusal("line", name, rest)
        end = lines[first][len(lines[first].rstrip("\r\n")) :] or "\n"
        head = f"{percent}{name} {rest}".rstrip() + end
        lines = [*lines[:first], head, *lines[first + 1 :]]
        if percent == "%%":
            return lines if len(lines) > first + 1 else [*lines, "\n"]
    if (match := _MAGIC.match(lines[first])) and match[1] == "%%" and (meant := _meant(match[2])):
        return _refusal("name", match[1] + match[2], meant)
    if lines[first].startswith("%%") or any(mark in line for line in lines for mark in ('"""', "'''")):
        return lines  # another's cell, or text in which ours may only be quoted
    for at, line in enumerate(lines[first:]):
        if at and (match := _HEAD.match(line)):
            if match[1] == "%%":
                return _refusal("place", match[2], match[3].strip())
            if match[2] in _CELL_ONLY and not match[3].rstrip().endswith("?"):
                return _refusal("line", match[2], match[3].strip())
        if (match := _MAGIC.match(line)) and (meant := _meant(match[2])):
            return _refusal("name", match[1] + match[2], meant)
    return [_asked(_BLANK_AFTER.sub(r"\1 ", line)) for line in lines]


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

    close = difflib.get_close_matches(name.lower(), [*_CELL_ONLY, *_LINE_ONLY, *_BOTH], n=1, cutoff=0.75)
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
    if what == "name":
        percent = "%%" if rest in _CELL_ONLY or (rest in _BOTH and name.startswith("%%")) else "%"
        raise DockerError(f"{name} is no magic", hint=f"Did you mean {percent}{rest}?")
    if what == "place":
        raise DockerError(
            f"%%{name} is not the first line of its cell",
            hint="put it there: above it only blank lines may stand, and comments go below",
        )
    if what == "line":
        below = "its Dockerfile" if name in _CELL_ONLY else "its commands"
        raise DockerError(
            f"%{name} has one percent sign too few", hint=f"%{written} in the first line, and {below} in those below"
        )
    hint = "%%docker runs docker commands, one a line"
    if name == "system":
        hint = "%%sx runs a shell script, as IPython's own %%system does"
    raise DockerError(f"%%{name} takes no cell", hint=f"{written} is a line of its own; {hint}")
