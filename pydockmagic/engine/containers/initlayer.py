"""The layer between an image and a container's own: the mount points that every container needs.

Without it the engine's bind mounts of ``/etc/hosts`` and its kind would leave empty files in the writable layer, and so
in commits and builds. dockerd keeps one per container (``initlayer``); here it is one per image, for it depends on
nothing else: a name that the image has is left alone, a directory on the way looks as the image made it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from pydockmagic.engine.storage.form import is_opaque, is_whiteout

__all__ = ["MOUNT_POINTS", "find_below", "init_layer"]

_DIRECTORIES = ("dev", "dev/pts", "dev/shm", "proc", "sys")
_FILES = ("dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf", ".dockerenv")
_LINKS = {"etc/mtab": "/proc/mounts"}
MOUNT_POINTS = frozenset({*_DIRECTORIES, *_FILES, *_LINKS})


def init_layer(home: Path, layers: Sequence[Path], key: str) -> Path:
    """Give the init layer for an image, making it when it is first needed. Blocks.

    ``layers`` are the image's, topmost first; ``key`` names their stack (the hex of its chain id).
    """
    ready = home / key
    if ready.is_dir():
        return ready
    home.mkdir(mode=0o711, exist_ok=True)
    stage = home / f".new-{secrets.token_hex(8)}"
    stage.mkdir(mode=0o755)
    below = [str(layer) for layer in layers]
    _like(below[0] if below else None, stage)
    for path in (*_DIRECTORIES, *_FILES, *_LINKS):
        if find_below(below, path) is None and _parents(stage, below, path):
            _make(stage / path, path)
    try:
        stage.rename(ready)
    except OSError:  # another start of the same image was faster
        shutil.rmtree(stage, ignore_errors=True)
    return ready


def _make(target: Path, path: str) -> None:
    if path in _LINKS:
        target.symlink_to(_LINKS[path])
    elif path in _DIRECTORIES:
        target.mkdir(mode=0o755, exist_ok=True)
    else:
        target.touch(mode=0o755)


def _parents(stage: Path, below: Sequence[str], path: str) -> bool:
    """Make the directories above a name as the image has them; tell whether they are directories there."""
    parts = path.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        parent = "/".join(parts[:depth])
        found = find_below(below, parent)
        if found is not None and not stat.S_ISDIR(os.lstat(found).st_mode):
            return False  # a link, say: what it leads to is not ours to change
        target = stage / parent
        if not target.is_dir():
            target.mkdir(mode=0o755)
            _like(found, target)
    return True


def _like(source: str | None, target: Path) -> None:
    """Give a directory the owner, mode and time of the image's."""
    if source is None:
        return
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid)
    target.chmod(stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def find_below(layers: Sequence[str], path: str) -> str | None:
    """Give the file that is seen at a path in a stack of layers, topmost first; None when there is none."""
    parts = path.split("/")
    for layer in layers:
        for depth in range(1, len(parts) + 1):
            here = "/".join((layer, *parts[:depth]))
            try:
                status = os.lstat(here)
            except OSError:
                break  # nothing here in this layer: look further down
            if is_whiteout(here, status):
                return None
            if depth == len(parts):
                return here
            if not stat.S_ISDIR(status.st_mode) or is_opaque(here):
                whole = "/".join((layer, *parts))
                return whole if os.path.lexists(whole) else None
    return None
