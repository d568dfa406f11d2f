"""What a cell of the Docker kernel is: a Dockerfile, docker commands, a Compose file, Python, or a magic."""

from __future__ import annotations

import re
from typing import Literal

from pydockmagic.notebook.errors import DockerError

__all__ = ["Kind", "build_options", "kind_of", "refuse_compose", "translated"]

Kind = Literal["empty", "dockerfile", "compose", "commands", "python", "magic"]

_FILE_WORDS = (
    "ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME"
    "|WORKDIR"
)
# Docker's instructions may be written small, and so are its commands: `run` in small letters is a command.
_INSTRUCTION = re.compile(rf"(?:{_FILE_WORDS})\s|(?i:FROM\s|ARG\s+\w+)")
_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=", re.IGNORECASE)
_COMPOSE = re.compile(r"(?:services|version|name|networks|volumes|configs|secrets|include|x-[\w.-]+)\s*:(?:\s|$)")
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
        return "compose" if _COMPOSE.match(line) else "commands"
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
    if kind == "compose":
        return "__import__('pydockmagic.kernel.cells', fromlist=['_']).refuse_compose()"
    if kind == "commands":
        return f"get_ipython().run_cell_magic('docker', '', {code!r})"
    return ""


def refuse_compose() -> None:
    """Say that a cell was recognised as a Compose file, and what can be done with it now."""
    raise DockerError(
        "this cell is a Compose file, which the kernel does not run yet",
        hint="Save it as compose.yaml and run docker-compose in a terminal: DOCKER_HOST is what %engine status shows.",
    )


def build_options(code: str) -> str:
    """Give the options of a Dockerfile cell: those of a comment ``# docker build -t NAME`` in it."""
    for line in code.splitlines():
        if match := _OPTIONS.match(line.strip()):
            return match[1]
    return ""
