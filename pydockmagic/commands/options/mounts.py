"""``--mount``, ``--volume`` and ``--tmpfs`` (docker/cli, opts/mount.go)."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.units import parse_size

__all__ = ["parse_mount", "tmpfs", "volumes"]

Mount = dict[str, Any]
_BARE = frozenset({"readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"})
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse_mount(text: str, directory: Path) -> Mount:
    """Read a ``--mount`` value into the API's ``Mount``; a relative source of a bind is one of ``directory``.

    Raises ``ValueProblem``.
    """
    value = text.strip()
    if not value:
        raise ValueProblem("value is empty")
    mount: Mount = {"Type": "volume"}
    for field in next(csv.reader([value])):
        key, equals, content = field.partition("=")
        key = key.lower().strip()
        if not equals and key not in _BARE:
            raise ValueProblem(f"invalid field '{field}' must be a key=value pair")
        setter = _FIELDS.get(key)
        if setter is None:
            raise ValueProblem(f"unexpected key '{key}' in '{field}'")
        setter(mount, key, content if equals else "true")
    _finish(mount, directory)
    return _ordered(mount)


def _boolean(key: str, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueProblem(f"invalid value for {key}: {text}")


def _plain(name: str) -> Callable[[Mount, str, str], None]:
    def put(mount: Mount, _key: str, text: str) -> None:
        mount[name] = text

    return put


def _kind(mount: Mount, _key: str, text: str) -> None:
    mount["Type"] = text.lower()


def _read_only(mount: Mount, key: str, text: str) -> None:
    mount["ReadOnly"] = _boolean(key, text)


def _group(mount: Mount, name: str) -> dict[str, Any]:
    options: dict[str, Any] = mount.setdefault(name, {"DriverConfig": {}} if name == "VolumeOptions" else {})
    return options


def _option(group: str, name: str) -> Callable[[Mount, str, str], None]:
    def put(mount: Mount, _key: str, text: str) -> None:
        _group(mount, group)[name] = text

    return put


def _switch(group: str, name: str) -> Callable[[Mount, str, str], None]:
    def put(mount: Mount, key: str, text: str) -> None:
        _group(mount, group)[name] = _boolean(key, text)

    return put


def _propagation(mount: Mount, _key: str, text: str) -> None:
    _group(mount, "BindOptions")["Propagation"] = text.lower()


def _recursive(mount: Mount, key: str, text: str) -> None:
    options = _group(mount, "BindOptions")
    match text:
        case "enabled":
            pass
        case "disabled":
            options["NonRecursive"] = True
        case "writable":
            options["ReadOnlyNonRecursive"] = True
        case "readonly":
            options["ReadOnlyForceRecursive"] = True
        case _:
            raise ValueProblem(
                f'invalid value for {key}: {text} (must be "enabled", "disabled", "writable", or "readonly")'
            )


def _label(mount: Mount, _key: str, text: str) -> None:
    key, _, value = text.partition("=")
    _group(mount, "VolumeOptions").setdefault("Labels", {})[key] = value


def _driver(mount: Mount, _key: str, text: str) -> None:
    _group(mount, "VolumeOptions")["DriverConfig"]["Name"] = text


def _driver_option(mount: Mount, _key: str, text: str) -> None:
    key, _, value = text.partition("=")
    _group(mount, "VolumeOptions")["DriverConfig"].setdefault("Options", {})[key] = value


def _tmpfs_size(mount: Mount, key: str, text: str) -> None:
    try:
        _group(mount, "TmpfsOptions")["SizeBytes"] = parse_size(text)
    except ValueError:
        raise ValueProblem(f"invalid value for {key}: {text}") from None


def _tmpfs_mode(mount: Mount, key: str, text: str) -> None:
    try:
        _group(mount, "TmpfsOptions")["Mode"] = int(text, 8)
    except ValueError:
        raise ValueProblem(f"invalid value for {key}: {text}") from None


_FIELDS: dict[str, Callable[[Mount, str, str], None]] = {
    "type": _kind,
    "source": _plain("Source"),
    "src": _plain("Source"),
    "target": _plain("Target"),
    "dst": _plain("Target"),
    "destination": _plain("Target"),
    "readonly": _read_only,
    "ro": _read_only,
    "consistency": _plain("Consistency"),
    "bind-propagation": _propagation,
    "bind-nonrecursive": _switch("BindOptions", "NonRecursive"),
    "bind-recursive": _recursive,
    "bind-create-src": _switch("BindOptions", "CreateMountpoint"),
    "volume-subpath": _option("VolumeOptions", "Subpath"),
    "volume-nocopy": _switch("VolumeOptions", "NoCopy"),
    "volume-label": _label,
    "volume-driver": _driver,
    "volume-opt": _driver_option,
    "image-subpath": _option("ImageOptions", "Subpath"),
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}


def _finish(mount: Mount, directory: Path) -> None:
    """Check what belongs together, and make a relative source absolute."""
    kind = mount["Type"]
    if not kind:
        raise ValueProblem("type is required")
    if not mount.get("Target"):
        raise ValueProblem("target is required")
    for group, prefix in (("VolumeOptions", "volume"), ("BindOptions", "bind"), ("TmpfsOptions", "tmpfs")):
        if group in mount and kind != prefix:
            raise ValueProblem(f"cannot mix '{prefix}-*' options with mount type '{kind}'")
    if "ImageOptions" in mount and kind != "image":
        raise ValueProblem(f"cannot mix 'image-*' options with mount type '{kind}'")
    bind = mount.get("BindOptions", {})
    if bind.get("ReadOnlyNonRecursive") and not mount.get("ReadOnly"):
        raise ValueProblem("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive"):
        if not mount.get("ReadOnly"):
            raise ValueProblem("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
        if bind.get("Propagation") != "rprivate":
            raise ValueProblem(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
            )
    if kind == "bind" and mount.get("Source", "").startswith("."):
        mount["Source"] = os.path.normpath(directory / mount["Source"])


def _ordered(mount: Mount) -> Mount:
    """Put the fields into the API's order and leave out what is false or empty."""
    names = ("Type", "Source", "Target", "ReadOnly", "Consistency")
    found = {name: mount[name] for name in names if mount.get(name)}
    for name in ("BindOptions", "VolumeOptions", "ImageOptions", "TmpfsOptions"):
        options = {key: value for key, value in mount.get(name, {}).items() if value not in (False, "")}
        if options:
            found[name] = options
    return found


def volumes(texts: Iterable[str], directory: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Sort ``--volume`` values into the API's ``Binds`` and the anonymous ``Volumes``.

    A host path that begins with ``.`` is one of ``directory``.
    """
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for text in texts:
        if not text:
            raise ValueProblem("invalid empty volume spec")
        host, colon, rest = text.partition(":")
        if not colon:
            anonymous[text] = {}
            continue
        if not host or not rest or "::" in text or text.endswith(":"):
            raise ValueProblem(f"invalid spec: {text}: empty section between colons")
        if host.startswith("."):
            host = os.path.normpath(directory / host)
        binds.append(f"{host}:{rest}")
    return binds, anonymous


def tmpfs(texts: Iterable[str]) -> dict[str, str]:
    """Read ``--tmpfs`` values: a path, and options after a colon."""
    found = {}
    for text in texts:
        path, _, options = text.partition(":")
        found[path] = options
    return found
