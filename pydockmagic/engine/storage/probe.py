"""Which storage driver works here: tried by really mounting under the data root, with the reason in words.

Kernel versions and filesystem names say little (overlayfs on overlayfs, a seccomp filter, an LSM, a missing module), so
the engine does at start what it will do for every container, once, on four small directories.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from .copy import CopyDriver
from .driver import StorageDriver
from .form import is_opaque, is_whiteout
from .mounts import MountError, detached_overlay, mount_overlay, unmount
from .overlay import OverlayDriver
from .trash import Trash

__all__ = ["Probe", "open_driver", "probe"]


@dataclass(frozen=True)
class Probe:
    """What was found. ``driver`` is ``overlay2`` or ``vfs``; ``reason`` says why, for ``info`` and ``doctor``."""

    driver: str
    reason: str
    filesystem: str
    """Name of the filesystem below the data root, as ``docker info`` calls it (``extfs``, ``xfs``, ...)."""
    userxattr: bool = False


_DOCKER_NAMES = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs", "overlay": "overlayfs"}


def probe(data_root: Path) -> Probe:
    """Choose the driver for a data root. Leaves nothing behind."""
    data_root.mkdir(parents=True, exist_ok=True, mode=0o710)
    filesystem = _filesystem(data_root.resolve())
    trash = Trash(data_root / "trash")
    scratch = data_root / f".probe-{uuid.uuid4().hex}"
    scratch.mkdir(mode=0o700)
    try:
        userxattr = not _trusted_attributes(scratch)
        _try_overlay(scratch, userxattr=userxattr)
    except OSError as error:
        reason = (
            f"every container gets a full copy of its image, because overlayfs cannot be used on {filesystem} here: "
            f"{_words(error)}"
        )
        return Probe("vfs", reason, filesystem)
    finally:
        trash.discard(scratch)
    how = "with user.* attributes, as without privilege" if userxattr else "with trusted.* attributes"
    return Probe("overlay2", f"overlayfs works on {filesystem} here, {how}", filesystem, userxattr)


def open_driver(data_root: Path, chosen: Probe | None = None) -> StorageDriver:
    """Open the driver that ``probe`` chose; the trash of an earlier engine is emptied in the background."""
    chosen = chosen or probe(data_root)
    Trash(data_root / "trash").empty()
    if chosen.driver == "overlay2":
        return OverlayDriver(data_root, userxattr=chosen.userxattr, filesystem=chosen.filesystem)
    return CopyDriver(data_root, filesystem=chosen.filesystem)


def _trusted_attributes(directory: Path) -> bool:
    try:
        os.setxattr(directory, "trusted.overlay.probe", b"y")
    except OSError:
        return False
    return True


def _try_overlay(scratch: Path, *, userxattr: bool) -> None:
    lower, upper, work, target = (scratch / name for name in ("lower", "upper", "work", "merged"))
    for directory in (lower, lower / "again", upper, work, target):
        directory.mkdir()
    (lower / "file").write_text("below")
    (lower / "gone").write_text("below")
    (lower / "again" / "old").write_text("below")
    try:
        # Attached nowhere, so that a kill in this very moment leaves no mount.
        with detached_overlay([lower], upper, work, userxattr=userxattr) as mount:
            _use(Path(f"/proc/self/fd/{mount}"), upper)
    except MountError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
            raise
        mount_overlay(target, [lower], upper, work, userxattr=userxattr)
        try:
            _use(target, upper)
        finally:
            unmount(target)


def _use(merged: Path, upper: Path) -> None:
    """Do what containers do: write to a file below, delete one, replace a directory; look at the traces."""
    with (merged / "file").open("a") as file:
        file.write(" and above")
    (merged / "gone").unlink()
    (merged / "again" / "old").unlink()
    (merged / "again").rmdir()
    (merged / "again").mkdir()  # EIO where opaque marks cannot be written
    gone = upper / "gone"
    if not is_whiteout(str(gone), gone.lstat()) or not is_opaque(str(upper / "again")):
        raise OSError(errno.ENOTSUP, "deleted names leave no whiteouts that an engine could read")


def _words(error: OSError) -> str:
    text = str(error.strerror or error)
    with contextlib.suppress(OSError):
        if error.errno in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
            return f"{text}, mounting needs root or a user namespace"
    return text


def _filesystem(directory: Path) -> str:
    """Give the name of the filesystem that holds a directory (the longest mount point above it, proc(5))."""
    best, name = "", "unknown"
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            fields = line.split(" ")
            point = fields[4].replace("\\040", " ")
            if len(point) >= len(best) and (point == "/" or f"{directory}/".startswith(f"{point}/")):
                best, name = point, fields[fields.index("-") + 1]
    return _DOCKER_NAMES.get(name, name)
