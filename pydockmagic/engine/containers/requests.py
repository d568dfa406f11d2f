"""From a client's JSON to typed requests: null means "not given", a wrong type is a 400 that names the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from pydockmagic.engine.errors import InvalidParameter

from .config import CreateRequest
from .gojson import fold_keys, type_error

__all__ = ["decode", "decode_create", "without_nulls"]

_KEYED = frozenset(
    {
        "ExposedPorts",
        "Volumes",
        "PortBindings",
        "EndpointsConfig",
        "Labels",
        "Tmpfs",
        "Sysctls",
        "Options",
        "DriverOpts",
    }
)
"""Objects whose keys are the client's own: a null there says something."""

T = TypeVar("T", bound=msgspec.Struct)


def without_nulls(value: Any, *, keep: bool = False) -> Any:
    """Leave out null members, as Go's decoder treats them, but not in maps with keys of the client's choice."""
    if isinstance(value, dict):
        return {
            key: without_nulls(inner, keep=key in _KEYED) for key, inner in value.items() if keep or inner is not None
        }
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, str) and "\0" in value:
        raise InvalidParameter("invalid JSON: a text holds a NUL character, which no program can be given")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise InvalidParameter(f"invalid JSON: number {value} is out of range")
    return value


def decode(body: Mapping[str, Any], type_: type[T]) -> T:
    """Convert a decoded JSON object; raise ``InvalidParameter`` with the place of what is wrong."""
    try:
        return msgspec.convert(without_nulls(fold_keys(body, type_)), type_)
    except msgspec.ValidationError as error:
        raise InvalidParameter(f"invalid JSON: {type_error(error, type_)}") from None


def decode_create(body: Mapping[str, Any]) -> CreateRequest:
    """Read the body of ``POST /containers/create``."""
    if not any(key not in ("HostConfig", "NetworkingConfig") for key in body):
        raise InvalidParameter("Config cannot be empty in order to create a container")
    request = decode(body, CreateRequest)
    memory = (body.get("HostConfig") or {}).get("KernelMemory")
    request.kernel_memory = memory if isinstance(memory, int) else 0
    return request
