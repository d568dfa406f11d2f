"""What is asked of a mount, what a container mounts, what is remembered of a volume (Engine API v1.50)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType

__all__ = ["BindOptions", "DriverConfig", "MountPoint", "MountSpec", "TmpfsOptions", "VolumeOptions", "VolumeRecord"]


class _Api(msgspec.Struct, rename="pascal", kw_only=True, frozen=True):
    """An object of the API; ``UNSET`` marks what Docker leaves out when it is empty."""


class BindOptions(_Api, frozen=True):
    """What only binds have."""

    propagation: str | UnsetType = UNSET
    non_recursive: bool | UnsetType = UNSET
    create_mountpoint: bool | UnsetType = UNSET
    read_only_non_recursive: bool | UnsetType = UNSET
    read_only_force_recursive: bool | UnsetType = UNSET


class DriverConfig(_Api, frozen=True):
    """The driver that makes a volume, and its options."""

    name: str | UnsetType = UNSET
    options: dict[str, str] | UnsetType = UNSET


class VolumeOptions(_Api, frozen=True):
    """What only volumes have."""

    no_copy: bool | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    subpath: str | UnsetType = UNSET
    driver_config: DriverConfig | UnsetType = UNSET


class TmpfsOptions(_Api, frozen=True):
    """What only a tmpfs has."""

    size_bytes: int | UnsetType = UNSET
    mode: int | UnsetType = UNSET
    options: list[list[str]] | UnsetType = UNSET


class MountSpec(_Api, frozen=True):
    """One ``--mount``."""

    type: str = ""
    source: str | UnsetType = UNSET
    target: str = ""
    read_only: bool | UnsetType = UNSET
    consistency: str | UnsetType = UNSET
    bind_options: BindOptions | UnsetType = UNSET
    volume_options: VolumeOptions | UnsetType = UNSET
    tmpfs_options: TmpfsOptions | UnsetType = UNSET


class MountPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One mount of a container, as ``docker inspect`` lists it. ``kind``: bind, volume or tmpfs."""

    kind: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    writable: bool = True
    propagation: str = ""
    options: tuple[str, ...] = ()
    """Linux mount options (tmpfs)."""
    anonymous: bool = False
    """A volume that was made with this container, and goes with it when asked."""
    copy_up: bool = True
    from_mounts: bool = False
    """Asked for by ``--mount``, whose bind sources must exist."""
    labels: Mapping[str, str] | None = None
    """Of a volume that is made for this mount."""
    driver_options: Mapping[str, str] | None = None
    subpath: str = ""
    """The directory or file inside the volume that is mounted instead of the whole."""
    recursive: bool = True
    """What is mounted below a bind's source comes along."""
    deep_read_only: bool = True
    """A read-only bind makes what is mounted below it read-only as well."""


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One volume."""

    name: str
    created_ns: int
    labels: Mapping[str, str] | None = None
    options: Mapping[str, str] | None = None
    anonymous: bool = False
