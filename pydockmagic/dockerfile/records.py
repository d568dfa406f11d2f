"""What each instruction says, as typed records: the language that the builder speaks.

Field names are the Dockerfile reference's. Every record knows its ``source`` (the line with continuations joined)
and its lines in the file (1-based, inclusive). Variables in the values are not expanded yet: ``expand.py`` does that.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "Add",
    "Arg",
    "ArgPair",
    "Cmd",
    "Copy",
    "Dockerfile",
    "Entrypoint",
    "Env",
    "Expose",
    "Healthcheck",
    "InlineFile",
    "Instruction",
    "KeyValue",
    "Label",
    "Maintainer",
    "MountFlag",
    "Onbuild",
    "Run",
    "Shell",
    "Stage",
    "StopSignal",
    "User",
    "Volume",
    "Workdir",
]


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """What all instructions have."""

    source: str = ""
    first_line: int = 0
    last_line: int = 0

    @property
    def name(self) -> str:
        """The instruction's name in capitals."""
        return type(self).__name__.upper()


class KeyValue(msgspec.Struct, frozen=True):
    """``key=value``; ``delimited`` is false for the old form ``key value``."""

    key: str
    value: str
    delimited: bool = True


class ArgPair(msgspec.Struct, frozen=True):
    """One build argument; ``value`` is None without a default, ``comment`` what the comment above says of it."""

    key: str
    value: str | None = None
    comment: str = ""


class InlineFile(msgspec.Struct, frozen=True):
    """A heredoc as a file: its text (tabs already stripped where asked) and whether variables are expanded in it."""

    name: str
    content: str
    expand: bool = True


class Env(Instruction, frozen=True, kw_only=True):
    """ENV."""

    pairs: tuple[KeyValue, ...]


class Label(Instruction, frozen=True, kw_only=True):
    """LABEL."""

    pairs: tuple[KeyValue, ...]


class Maintainer(Instruction, frozen=True, kw_only=True):
    """MAINTAINER (deprecated)."""

    maintainer: str


class _Transfer(Instruction, frozen=True, kw_only=True):
    sources: tuple[str, ...]
    contents: tuple[InlineFile, ...] = ()
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


class Add(_Transfer, frozen=True, kw_only=True):
    """ADD. ``unpack`` and ``keep_git_dir`` are None when not given."""

    keep_git_dir: bool | None = None
    checksum: str = ""
    unpack: bool | None = None


class Copy(_Transfer, frozen=True, kw_only=True):
    """COPY."""

    from_: str = ""
    parents: bool = False


class Onbuild(Instruction, frozen=True, kw_only=True):
    """ONBUILD; ``expression`` is the instruction kept for later, heredocs and all."""

    expression: str


class Workdir(Instruction, frozen=True, kw_only=True):
    """WORKDIR."""

    path: str


class MountFlag(msgspec.Struct, frozen=True):
    """``RUN --mount=``: the options as written, in order, without the type."""

    kind: str
    options: tuple[tuple[str, str], ...] = ()


class _Command(Instruction, frozen=True, kw_only=True):
    command: tuple[str, ...]
    prepend_shell: bool = True
    files: tuple[InlineFile, ...] = ()


class Run(_Command, frozen=True, kw_only=True):
    """RUN. ``flags`` names the flags that were used."""

    mounts: tuple[MountFlag, ...] = ()
    network: str = ""
    security: str = ""
    flags: tuple[str, ...] = ()


class Cmd(_Command, frozen=True, kw_only=True):
    """CMD."""


class Entrypoint(_Command, frozen=True, kw_only=True):
    """ENTRYPOINT."""


class Healthcheck(Instruction, frozen=True, kw_only=True):
    """HEALTHCHECK. Durations in nanoseconds; zero takes over what the base image says."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Expose(Instruction, frozen=True, kw_only=True):
    """EXPOSE; sorted."""

    ports: tuple[str, ...]


class User(Instruction, frozen=True, kw_only=True):
    """USER."""

    user: str


class Volume(Instruction, frozen=True, kw_only=True):
    """VOLUME."""

    volumes: tuple[str, ...]


class StopSignal(Instruction, frozen=True, kw_only=True):
    """STOPSIGNAL."""

    signal: str


class Arg(Instruction, frozen=True, kw_only=True):
    """ARG."""

    args: tuple[ArgPair, ...]


class Shell(Instruction, frozen=True, kw_only=True):
    """SHELL."""

    shell: tuple[str, ...]


class Stage(Instruction, frozen=True, kw_only=True):
    """FROM and all that follows it; ``stage_name`` is in lower case."""

    base: str
    stage_name: str = ""
    platform: str = ""
    comment: str = ""
    commands: tuple[Instruction, ...] = ()

    @property
    def name(self) -> str:
        """A stage begins with FROM."""
        return "FROM"


class Dockerfile(msgspec.Struct, frozen=True):
    """A whole file: the ARGs before the first FROM, the stages, the escape character, and warnings with lines."""

    stages: tuple[Stage, ...]
    meta_args: tuple[Arg, ...] = ()
    escape: str = "\\"
    syntax: str = ""
    warnings: tuple[tuple[str, int], ...] = ()
