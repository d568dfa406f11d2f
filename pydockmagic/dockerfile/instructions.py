"""Nodes to records: what each instruction demands of its arguments and flags, and the stages they form.

Dockerfile reference; the error sentences are BuildKit's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from .errors import DockerfileError, InstructionError, quote
from .flags import Flags, suggestion
from .heredoc import Heredoc, chomped, read_heredoc
from .mounts import parse_mount
from .parser import Node, Tree, parse
from .records import (
    Add,
    Arg,
    ArgPair,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    InlineFile,
    Instruction,
    KeyValue,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stage,
    StopSignal,
    User,
    Volume,
    Workdir,
)

__all__ = ["parse_dockerfile", "parse_instruction", "parse_tree"]

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_ONBUILD = re.compile(r"(?i)^\s*ONBUILD\s*")
_TRANSFER_FLAGS = {"chown": str, "chmod": str, "link": bool, "exclude": list}
_RUN_FLAGS = {"mount": list, "network": str, "security": str, "device": list}


def parse_dockerfile(text: str) -> Dockerfile:
    """Read a whole Dockerfile. Raises DockerfileError, with the lines."""
    return parse_tree(parse(text))


def parse_tree(tree: Tree) -> Dockerfile:
    """Turn parsed nodes into stages. Raises InstructionError."""
    meta: list[Arg] = []
    stages: list[Stage] = []
    commands: list[list[Instruction]] = []
    for node in tree.nodes:
        record = parse_instruction(node, tree.escape)
        if isinstance(record, Stage):
            stages.append(record)
            commands.append([])
        elif stages:
            commands[-1].append(record)
        elif isinstance(record, Arg):
            meta.append(record)
        else:
            raise DockerfileError("no build stage in current context", node.first_line, node.last_line)
    whole = tuple(replace(stage, commands=tuple(own)) for stage, own in zip(stages, commands, strict=True))
    syntax = next((d.value.split()[0] for d in tree.directives if d.name == "syntax"), "")
    return Dockerfile(whole, tuple(meta), tree.escape, syntax, tree.warnings)


def parse_instruction(node: Node, escape: str = "\\") -> Instruction:
    """Read one node. Raises InstructionError with BuildKit's sentence and the node's lines."""
    try:
        reader = _READERS.get(node.value.lower())
        if reader is None:
            hint = suggestion(node.value, sorted(_READERS))
            raise InstructionError(f"unknown instruction: {node.value}", hint=hint)
        record = reader(_Request(node, node.value.upper(), escape))
    except DockerfileError as error:
        if isinstance(error, InstructionError):
            raise error.at(node.first_line, node.last_line) from None
        raise InstructionError(error.reason, node.first_line, node.last_line) from None
    return replace(record, source=node.original, first_line=node.first_line, last_line=node.last_line)


@dataclass(frozen=True)
class _Request:
    node: Node
    name: str
    escape: str

    @property
    def args(self) -> tuple[str, ...]:
        return self.node.args

    def no_flags(self) -> None:
        Flags(self.node.flags)

    def at_least_one(self) -> None:
        if not self.args:
            raise InstructionError(f"{self.name} requires at least one argument")

    def exactly_one(self) -> str:
        if len(self.args) != 1:
            raise InstructionError(f"{self.name} requires exactly one argument")
        self.no_flags()
        return self.args[0]

    def command_line(self, args: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Give a JSON form as it is, a shell form as one string."""
        args = self.args if args is None else args
        return args if self.node.json or not args else (" ".join(args),)


def _pairs(request: _Request) -> tuple[KeyValue, ...]:
    request.at_least_one()
    request.no_flags()
    triples = zip(request.args[::3], request.args[1::3], request.args[2::3], strict=True)
    pairs = tuple(KeyValue(key, value, separator != "") for key, value, separator in triples)
    if not all(pair.key for pair in pairs):
        raise InstructionError(f"{request.name} names can not be blank")
    return pairs


def _env(request: _Request) -> Instruction:
    return Env(pairs=_pairs(request))


def _label(request: _Request) -> Instruction:
    return Label(pairs=_pairs(request))


def _sources(request: _Request) -> tuple[tuple[str, ...], tuple[InlineFile, ...], str]:
    by_name = {heredoc.name: heredoc for heredoc in request.node.heredocs}
    plain: list[str] = []
    inline: list[InlineFile] = []
    for word in request.args[:-1]:
        heredoc = _heredoc_of(word, by_name, request.escape)
        if heredoc is None:
            plain.append(word)
        else:
            inline.append(_inline(heredoc))
    if _heredoc_of(request.args[-1], by_name, request.escape) is not None:
        raise InstructionError(f"{request.name} cannot accept a heredoc as a destination")
    return tuple(plain), tuple(inline), request.args[-1]


def _heredoc_of(word: str, by_name: dict[str, Heredoc], escape: str) -> Heredoc | None:
    if not by_name or "<<" not in word:
        return None
    found = read_heredoc(word, escape)
    return None if found is None else by_name.get(found.name)


def _inline(heredoc: Heredoc) -> InlineFile:
    content = chomped(heredoc.content) if heredoc.chomp else heredoc.content
    return InlineFile(heredoc.name, content, heredoc.expand)


def _transfer(request: _Request, extra: dict[str, type]) -> tuple[Flags, dict[str, Any]]:
    if len(request.args) < 2:
        raise InstructionError(
            f"{request.name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined",
        )
    flags = Flags(request.node.flags, {**_TRANSFER_FLAGS, **extra})
    sources, contents, destination = _sources(request)
    return flags, {
        "sources": sources,
        "contents": contents,
        "destination": destination,
        "chown": flags.text("chown"),
        "chmod": flags.text("chmod"),
        "link": flags.choice("link") or False,
        "exclude": flags.texts("exclude"),
    }


def _add(request: _Request) -> Instruction:
    flags, common = _transfer(request, {"keep-git-dir": bool, "checksum": str, "unpack": bool})
    add = Add(sources=(), destination="", keep_git_dir=flags.choice("keep-git-dir"))
    return replace(add, checksum=flags.text("checksum"), unpack=flags.choice("unpack"), **common)


def _copy(request: _Request) -> Instruction:
    flags, common = _transfer(request, {"from": str, "parents": bool})
    copy = Copy(sources=(), destination="", from_=flags.text("from"), parents=flags.choice("parents") or False)
    return replace(copy, **common)


def _from(request: _Request) -> Instruction:
    args = request.args
    name = ""
    if len(args) == 3 and args[1].lower() == "as":
        name = args[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise InstructionError(
                f"invalid name for build stage: {quote(args[2])}, name can't start with a number or contain symbols",
            )
    elif len(args) != 1:
        raise InstructionError("FROM requires either one or three arguments")
    flags = Flags(request.node.flags, {"platform": str})
    return Stage(
        base=args[0],
        stage_name=name,
        platform=flags.text("platform"),
        comment=_comment(request.node, name),
    )


def _onbuild(request: _Request) -> Instruction:
    sub = request.node.sub
    if sub is None:
        raise InstructionError(f"{request.name} requires at least one argument")
    request.no_flags()
    trigger = sub.value.upper()
    if trigger == "ONBUILD":
        raise InstructionError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise InstructionError(f"{trigger} isn't allowed as an ONBUILD trigger")
    tails = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in request.node.heredocs)
    return Onbuild(expression=_ONBUILD.sub("", request.node.original) + tails)


def _run(request: _Request) -> Instruction:
    flags = Flags(request.node.flags, _RUN_FLAGS)
    mounts = tuple(parse_mount(text) for text in flags.texts("mount"))
    network, security = flags.text("network"), flags.text("security")
    if network not in ("", "default", "none", "host"):
        raise InstructionError(f"invalid network mode {quote(network)}")
    if security not in ("", "insecure", "sandbox"):
        raise InstructionError(f"security {quote(security)} is not valid")
    return Run(
        command=request.command_line(),
        prepend_shell=not request.node.json,
        files=tuple(_inline(heredoc) for heredoc in request.node.heredocs),
        mounts=mounts,
        network=network or ("default" if "network" in flags.used else ""),
        security=security,
        flags=flags.used,
    )


def _cmd(request: _Request) -> Instruction:
    request.no_flags()
    return Cmd(command=request.command_line(), prepend_shell=not request.node.json)


def _entrypoint(request: _Request) -> Instruction:
    request.no_flags()
    return Entrypoint(command=request.command_line(), prepend_shell=not request.node.json)


def _healthcheck(request: _Request) -> Instruction:
    request.at_least_one()
    kind, args = request.args[0].upper(), request.args[1:]
    if kind == "NONE":
        if args:
            raise InstructionError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(test=("NONE",))
    flags = Flags(
        request.node.flags,
        {"interval": str, "timeout": str, "start-period": str, "start-interval": str, "retries": str},
    )
    if kind != "CMD":
        raise InstructionError(f"unknown type {quote(kind)} in HEALTHCHECK (try CMD)")
    command = request.command_line(args)
    if not command:
        raise InstructionError("missing command after HEALTHCHECK CMD")
    return Healthcheck(
        test=("CMD" if request.node.json else "CMD-SHELL", *command),
        interval=flags.interval("interval"),
        timeout=flags.interval("timeout"),
        start_period=flags.interval("start-period"),
        start_interval=flags.interval("start-interval"),
        retries=_retries(flags.text("retries")),
    )


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise InstructionError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    count = int(text)
    if not -(1 << 31) <= count < 1 << 31:
        raise InstructionError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    if count < 0:
        raise InstructionError(f"--retries cannot be negative ({count})")
    return count


def _expose(request: _Request) -> Instruction:
    request.at_least_one()
    request.no_flags()
    return Expose(ports=tuple(sorted(request.args)))


def _volume(request: _Request) -> Instruction:
    request.at_least_one()
    request.no_flags()
    volumes = tuple(volume.strip() for volume in request.args)
    if not all(volumes):
        raise InstructionError("VOLUME specified can not be an empty string")
    return Volume(volumes=volumes)


def _arg(request: _Request) -> Instruction:
    request.at_least_one()
    request.no_flags()
    pairs: list[ArgPair] = []
    for word in request.args:
        key, equals, value = word.partition("=")
        if equals and not key:
            raise InstructionError(f"{request.name} names can not be blank")
        pairs.append(ArgPair(key, value if equals else None, _comment(request.node, key)))
    return Arg(args=tuple(pairs))


def _comment(node: Node, name: str) -> str:
    """Find the line ``# name what it is for`` above an ARG or FROM."""
    if not name:
        return ""
    starts = (line.split(maxsplit=1) for line in node.comments)
    return next((words[1] for words in starts if len(words) == 2 and words[0] == name), "")


def _shell(request: _Request) -> Instruction:
    request.no_flags()
    request.at_least_one()
    if not request.node.json:
        raise InstructionError(f"SHELL requires the arguments to be in JSON form: {request.node.original}")
    return Shell(shell=request.args)


_READERS: dict[str, Callable[[_Request], Instruction]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": _label,
    "maintainer": lambda request: Maintainer(maintainer=request.exactly_one()),
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": lambda request: StopSignal(signal=request.exactly_one()),
    "user": lambda request: User(user=request.exactly_one()),
    "volume": _volume,
    "workdir": lambda request: Workdir(path=request.exactly_one()),
}
