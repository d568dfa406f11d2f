"""What a container mounts: ``-v``, ``--mount``, ``--tmpfs``, ``--volumes-from`` and an image's ``VOLUME``.

Specifications as moby's ``volume/mounts`` reads them, with its sentences.
"""

from __future__ import annotations

import posixpath
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET

from pydockmagic.engine.errors import InvalidParameter

from .records import MountPoint, MountSpec

__all__ = ["Asked", "collect", "parse_bind"]

_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_CONSISTENCY = frozenset({"consistent", "cached", "delegated", "default"})
_TMPFS_DEFAULTS = ("nosuid", "nodev", "noexec")
_TMPFS_FLAG_WORDS = """
ro rw noexec exec nosuid suid nodev dev noatime atime nodiratime diratime relatime norelatime strictatime
nostrictatime sync async dirsync remount bind rbind private rprivate shared rshared slave rslave unbindable
runbindable acl noacl iversion noiversion mand nomand
"""
_TMPFS_FLAGS = frozenset(_TMPFS_FLAG_WORDS.split())
_TMPFS_VALUES = frozenset({"mode", "uid", "gid", "nr_inodes", "nr_blocks", "size", "mpol"})
_OPPOSITES = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is said about mounts when a container is made."""

    binds: Sequence[str] = ()
    mounts: Sequence[MountSpec] = ()
    tmpfs: Mapping[str, str] = {}
    volumes: Sequence[str] = ()
    """Destinations of anonymous volumes: the image's ``VOLUME`` and ``-v DESTINATION``."""
    volumes_from: Sequence[str] = ()
    driver: str = ""


def parse_bind(spec: str) -> MountPoint:
    """Read one ``-v SOURCE:DESTINATION[:MODES]`` or ``-v DESTINATION``."""
    parts = spec.split(":")
    if len(parts) > 3 or not parts[0] or (len(parts) > 1 and not parts[1]):
        raise InvalidParameter(f"invalid volume specification: '{spec}'")
    mode = parts[2] if len(parts) == 3 else ""
    source, destination = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    kind = "bind" if source.startswith("/") else "volume"
    flags = _modes(mode)
    _check_destination(spec, kind, destination)
    writable = "ro" not in flags
    propagation = next((flag for flag in flags if flag in _PROPAGATION), "")
    if kind == "bind":
        return MountPoint(
            kind=kind,
            source=posixpath.normpath(source),
            destination=posixpath.normpath(destination),
            mode=mode,
            writable=writable,
            propagation=propagation or "rprivate",
        )
    if source and not _VOLUME_NAME.fullmatch(source):
        raise InvalidParameter(
            f'create {source}: "{source}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    return MountPoint(
        kind=kind,
        name=source or secrets.token_hex(32),
        anonymous=not source,
        driver="local",
        destination=posixpath.normpath(destination),
        mode=mode or "z",
        writable=writable,
        copy_up="nocopy" not in flags,
    )


def _modes(mode: str) -> list[str]:
    flags = mode.split(",") if mode else []
    kinds = [0, 0, 0, 0, 0]
    for flag in flags:
        if flag in ("ro", "rw"):
            kinds[0] += 1
        elif flag in ("z", "Z"):
            kinds[1] += 1
        elif flag in _PROPAGATION:
            kinds[2] += 1
        elif flag == "nocopy":
            kinds[3] += 1
        elif flag in _CONSISTENCY:
            kinds[4] += 1
        else:
            raise InvalidParameter(f"invalid mode: {mode}")
    if max(kinds) > 1:
        raise InvalidParameter(f"invalid mode: {mode}")
    return flags


def _check_destination(spec: str, kind: str, destination: str) -> None:
    head = f"invalid volume specification: '{spec}': invalid mount config for type \"{kind}\": "
    if not destination.startswith("/"):
        raise InvalidParameter(f"{head}invalid mount path: '{destination}' mount path must be absolute")
    if posixpath.normpath(destination) == "/":
        raise InvalidParameter(f"{head}invalid specification: destination can't be '/'")


def _parse_mount(spec: MountSpec) -> MountPoint:
    head = f'invalid mount config for type "{spec.type}": '
    if not spec.target:
        raise InvalidParameter(f"{head}field Target must not be empty")
    if not spec.target.startswith("/"):
        raise InvalidParameter(f"{head}invalid mount path: '{spec.target}' mount path must be absolute")
    if posixpath.normpath(spec.target) == "/":
        raise InvalidParameter(f"{head}invalid specification: destination can't be '/'")
    destination = posixpath.normpath(spec.target)
    writable = spec.read_only is UNSET or not spec.read_only
    source = "" if spec.source is UNSET else spec.source
    if spec.type == "bind":
        return _bind_mount(spec, head, source, destination, writable=writable)
    if spec.type == "volume":
        if source and not _VOLUME_NAME.fullmatch(source):
            raise InvalidParameter(
                f'create {source}: "{source}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
            )
        options = spec.volume_options
        return MountPoint(
            kind="volume",
            name=source or secrets.token_hex(32),
            anonymous=not source,
            driver="local",
            destination=destination,
            mode="z",
            writable=writable,
            from_mounts=True,
            copy_up=options is UNSET or options.no_copy is UNSET or not options.no_copy,
        )
    if spec.type == "tmpfs":
        return _tmpfs_mount(spec, head, source, destination, writable=writable)
    raise InvalidParameter(f'invalid mount config for type "{spec.type}": mount type unknown')


def _bind_mount(spec: MountSpec, head: str, source: str, destination: str, *, writable: bool) -> MountPoint:
    if not source:
        raise InvalidParameter(f"{head}field Source must not be empty")
    if not source.startswith("/"):
        raise InvalidParameter(f"{head}invalid mount path: '{source}' mount path must be absolute")
    options = spec.bind_options
    create = options is not UNSET and options.create_mountpoint is True
    if not create and not Path(source).exists():
        raise InvalidParameter(f"{head}bind source path does not exist: {source}")
    propagation = "" if options is UNSET or options.propagation is UNSET else options.propagation
    if propagation and propagation not in _PROPAGATION:
        raise InvalidParameter(f"{head}invalid propagation mode: {propagation}")
    return MountPoint(
        kind="bind",
        source=posixpath.normpath(source),
        destination=destination,
        writable=writable,
        propagation=propagation or "rprivate",
        from_mounts=not create,
    )


def _tmpfs_mount(spec: MountSpec, head: str, source: str, destination: str, *, writable: bool) -> MountPoint:
    if source:
        raise InvalidParameter(f"{head}field Source must not be specified")
    options = list(_TMPFS_DEFAULTS)
    if not writable:
        options.append("ro")
    if spec.tmpfs_options is not UNSET:
        if spec.tmpfs_options.size_bytes is not UNSET and spec.tmpfs_options.size_bytes:
            options.append(f"size={spec.tmpfs_options.size_bytes}")
        if spec.tmpfs_options.mode is not UNSET and spec.tmpfs_options.mode:
            options.append(f"mode={spec.tmpfs_options.mode:o}")
    return MountPoint(
        kind="tmpfs", destination=destination, writable=writable, options=tuple(options), from_mounts=True
    )


def _short_tmpfs(destination: str, text: str) -> MountPoint:
    """Read one ``--tmpfs DESTINATION[:OPTIONS]``."""
    if not destination.startswith("/"):
        raise InvalidParameter(f"invalid mount path: '{destination}' mount path must be absolute")
    options = list(_TMPFS_DEFAULTS)
    for option in filter(None, text.split(",")):
        name, equals, value = option.partition("=")
        known = name in _TMPFS_VALUES and value if equals else name in _TMPFS_FLAGS
        if not known:
            raise InvalidParameter(f'invalid tmpfs option ["{option}"]')
        if (opposite := _OPPOSITES.get(option)) in options:
            options.remove(opposite)
        elif option not in options and option != "rw":
            options.append(option)
    return MountPoint(
        kind="tmpfs",
        destination=posixpath.normpath(destination),
        writable="ro" not in options,
        mode=text,
        options=tuple(options),
    )


def collect(asked: Asked, mounts_of: Callable[[str], Sequence[MountPoint]]) -> list[MountPoint]:
    """Give all mounts of a new container; a later kind takes the place of a copied one, two asked ones clash."""
    found: dict[str, MountPoint] = {}
    for entry in asked.volumes_from:
        name, _, mode = entry.partition(":")
        if mode not in ("", "ro", "rw", "z", "Z"):
            raise InvalidParameter(f"invalid mode for volumes-from: {mode}")
        for mount in mounts_of(name):
            found[mount.destination] = _read_only(mount) if mode == "ro" else mount
    given = [parse_bind(spec) for spec in asked.binds]
    given += [_parse_mount(spec) for spec in asked.mounts]
    seen: set[str] = set()
    for mount in given:
        if mount.destination in seen:
            raise InvalidParameter(f"Duplicate mount point: {mount.destination}")
        seen.add(mount.destination)
        found[mount.destination] = mount
    for destination, options in asked.tmpfs.items():
        mount = _short_tmpfs(destination, options)
        if mount.destination in seen:
            raise InvalidParameter(f"Duplicate mount point: {mount.destination}")
        found[mount.destination] = mount
    for path in asked.volumes:
        mount = parse_bind(path)
        found.setdefault(mount.destination, mount)
    return list(found.values())


def _read_only(mount: MountPoint) -> MountPoint:
    return MountPoint(**{**{name: getattr(mount, name) for name in mount.__struct_fields__}, "writable": False})
