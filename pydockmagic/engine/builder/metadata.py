"""Instructions that change only the config: what each does to it, and what it is called in the history.

Dockerfile reference; the texts are the classic builder's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from pydockmagic.dockerfile import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from pydockmagic.engine.errors import EngineError

from .gotext import health_text, plain_list, quoted_list
from .image import StageImage
from .signals import is_signal

__all__ = ["apply_metadata", "command_line", "new_working_dir"]

_PORT = re.compile(r"(?:.*:)?(\d+)(?:-(\d+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")


def command_line(record: Cmd | Entrypoint, image: StageImage) -> list[str]:
    """Give the command of a shell or exec form."""
    words = list(record.command)
    return [*image.shell, *words] if record.prepend_shell else words


def apply_metadata(record: Instruction, image: StageImage) -> str:
    """Change the config as an instruction says (its variables are expanded); gives its text for the history.

    Raises EngineError in Docker's words.
    """
    match record:
        case Env():
            image.set_env([(pair.key, pair.value) for pair in record.pairs])
            return "ENV " + " ".join(f"{pair.key}={pair.value}" for pair in record.pairs)
        case Label():
            image.set("Labels", {**(image.config.get("Labels") or {}), **{p.key: p.value for p in record.pairs}})
            return "LABEL " + " ".join(f"{pair.key}={pair.value}" for pair in record.pairs)
        case Arg():
            for arg in record.args:
                image.args.declare(arg.key, arg.value)
            return "ARG " + " ".join(a.key if a.value is None else f"{a.key}={a.value}" for a in record.args)
        case Maintainer():
            image.author = record.maintainer
            return f"MAINTAINER {record.maintainer}"
        case Cmd() | Entrypoint():
            return _command(record, image)
        case Expose():
            ports: dict[str, dict[str, str]] = {port: {} for text in record.ports for port in _ports(text)}
            image.set("ExposedPorts", {**(image.config.get("ExposedPorts") or {}), **ports})
            return "EXPOSE " + " ".join(record.ports)
        case Volume():
            volumes: dict[str, dict[str, str]] = {volume: {} for volume in record.volumes}
            image.set("Volumes", {**(image.config.get("Volumes") or {}), **volumes})
            return f"VOLUME {plain_list(record.volumes)}"
        case _:
            return _plain(record, image)


def _plain(record: Instruction, image: StageImage) -> str:
    match record:
        case User():
            image.set("User", record.user)
            return f"USER {record.user}"
        case StopSignal():
            if not is_signal(record.signal):
                raise EngineError(f"Invalid signal: {record.signal}")
            image.set("StopSignal", record.signal)
            return f"STOPSIGNAL {record.signal}"
        case Shell():
            image.set("Shell", list(record.shell))
            return f"SHELL {plain_list(record.shell)}"
        case Onbuild():
            image.set("OnBuild", [*(image.config.get("OnBuild") or []), record.expression])
            return f"ONBUILD {record.expression}"
        case Healthcheck():
            image.set("Healthcheck", _health(record))
            return f"HEALTHCHECK {health_text(record)}"
        case _:
            raise EngineError(f"unsupported command type: {record.name}")


def _command(record: Cmd | Entrypoint, image: StageImage) -> str:
    words = command_line(record, image)
    if isinstance(record, Cmd):
        image.set("Cmd", words)
        image.cmd_set = True
        return f"CMD {quoted_list(words)}"
    image.set("Entrypoint", words if record.command else None)
    if not image.cmd_set:
        image.set("Cmd", None)  # a CMD of the base image was meant for its own entry point
    return f"ENTRYPOINT {quoted_list(words)}"


def _health(record: Healthcheck) -> dict[str, object]:
    fields: Sequence[tuple[str, object]] = (
        ("Test", list(record.test)),
        ("Interval", record.interval),
        ("Timeout", record.timeout),
        ("StartPeriod", record.start_period),
        ("StartInterval", record.start_interval),
        ("Retries", record.retries),
    )
    return {key: value for key, value in fields if value}


def _ports(text: str) -> list[str]:
    ports, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if not text.partition("/")[0]:
        raise EngineError("No port specified: <empty>")
    match = _PORT.fullmatch(ports)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if match is None or first > 65535 or last > 65535 or last < first:
        raise EngineError(f"Invalid containerPort: {ports.rsplit(':', 1)[-1]}")
    if protocol not in _PROTOCOLS:
        raise EngineError(f"Invalid proto: {protocol}")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def new_working_dir(path: str, current: str) -> str:
    """Give the absolute, tidy form of a WORKDIR. Raises EngineError."""
    if not path:
        raise EngineError("cannot normalize nothing")
    whole = posixpath.normpath(posixpath.join("/", current, path))
    return "/" + whole.lstrip("/")
