"""What is in a container's /dev: Docker's nodes, the terminal filesystem, links, devices asked for.

Runs in the child, when its root is entered already: absolute paths are the container's, relative ones the host's.
Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import Any

from . import linux
from .paths import make_directory
from .refusal import Refusal, reason

__all__ = ["make_devices", "mount_terminals"]

_NODES = (
    # the devices of every container (OCI runtime-spec, config-linux.md, "Default Devices")
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)
_NOT_HOST_DEVICES = {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "ptmx"}
_TTY_GROUP = 5


def make_devices(spec: Mapping[str, Any]) -> None:
    """Make every node and link of a container's fresh /dev. Raises Refusal for a device that the host lacks."""
    old_mask = os.umask(0)
    try:
        for name, major, minor in _NODES:
            _make_node(f"dev/{name}", f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
        if spec["privileged"]:
            _make_host_devices()
        for device in spec["devices"]:
            _copy_node(device["source"], device["target"])
    finally:
        os.umask(old_mask)
    os.symlink("pts/ptmx", "/dev/ptmx")
    for source, link in _LINKS:
        os.symlink(source, link)


def _make_node(source: str, target: str, mode: int, device: int) -> None:
    try:
        os.mknod(target, mode, device)
    except PermissionError:  # rootless: a bind mount of the host's node
        os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC | os.O_WRONLY, 0o666))
        linux.mount(source, target, flags=linux.MS_BIND)


def _copy_node(source: str, target: str) -> None:
    # absolute links of the host's /dev (/dev/cdrom) would be looked up inside the container: follow them by hand
    path = source.lstrip("/")
    try:
        for _ in range(40):
            status = os.lstat(path)
            if not stat.S_ISLNK(status.st_mode):
                break
            path = os.path.normpath(os.path.join(os.path.dirname("/" + path), os.readlink(path))).lstrip("/")
    except OSError as error:
        raise Refusal(
            f'error gathering device information while adding custom device "{source}": {reason(error)}', bare=True
        ) from error
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise Refusal(
            f'error gathering device information while adding custom device "{source}": not a device node', bare=True
        )
    make_directory(os.path.dirname(target))
    if os.path.lexists(target):
        os.unlink(target)
    _make_node(path, target, status.st_mode, status.st_rdev)
    try:
        os.chown(target, status.st_uid, status.st_gid)
    except OSError:  # rootless
        return


def _make_host_devices() -> None:
    """Give a privileged container every device of the host."""
    for folder, directories, files in os.walk("dev"):
        directories[:] = [name for name in directories if name not in _NOT_HOST_DEVICES]
        for name in files:
            source = f"{folder}/{name}"
            if name in _NOT_HOST_DEVICES or os.path.lexists(f"/{source}") or not _is_device(source):
                continue
            status = os.lstat(source)
            make_directory(f"/{folder}")
            _make_node(source, f"/{source}", status.st_mode, status.st_rdev)


def _is_device(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def mount_terminals() -> None:
    """Give the container pseudo-terminals of its own, numbered from 0."""
    make_directory("/dev/pts")
    options = "newinstance,ptmxmode=0666,mode=0620"
    flags = linux.MS_NOSUID | linux.MS_NOEXEC
    try:
        linux.mount("devpts", "/dev/pts", "devpts", flags, f"{options},gid={_TTY_GROUP}")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        linux.mount("devpts", "/dev/pts", "devpts", flags, options)  # the tty group is not mapped here
