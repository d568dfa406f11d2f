"""Inspect data as Go sees it: which JSON objects are structs and which are maps, and which fields may be absent.

In Go an unknown field of a struct is an error, a missing key of a map is not; an absent optional field is nil.
"""

from __future__ import annotations

from typing import Any

from pydockmagic.commands.template import GoMap, NilList, Struct

__all__ = ["as_go"]

# Keys whose value is a map from names to something (API 1.50: additionalProperties).
_MAPS = frozenset(
    {
        "Labels", "Annotations", "Networks", "Ports", "PortBindings", "ExposedPorts", "Volumes", "Sysctls", "Tmpfs",
        "Options", "DriverOpts", "Containers", "StorageOpt", "Data", "Status", "Attributes",
    }
)  # fmt: skip
# Maps from names to texts: what is not there is empty.
_TEXT_MAPS = frozenset(
    {"Labels", "Annotations", "Sysctls", "Tmpfs", "Options", "DriverOpts", "StorageOpt", "Data", "Config", "Attributes"}
)
# Keys whose value is a list, which may be null.
_LISTS = frozenset(
    {
        "Binds", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps",
        "BlkioWeightDevice", "CapAdd", "CapDrop", "Cmd", "DeviceCgroupRules", "DeviceRequests", "Devices", "Dns",
        "DnsOptions", "DnsSearch", "Entrypoint", "Env", "ExecIDs", "ExtraHosts", "GroupAdd", "Links", "MaskedPaths",
        "Mounts", "OnBuild", "ReadonlyPaths", "RepoDigests", "RepoTags", "SecurityOpt", "Ulimits", "VolumesFrom",
        "Aliases", "DNSNames", "SecondaryIPAddresses", "SecondaryIPv6Addresses", "Layers",
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
    if value is None:
        return _nil(key, parent)
    if not isinstance(value, dict):
        return value
    if _is_map(key, parent):
        entries = {name: _entry(each, name, key) for name, each in value.items()}
        return GoMap(entries, "" if key in _TEXT_MAPS else None)
    fields = {name: as_go(each, name, key) for name, each in value.items()}
    return Struct(fields, f"*{key or 'types'}", _OPTIONAL - fields.keys())


def _nil(key: str, parent: str) -> Any:
    """Return what null stands for: an empty list or map where Go has one, else nothing."""
    if key in _LISTS:
        return NilList()
    if _is_map(key, parent):
        return GoMap({}, "" if key in _TEXT_MAPS else None, nil=True)
    return None


def _is_map(key: str, parent: str) -> bool:
    return (parent, key) in _MAP_PATHS or (key in _MAPS and (parent, key) not in _STRUCT_PATHS)


def _entry(value: Any, _name: str, key: str) -> Any:
    """Return a map's value: its keys are names, so what is inside is a struct again."""
    return as_go(value, f"{key} entry", key)
