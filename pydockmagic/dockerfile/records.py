"""What each instruction says, as typed records: the language that the builder speaks.

Field names are the Dockerfile reference's. Every record knows its ``source`` (the line with continuations joined)
and its lines in the file (1-based, inclusive). Variables in the values are not expanded yet: ``expand.py`` does that.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What all instructions have."""

    source: str = ""
    first_line: int = 0
    last_line: int = 0

    @property
    def name(self) -> str:
        """The instruction's name in capitals."""
        return type(self).__name__.upper()


@dataclass(frozen=True)
class KeyValue:
    """``key=value``; ``delimited`` is false for the old form ``key value``."""

    key: str
    value: str
    delimited: bool = True


@dataclass(frozen=True)
class ArgPair:
    """One build argument; ``value`` is None without a default, ``comment`` what the comment above says of it."""

    key: str
    value: str | None = None
    comment: str = ""


@dataclass(frozen=True)
class InlineFile:
    """A heredoc as a file: its text (tabs already stripped where asked) and whether variables are expanded in it."""

    name: str
    content: str
    expand: bool = True


@dataclass(frozen=True, kw_only=True)
class Env(Instruction):
    """ENV."""

    pairs: tuple[KeyValue, ...]


@dataclass(frozen=True, kw_only=True)
class Label(Instruction):
    """LABEL."""

    pairs: tuple[KeyValue, ...]


@dataclass(frozen=True, kw_only=True)
class Maintainer(Instruction):
    """MAINTAINER (deprecated)."""

    maintainer: str


@dataclass(frozen=True, kw_only=True)
class _Transfer(Instruction):
    sources: tuple[str, ...]
    contents: tuple[InlineFile, ...] = ()
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Add(_Transfer):
    """ADD. ``unpack`` and ``keep_git_dir`` are None when not given."""

    keep_git_dir: bool | None = None
    checksum: str = ""
    unpack: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Copy(_Transfer):
    """COPY."""

    from_: str = ""
    parents: bool = False


@dataclass(frozen=True, kw_only=True)
class Onbuild(Instruction):
    """ONBUILD; ``expression`` is the instruction kept for later, heredocs and all."""

    expression: str


@dataclass(frozen=True, kw_only=True)
class Workdir(Instruction):
    """WORKDIR."""

    path: str


@dataclass(frozen=True)
class MountFlag:
    """``RUN --mount=``: the options as written, in order, without the type."""

    kind: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Command(Instruction):
    command: tuple[str, ...]
    prepend_shell: bool = True
    files: tuple[InlineFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run(_Command):
    """RUN. ``flags`` names the flags that were used."""

    mounts: tuple[MountFlag, ...] = ()
    network: str = ""
    security: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cmd(_Command):
    """CMD."""


@dataclass(frozen=True, kw_only=True)
class Entrypoint(_Command):
    """ENTRYPOINT."""


@dataclass(frozen=True, kw_only=True)
class Healthcheck(Instruction):
    """HEALTHCHECK. Durations in nanoseconds; zero takes over what the base image says."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, kw_only=True)
class Expose(Instruction):
    """EXPOSE; sorted."""

    ports: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class User(Instruction):
    """USER."""

    user: str


@dataclass(frozen=True, kw_only=True)
class Volume(Instruction):
    """VOLUME."""

    volumes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StopSignal(Instruction):
    """STOPSIGNAL."""

    signal: str


@dataclass(frozen=True, kw_only=True)
class Arg(Instruction):
    """ARG."""

    args: tuple[ArgPair, ...]


@dataclass(frozen=True, kw_only=True)
class Shell(Instruction):
    """SHELL."""

    shell: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stage(Instruction):
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


@dataclass(frozen=True)
class Dockerfile:
    """A whole file: the ARGs before the first FROM, the stages, the escape character, and warnings with lines."""

    stages: tuple[Stage, ...]
    meta_args: tuple[Arg, ...] = ()
    escape: str = "\\"
    syntax: str = ""
    warnings: tuple[tuple[str, int], ...] = ()
