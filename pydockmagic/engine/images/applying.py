"""Dockerfile instructions applied to the config of an image: ``docker import --change``, ``docker commit --change``.

Only the instructions that describe a container are allowed, as in Docker; each changes the part of the config that it
would change in a build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Any

from pydockmagic import dockerfile
from pydockmagic.dockerfile import DockerfileError, Instruction
from pydockmagic.engine.errors import InvalidParameter

__all__ = ["apply_changes"]

_ALLOWED = frozenset(
    {"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_changes(config: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Give a copy of an image's ``config`` object with the changes applied. Raises ``InvalidParameter``."""
    applied = dict(config)
    for text in changes:
        name = text.strip().split(None, 1)[0] if text.strip() else ""
        if name.upper() not in _ALLOWED:
            raise InvalidParameter(f"{name.lower()} is not a valid change command")
        try:
            for node in dockerfile.parse(text).nodes:
                record = dockerfile.parse_instruction(node)
                _apply(applied, dockerfile.expand(record, _environment(applied)))
        except DockerfileError as error:
            raise InvalidParameter(str(error)) from None
    return applied


def _environment(config: dict[str, Any]) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def _apply(config: dict[str, Any], record: Instruction) -> None:
    match record:
        case dockerfile.Env():
            config["Env"] = _merged_env(config.get("Env") or [], [(pair.key, pair.value) for pair in record.pairs])
        case dockerfile.Label():
            config["Labels"] = {**(config.get("Labels") or {}), **{pair.key: pair.value for pair in record.pairs}}
        case dockerfile.Cmd():
            config["Cmd"] = _command(config, record.command, in_shell=record.prepend_shell)
        case dockerfile.Entrypoint():
            config["Entrypoint"] = _command(config, record.command, in_shell=record.prepend_shell)
        case dockerfile.Expose():
            ports: dict[str, Any] = {port: {} for text in record.ports for port in _ports(text)}
            config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **ports}
        case dockerfile.Volume():
            volumes: dict[str, Any] = {path: {} for path in record.volumes}
            config["Volumes"] = {**(config.get("Volumes") or {}), **volumes}
        case dockerfile.User():
            config["User"] = record.user
        case dockerfile.Workdir():
            config["WorkingDir"] = posixpath.normpath(posixpath.join(config.get("WorkingDir") or "/", record.path))
        case dockerfile.StopSignal():
            config["StopSignal"] = record.signal
        case dockerfile.Onbuild():
            config["OnBuild"] = [*(config.get("OnBuild") or []), record.expression]
        case dockerfile.Healthcheck():
            config["Healthcheck"] = _healthcheck(record)
        case _:
            raise InvalidParameter(f"{record.name.lower()} is not a valid change command")


def _command(config: dict[str, Any], command: tuple[str, ...], *, in_shell: bool) -> list[str]:
    return [*(config.get("Shell") or _SHELL), *command] if in_shell else list(command)


def _merged_env(before: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    merged = {entry.partition("=")[0]: entry for entry in before}
    merged |= {key: f"{key}={value}" for key, value in pairs}
    return list(merged.values())


def _ports(text: str) -> list[str]:
    """Spell a port or a range of ports out: ``8000-8001/udp`` is two."""
    match = _PORT.fullmatch(text)
    if match is None:
        raise InvalidParameter(f"invalid containerPort: {text}")
    first, last, protocol = int(match[1]), int(match[2] or match[1]), (match[3] or "tcp").lower()
    if not 0 <= first <= last <= 65535:
        raise InvalidParameter(f"invalid containerPort: {text}")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _healthcheck(record: dockerfile.Healthcheck) -> dict[str, Any]:
    found = {
        "Test": list(record.test),
        "Interval": record.interval,
        "Timeout": record.timeout,
        "StartPeriod": record.start_period,
        "StartInterval": record.start_interval,
        "Retries": record.retries,
    }
    return {name: value for name, value in found.items() if value}
