"""Inspect data as Go sees it: which JSON objects are structs and which are maps, and which fields may be absent.

In Go an unknown field of a struct is an error, a missing key of a map is not; an absent optional field is nil.
"""

from __future__ import annotations

from typing import Any

from pydockmagic.commands.template import Struct

__all__ = ["as_go"]

# Keys whose value is a map from names to something (API 1.50: additionalProperties).
_MAPS = frozenset(
    {
        "Labels", "Annotations", "Networks", "Ports", "PortBindings", "ExposedPorts", "Volumes", "Sysctls", "Tmpfs",
        "Options", "DriverOpts", "Containers", "StorageOpt", "Data", "Status", "Attributes",
    }
)  # fmt: skip
# `Config` and `Status` are structs in one place and maps or texts in another: by parent.
_MAP_PATHS = frozenset({("LogConfig", "Config")})
_STRUCT_PATHS = frozenset({("ContainerConfig", "Config")})
# Fields that the API leaves out where they are empty.
_OPTIONAL = frozenset(
    {
        "Health", "Healthcheck", "StopSignal", "StopTimeout", "Shell", "MacAddress", "ExposedPorts", "Init", "Mounts",
        "Tmpfs", "Sysctls", "StorageOpt", "Runtime", "Annotations", "SizeRw", "SizeRootFs", "ImageManifestDescriptor",
        "Variant", "OsVersion", "Node", "NetworkDisabled", "ArgsEscaped", "ClusterVolume", "UsageData", "Status",
        "CreatedAt", "BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions", "Driver", "Name",
    }
)  # fmt: skip


def as_go(value: Any, key: str = "", parent: str = "") -> Any:
    """Return inspect data with its structs marked."""
    if isinstance(value, list):
        return [as_go(each, key, parent) for each in value]
    if not isinstance(value, dict):
        return value
    if _is_map(key, parent):
        return {name: _entry(each, name, key) for name, each in value.items()}
    fields = {name: as_go(each, name, key) for name, each in value.items()}
    return Struct(fields, f"*{key or 'types'}", _OPTIONAL - fields.keys())


def _is_map(key: str, parent: str) -> bool:
    return (parent, key) in _MAP_PATHS or (key in _MAPS and (parent, key) not in _STRUCT_PATHS)


def _entry(value: Any, _name: str, key: str) -> Any:
    """Return a map's value: its keys are names, so what is inside is a struct again."""
    return as_go(value, f"{key} entry", key)
