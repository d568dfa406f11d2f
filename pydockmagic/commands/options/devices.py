"""Devices, limits and GPUs: ``--device``, ``--device-*-bps``, ``--ulimit``, ``--gpus`` (docker/cli, go-units)."""

from __future__ import annotations

import csv
import re
from pathlib import PurePosixPath
from typing import Any

from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.units import parse_size

__all__ = ["check_device", "gpus", "is_cdi", "parse_device", "throttle", "ulimit", "weight_device"]

_ULIMITS = frozenset(
    {
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
        "rtprio", "rttime", "sigpending", "stack",
    }
)  # fmt: skip
_CDI = re.compile(
    r"[A-Za-z](?:[\w.-]*[A-Za-z0-9])?/[A-Za-z](?:[\w.-]*[A-Za-z0-9])?=[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?$"
)
_CGROUP_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$")


def is_cdi(text: str) -> bool:
    """Whether the text names a device of the Container Device Interface: ``vendor.com/class=name``."""
    return bool(_CDI.match(text))


def _is_mode(text: str) -> bool:
    return bool(text) and len(set(text)) == len(text) and set(text) <= set("rwm")


def check_device(text: str) -> str:
    """Check a ``--device`` value: ``HOST[:CONTAINER][:MODE]``."""
    if is_cdi(text):
        return text
    parts = text.split(":")
    if not 1 <= len(parts) <= 3 or not parts[0]:
        raise ValueProblem(f"bad format for path: {text}")
    if len(parts) == 1:
        container = parts[0]
    else:
        container = parts[1]
        if len(parts) == 3 and not _is_mode(parts[2]):
            raise ValueProblem(f"bad mode specified: {parts[2]}")
        if len(parts) == 2 and _is_mode(parts[1]):
            container = parts[0]
    if not PurePosixPath(container).is_absolute():
        raise ValueProblem(f"{container} is not an absolute path")
    return text


def parse_device(text: str) -> dict[str, str]:
    """Read a ``--device`` value into the API's device mapping."""
    parts = text.split(":")
    source, target, mode = parts[0], "", "rwm"
    if len(parts) == 3:
        target, mode = parts[1], parts[2]
    elif len(parts) == 2:
        if _is_mode(parts[1]):
            mode = parts[1]
        else:
            target = parts[1]
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": mode}


def check_cgroup_rule(text: str) -> str:
    """Check a ``--device-cgroup-rule`` value."""
    if not _CGROUP_RULE.match(text):
        raise ValueProblem(f"invalid device cgroup format '{text}'")
    return text


def throttle(text: str, *, sizes: bool) -> dict[str, Any]:
    """Read ``/dev/sda:1mb`` (with ``sizes``) or ``/dev/sda:1000``."""
    path, colon, rate = text.partition(":")
    if not colon or not path:
        raise ValueProblem(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueProblem(f"bad format for device path: {text}")
    if sizes:
        form = "<device-path>:<number>[<unit>]. Number must be a positive integer. "
        form += "Unit is optional and can be kb, mb, or gb"
        try:
            return {"Path": path, "Rate": parse_size(rate)}
        except ValueError:
            raise ValueProblem(f"invalid rate for device: {text}. The correct format is {form}") from None
    form = "<device-path>:<number>. Number must be a positive integer"
    if not rate.isascii() or not rate.isdigit():
        raise ValueProblem(f"invalid rate for device: {text}. The correct format is {form}")
    return {"Path": path, "Rate": int(rate)}


def weight_device(text: str) -> dict[str, Any]:
    """Read ``/dev/sda:500``."""
    path, colon, weight = text.partition(":")
    if not colon or not path:
        raise ValueProblem(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueProblem(f"bad format for device path: {text}")
    if not weight.isascii() or not weight.isdigit() or not (weight == "0" or 10 <= int(weight) <= 1000):
        raise ValueProblem(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(weight)}


def ulimit(text: str) -> dict[str, Any]:
    """Read ``nofile=512:1024``."""
    name, equals, values = text.partition("=")
    if not equals:
        raise ValueProblem(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueProblem(f"invalid ulimit type: {name}")
    soft_text, colon, hard_text = values.partition(":")
    soft = _limit(soft_text)
    hard = _limit(hard_text) if colon else soft
    if hard != -1 and soft > hard:
        raise ValueProblem(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    if hard != -1 and soft == -1:
        raise ValueProblem(
            f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
        )
    return {"Name": name, "Hard": hard, "Soft": soft}


def _limit(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ValueProblem(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def gpus(text: str) -> dict[str, Any]:
    """Read ``all``, ``2`` or ``count=1,driver=nvidia,"capabilities=compute,utility"``."""
    count: int | None = None
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": None, "Options": {}}
    seen = set()
    for field in next(csv.reader([text])):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", key
        if key in seen:
            raise ValueProblem(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        match key:
            case "driver":
                request["Driver"] = value
            case "count":
                count = _count(value)
            case "device":
                request["DeviceIDs"] = value.split(",")
            case "capabilities":
                request["Capabilities"] = [[*value.split(","), "gpu"]]
            case "options":
                request["Options"] = dict(piece.partition("=")[::2] for piece in next(csv.reader([value])))
            case _:
                raise ValueProblem(f"unexpected key '{key}' in '{field}'")
    if count is None and request["DeviceIDs"] is None:
        count = 1
    request["Count"] = count or 0
    request["Capabilities"] = request["Capabilities"] or [["gpu"]]
    return request


def _count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise ValueProblem(
            f'invalid count ({text}): value must be either "all" or an integer: invalid syntax'
        ) from None
