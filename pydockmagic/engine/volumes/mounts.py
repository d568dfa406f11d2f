"""What a container mounts: ``-v``, ``--mount``, ``--tmpfs``, ``--volumes-from`` and an image's ``VOLUME``.

Specifications as moby's ``volume/mounts`` reads them, in its order and with its sentences.
"""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from pydockmagic.engine.errors import InvalidParameter, NotFound

from . import tmpfs
from .records import BindOptions, DriverConfig, MountPoint, MountSpec, VolumeOptions

__all__ = ["Asked", "collect", "parse_bind"]

_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_CONSISTENCY = frozenset({"consistent", "cached", "delegated"})
_KINDS_OF_MODE = (frozenset({"ro", "rw"}), frozenset({"z", "Z"}), _PROPAGATION, frozenset({"nocopy"}), _CONSISTENCY)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is said about mounts when a container is made."""

    binds: Sequence[str] = ()
    mounts: Sequence[MountSpec] = ()
    tmpfs: Mapping[str, str] = {}
    volumes: Sequence[str] = ()
    """Destinations of anonymous volumes: the image's ``VOLUME`` and ``-v DESTINATION``."""
    volumes_from: Sequence[str] = ()
    driver: str = ""
    """``--volume-driver``: for volumes that ``-v`` makes."""


def parse_bind(text: str, driver: str = "") -> MountPoint:
    """Read one ``-v SOURCE:DESTINATION[:MODES]`` or ``-v DESTINATION``."""
    parts = text.split(":", 3)
    if not parts[0] or len(parts) > 3 or (len(parts) == 2 and _is_mode(parts[1])):
        raise InvalidParameter(f"invalid volume specification: '{text}'")
    source, target = parts[:2] if len(parts) > 1 else ("", parts[0])
    mode = parts[2] if len(parts) == 3 else ""
    if not _is_mode(mode):
        raise InvalidParameter(f"invalid mode: {mode}")
    flags = mode.split(",")
    propagation = next((flag for flag in flags if flag in _PROPAGATION), "")
    volume = None
    if driver or "nocopy" in flags:
        volume = VolumeOptions(
            driver_config=DriverConfig(name=driver) if driver else UNSET, no_copy="nocopy" in flags or UNSET
        )
    spec = MountSpec(
        type="bind" if source.startswith("/") else "volume",
        source=source,
        target=target,
        read_only="ro" in flags,
        bind_options=BindOptions(propagation=propagation) if propagation else UNSET,
        volume_options=volume or UNSET,
    )
    try:
        mount = parse_mount(spec, must_exist=False)
    except InvalidParameter as error:
        raise InvalidParameter(f"invalid volume specification: '{text}': {error}") from None
    return replace(mount, mode=mode or mount.mode, from_mounts=False)


def _is_mode(mode: str) -> bool:
    """Tell whether a text is a list of modes, at most one of each kind."""
    if not mode:
        return True
    flags = mode.split(",")
    known = all(any(flag in kind for kind in _KINDS_OF_MODE) for flag in flags)
    return known and all(sum(flag in kind for flag in flags) <= 1 for kind in _KINDS_OF_MODE)


def parse_mount(spec: MountSpec, *, must_exist: bool = True) -> MountPoint:
    """Read one ``--mount``; the source of a bind must be there unless ``must_exist`` is false."""
    try:
        _check_target(spec.target)
        if spec.type == "bind":
            return _bind(spec, must_exist=must_exist)
        return _READERS.get(spec.type, _unknown)(spec)
    except InvalidParameter as error:
        raise InvalidParameter(f'invalid mount config for type "{spec.type}": {error}') from None


def _check_target(target: str) -> None:
    if not target:
        raise InvalidParameter("field Target must not be empty")
    if posixpath.normpath(target) in ("/", "//"):
        raise InvalidParameter("invalid specification: destination can't be '/'")
    _check_absolute(target)


def _check_absolute(path: str) -> None:
    if not path.startswith("/"):
        raise InvalidParameter(f"invalid mount path: '{path}' mount path must be absolute")


def _clean(path: str) -> str:
    return posixpath.normpath(path).replace("//", "/")


def _bind(spec: MountSpec, *, must_exist: bool) -> MountPoint:
    source = spec.source or ""
    options = spec.bind_options or BindOptions()
    if not source:
        raise InvalidParameter("field Source must not be empty")
    if options.propagation and options.propagation not in _PROPAGATION:
        raise InvalidParameter(f"invalid propagation mode: {options.propagation}")
    if spec.volume_options is not UNSET:
        raise InvalidParameter("field VolumeOptions must not be specified")
    _check_absolute(source)
    create = options.create_mountpoint is True
    if must_exist and not create and not Path(source).exists():
        raise InvalidParameter(f"bind source path does not exist: {source}")
    return MountPoint(
        kind="bind",
        source=_clean(source),
        destination=_clean(spec.target),
        writable=not spec.read_only,
        propagation=options.propagation or "rprivate",
        from_mounts=not create,
        recursive=not options.non_recursive,
        deep_read_only=not options.read_only_non_recursive,
    )


def _volume(spec: MountSpec) -> MountPoint:
    if spec.bind_options is not UNSET:
        raise InvalidParameter("field BindOptions must not be specified")
    name = spec.source or ""
    if not name and spec.read_only:
        raise InvalidParameter("must not set ReadOnly mode when using anonymous volumes")
    options = spec.volume_options or VolumeOptions()
    driver = options.driver_config or DriverConfig()
    return MountPoint(
        kind="volume",
        name=name or secrets.token_hex(32),
        anonymous=not name,
        driver=driver.name or "local",
        driver_options=driver.options or None,
        labels=options.labels or None,
        subpath=_checked_subpath(options.subpath or ""),
        destination=_clean(spec.target),
        mode="z",
        writable=not spec.read_only,
        from_mounts=True,
        copy_up=not options.no_copy,
    )


def _checked_subpath(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise InvalidParameter("subpath must be a relative path within the volume")
    return path


def _tmpfs(spec: MountSpec) -> MountPoint:
    if spec.bind_options is not UNSET:
        raise InvalidParameter("field BindOptions must not be specified")
    if spec.source:
        raise InvalidParameter("field Source must not be specified")
    writable = not spec.read_only
    return MountPoint(
        kind="tmpfs",
        destination=_clean(spec.target),
        writable=writable,
        options=tmpfs.long_form(spec.tmpfs_options, writable=writable),
        from_mounts=True,
    )


def _unknown(_: MountSpec) -> MountPoint:
    raise InvalidParameter("mount type unknown")


_READERS: Mapping[str, Callable[[MountSpec], MountPoint]] = {"volume": _volume, "tmpfs": _tmpfs}


def _short_tmpfs(destination: str, text: str) -> MountPoint:
    """Read one ``--tmpfs DESTINATION[:OPTIONS]``."""
    _check_target(destination)
    options = tmpfs.short_form(text)
    return MountPoint(
        kind="tmpfs", destination=_clean(destination), writable="ro" not in options, mode=text, options=options
    )


def collect(asked: Asked, mounts_of: Callable[[str], Sequence[MountPoint]]) -> list[MountPoint]:
    """Give all mounts of a new container; a later kind takes the place of a copied one, two asked ones clash."""
    found: dict[str, MountPoint] = {}
    for entry in asked.volumes_from:
        for mount in _mounts_from(entry, mounts_of):
            found[mount.destination] = mount
    memory = [_short_tmpfs(destination, options) for destination, options in asked.tmpfs.items()]
    taken = {mount.destination for mount in memory}
    given = [parse_bind(text, asked.driver) for text in asked.binds]
    given += [parse_mount(spec) for spec in asked.mounts]
    for mount in given:
        if mount.destination in taken:
            raise InvalidParameter(f"Duplicate mount point: {mount.destination}")
        taken.add(mount.destination)
        found[mount.destination] = mount
    for mount in memory:
        found[mount.destination] = mount
    for path in asked.volumes:
        destination = _clean(posixpath.join("/", path))
        found.setdefault(destination, _anonymous(destination, asked.driver))
    return list(found.values())


def _anonymous(destination: str, driver: str) -> MountPoint:
    return MountPoint(
        kind="volume", name=secrets.token_hex(32), anonymous=True, driver=driver or "local", destination=destination
    )


def _mounts_from(entry: str, mounts_of: Callable[[str], Sequence[MountPoint]]) -> list[MountPoint]:
    """Read one ``--volumes-from CONTAINER[:MODES]``: that container's mounts, perhaps read-only."""
    name, _, mode = entry.partition(":")
    if not entry:
        raise InvalidParameter("volumes-from specification cannot be an empty string")
    flags = mode.split(",")
    if not _is_mode(mode) or not _PROPAGATION.isdisjoint(flags) or "nocopy" in flags:
        raise InvalidParameter(f"invalid mode: {mode}")
    if not name:
        raise InvalidParameter('invalid name or ID supplied: ""')
    try:
        mounts = mounts_of(name)
    except NotFound as error:
        raise InvalidParameter(str(error)) from None  # 404 would have the client pull the image
    return [
        replace(mount, writable=mount.writable and "ro" not in flags, copy_up=False, mode="", from_mounts=False)
        for mount in mounts
    ]
