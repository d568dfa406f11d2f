"""What a cell of the Docker kernel is: a Dockerfile, docker commands, a Compose file, Python, or a magic."""

from __future__ import annotations

import re
from typing import Literal

from pydockmagic.notebook.cells import content_of, first_line
from pydockmagic.notebook.mistakes import compose_refused
from pydockmagic.notebook.transform import is_command

__all__ = ["Kind", "build_options", "kind_of", "refuse_compose", "translated"]

Kind = Literal["empty", "dockerfile", "compose", "commands", "python", "magic"]

_NOUN = re.compile(r"%(?:builder|container|context|docker|image|network|system|volume)\b")
_BARE = re.compile(r"[ \t]*[^ \t%!#?]")
_OPTIONS = re.compile(r"#\s*docker\s+build\s+(.*)", re.IGNORECASE)


def kind_of(code: str) -> Kind:
    """Tell what a cell is by its first line that says anything."""
    content = content_of(code)
    if content == "magic":
        if _NOUN.match(first_line(code)) and any(_BARE.match(line) for line in code.splitlines()):
            return "commands"  # of which one says so too much, rather than Python with a docker line in it
        return "python" if first_line(code).startswith("%%python") else "magic"
    if content == "other" or content == "stub":  # noqa: PLR1714 - mypy narrows no membership
        return "commands"
    return content


def translated(code: str) -> str:
    """Give the Python that runs a cell."""
    kind = kind_of(code)
    if kind == "python":
        return code.lstrip().partition("\n")[2]
    if kind == "magic":
        asked = code.strip().rstrip("?").removeprefix("docker ")
        if asked != code.strip() and is_command("docker", asked):
            return f"get_ipython().run_line_magic('docker', {asked + ' --help'!r})"
        return code
    if kind == "dockerfile":
        return f"get_ipython().run_cell_magic('dockerfile', {build_options(code)!r}, {code!r})"
    if kind == "compose":
        return "__import__('pydockmagic.kernel.cells', fromlist=['_']).refuse_compose()"
    if kind == "commands":
        return f"get_ipython().run_cell_magic('docker', '', {code!r})"
    return ""


def refuse_compose() -> None:
    """Say that a cell was recognised as a Compose file, and what can be done with it now."""
    raise compose_refused()


def build_options(code: str) -> str:
    """Give the options of a Dockerfile cell: those of a comment ``# docker build -t NAME`` in it."""
    for line in code.splitlines():
        if match := _OPTIONS.match(line.strip()):
            return match[1]
    return ""
