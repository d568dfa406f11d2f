"""What a cell of the Docker kernel is: a Dockerfile, docker commands, Python, or a magic. Pure text in, text out."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Kind", "kind_of", "translated"]

Kind = Literal["empty", "dockerfile", "commands", "python", "magic"]

_FILE_WORDS = (
    "ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME"
    "|WORKDIR"
)
# Docker's instructions may be written small, and so are its commands: `run` in small letters is a command.
_INSTRUCTION = re.compile(rf"(?:{_FILE_WORDS})\s|(?i:FROM\s|ARG\s+\w+)")
_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=", re.IGNORECASE)
_OPTIONS = re.compile(r"#\s*docker\s+build\s+(.*)", re.IGNORECASE)


def kind_of(code: str) -> Kind:
    """Tell what a cell is by its first line that says anything."""
    for line in code.splitlines():
        text = line.strip()
        if not text or (text.startswith("#") and not _DIRECTIVE.match(text)):
            continue
        if text.startswith("%%python"):
            return "python"
        if text.startswith(("%", "!", "?")) or text.endswith("?"):
            return "magic"
        if _DIRECTIVE.match(text) or _INSTRUCTION.match(text):
            return "dockerfile"
        return "commands"
    return "empty"


def translated(code: str) -> str:
    """Give the Python that runs a cell."""
    kind = kind_of(code)
    if kind == "python":
        return code.lstrip().partition("\n")[2]
    if kind == "magic":
        return code
    if kind == "dockerfile":
        return f"get_ipython().run_cell_magic('dockerfile', {build_options(code)!r}, {code!r})"
    if kind == "commands":
        return f"get_ipython().run_cell_magic('docker', '', {code!r})"
    return ""


def build_options(code: str) -> str:
    """Give the options of a Dockerfile cell: those of a comment ``# docker build -t NAME`` in it."""
    for line in code.splitlines():
        if match := _OPTIONS.match(line.strip()):
            return match[1]
    return ""
