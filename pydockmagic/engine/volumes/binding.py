"""The host's side of a bind mount: its source must be there, and be shared where mounts are to travel.

As dockerd's ``daemon/oci_linux.go`` and ``volume/mounts`` check it when a container starts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.runtime.refusal import reason

from .records import MountPoint

__all__ = ["ready"]


class _HostMount(NamedTuple):
    point: str
    travels: bool
    """Whether the host's mount is shared: the engine's own copy of it follows a master then."""


def ready(mount: MountPoint, *, can_share: bool = True, table: str = "/proc/self/mountinfo") -> None:
    """Make the directory of a ``-v`` that is not there, as Docker does; ``--mount`` insists on it. Blocks.

    ``can_share``: the engine may put mounts into the host's namespace. ``table`` is the mount table of the engine,
    whose mounts follow those of the host.
    """
    if mount.kind != "bind":
        return
    _ensure_source(mount.source, must_exist=mount.from_mounts)
    if not mount.propagation.endswith(("shared", "slave")):
        return
    shared = mount.propagation.endswith("shared")
    found = _mount_of(os.path.realpath(mount.source), table)
    if not found.travels or (shared and not can_share):
        kinds = "shared" if shared else "shared or slave"
        raise EngineError(f"path {mount.source} is mounted on {found.point} but it is not a {kinds} mount")


def _ensure_source(source: str, *, must_exist: bool) -> None:
    if os.path.lexists(source):
        return
    if must_exist:
        raise InvalidParameter(f'invalid mount config for type "bind": bind source path does not exist: {source}')
    try:
        Path(source).mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        said = f"error while creating mount source path '{source}': mkdir {source}: {reason(error)}"
        raise EngineError(said) from None


def _mount_of(path: str, table: str) -> _HostMount:
    """Find the mount that a path lies on: the innermost, and of several at one place the last."""
    best = _HostMount("", travels=False)
    for line in Path(table).read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        point = fields[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        inside = path == point or path.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= len(best.point):
            tags = fields[6 : fields.index("-", 6)]
            best = _HostMount(point, any(tag.startswith(("shared:", "master:")) for tag in tags))
    return best
