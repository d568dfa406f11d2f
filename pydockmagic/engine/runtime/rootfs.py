"""A container's file tree: its root, /proc, /sys, /dev, the mounts asked for, what is masked.

Runs in the child, in its own mount namespace. The old root is left first (``pivot_root(".", ".")``): from then on
every absolute path is looked up inside the container's root, so no symlink in an image can lead a mount outside; the
host is reached only by paths relative to the working directory, which stays the old root until it is let go.
Standard library only. The mounts and their options are Docker's and runc's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from . import devices, linux
from .paths import clean, make_directory, make_file
from .refusal import Refusal, reason

__all__ = ["enter", "finish", "mount_cgroups", "mount_console", "mount_system", "mount_users", "overlay_options"]

_FLAGS = {
    "ro": linux.MS_RDONLY,
    "nosuid": linux.MS_NOSUID,
    "nodev": linux.MS_NODEV,
    "noexec": linux.MS_NOEXEC,
    "sync": linux.MS_SYNCHRONOUS,
    "noatime": linux.MS_NOATIME,
    "nodiratime": linux.MS_NODIRATIME,
    "relatime": linux.MS_RELATIME,
    "strictatime": linux.MS_STRICTATIME,
}
_CLEARED = {"rw", "suid", "dev", "exec", "async", "atime", "diratime", "bind", "rbind", "defaults", "tmpcopyup"}
_PROPAGATION = {
    "private": linux.MS_PRIVATE,
    "rprivate": linux.MS_PRIVATE | linux.MS_REC,
    "slave": linux.MS_SLAVE,
    "rslave": linux.MS_SLAVE | linux.MS_REC,
    "shared": linux.MS_SHARED,
    "rshared": linux.MS_SHARED | linux.MS_REC,
    "unbindable": linux.MS_UNBINDABLE,
    "runbindable": linux.MS_UNBINDABLE | linux.MS_REC,
}
_STILL = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
_MOUNT_PAGE = 4000


def enter(spec: Mapping[str, Any], place: str) -> None:
    """Mount the root at ``place`` and make it this process' root; the working directory is the old one after that."""
    shared = any("shared" in mount["propagation"] for mount in spec["mounts"])
    if shared:
        linux.mount("", "/", flags=linux.MS_PRIVATE)  # pivot_root needs that much
    else:
        linux.mount("", "/", flags=linux.MS_SLAVE | linux.MS_REC)
    old_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _mount_root(spec["root"], place)
    if shared:
        linux.mount("", place, flags=linux.MS_PRIVATE)
    os.chdir(place)
    linux.pivot_root(".", ".")
    os.fchdir(old_root)
    os.close(old_root)


def overlay_options(root: Mapping[str, Any], base: str = "") -> str:
    """Give overlayfs' options; ``base`` is taken off the front of paths (with that as the working directory)."""

    def shorten(path: str) -> str:
        return path.removeprefix(base).replace("\\", "\\\\").replace(",", "\\,")

    lower = ":".join(shorten(path).replace(":", "\\:") for path in root["lower"])
    extra = ",userxattr" if root["userxattr"] else ""
    return f"lowerdir={lower},upperdir={shorten(root['upper'])},workdir={shorten(root['work'])},index=off{extra}"


def _mount_root(root: Mapping[str, Any], place: str) -> None:
    if root["kind"] != "overlay":
        linux.mount(root["upper"], place, flags=linux.MS_BIND)
        return
    options = overlay_options(root)
    if len(options) > _MOUNT_PAGE:
        base = os.path.commonpath([root["upper"], root["work"], *root["lower"]]) + "/"
        os.chdir(base)
        options = overlay_options(root, base)
    if len(options) <= _MOUNT_PAGE:
        linux.mount("overlay", place, "overlay", 0, options)
        return
    named = {"upperdir": root["upper"], "workdir": root["work"], "index": "off"}
    tree = linux.overlay_tree(list(root["lower"]), named | ({"userxattr": ""} if root["userxattr"] else {}))
    linux.attach_tree(tree, place)
    os.close(tree)


def mount_system(spec: Mapping[str, Any], shm_tree: int) -> None:
    """Mount /proc, /sys and /dev with what is in it, but for those that the person mounts over."""
    taken = {clean(mount["target"]) for mount in spec["mounts"]}
    mapped = spec["mapped"]
    if "/proc" not in taken:
        _system_mount("proc", "/proc", _STILL, "", mapped=mapped)
    if "/dev" not in taken:
        make_directory("/dev")
        linux.mount("tmpfs", "/dev", "tmpfs", linux.MS_NOSUID | linux.MS_STRICTATIME, "mode=755,size=65536k")
        devices.mount_terminals()
        devices.make_devices(spec)
    if "/sys" not in taken:
        flags = _STILL if spec["privileged"] else _STILL | linux.MS_RDONLY
        _system_mount("sysfs", "/sys", flags, "", mapped=mapped)
    if "/dev" in taken:
        return
    if "/dev/mqueue" not in taken:
        _system_mount("mqueue", "/dev/mqueue", _STILL, "", mapped=mapped)
    if "/dev/shm" not in taken and spec["shm_size"] >= 0:  # noqa: S108 - the container's
        _mount_shm(spec, shm_tree)


def _mount_shm(spec: Mapping[str, Any], shm_tree: int) -> None:
    make_directory("/dev/shm", mode=0o1777)  # noqa: S108
    if shm_tree >= 0:
        linux.attach_tree(shm_tree, "/dev/shm")  # noqa: S108
        os.close(shm_tree)
    elif spec["namespaces"]["ipc"] == "host":
        linux.mount("dev/shm", "/dev/shm", flags=linux.MS_BIND | linux.MS_REC)  # noqa: S108
    else:
        size = int(spec["shm_size"]) or 67_108_864
        linux.mount("shm", "/dev/shm", "tmpfs", _STILL, f"mode=1777,size={size}")  # noqa: S108


def _system_mount(kind: str, target: str, flags: int, data: str, *, mapped: bool) -> None:
    """Mount a kernel filesystem; rootless, where the kernel wants more rights than we have, bind the outer one."""
    make_directory(target)
    try:
        linux.mount(kind, target, kind, flags, data)
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENOENT):  # not in this kernel (mqueue)
            return
        if not mapped:
            raise Refusal(
                f'error during container init: error mounting "{kind}" to rootfs at "{target}": {reason(error)}'
            ) from error
        with contextlib.suppress(FileNotFoundError):  # the host has none either (mqueue)
            linux.mount(target.lstrip("/"), target, flags=linux.MS_BIND | linux.MS_REC)


def mount_users(mounts: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> None:
    """Mount binds and tmpfs in order; ``sources`` are their real paths, found before the root was left."""
    for mount, source in zip(mounts, sources, strict=True):
        target = os.path.realpath(clean(mount["target"]))  # links, dangling ones too, lead where they do inside
        try:
            if mount["kind"] == "tmpfs":
                _mount_tmpfs(target, mount)
            else:
                _bind(source, target, mount)
        except OSError as error:
            raise Refusal(
                f'error during container init: error mounting "{mount["source"] or mount["kind"]}" to rootfs at '
                f'"{target}": mount {mount["source"]}:{target}, flags: 0x5000: {reason(error)}'
            ) from error
        propagation = _PROPAGATION.get(mount["propagation"] or "rprivate", linux.MS_PRIVATE | linux.MS_REC)
        linux.mount("", target, flags=propagation)


def _mount_tmpfs(target: str, mount: Mapping[str, Any]) -> None:
    flags, data = _parse_options(mount["options"])
    mode = None if os.path.lexists(target) else 0o755
    make_directory(target)
    if mode is None and not any(option.startswith("mode=") for option in data):
        data.append(f"mode={stat.S_IMODE(os.stat(target).st_mode):o}")  # as the directory was
    if mount["read_only"]:
        flags |= linux.MS_RDONLY
    try:
        linux.mount("tmpfs", target, "tmpfs", flags, ",".join(data))
    except OSError as error:
        raise Refusal(
            f'error during container init: error mounting "tmpfs" to rootfs at "{target}": mount tmpfs:{target} '
            f"(via /proc/self/fd/6), flags: {flags:#x}, data: {','.join(data)}: {reason(error)}"
        ) from error


def _bind(source: str, target: str, mount: Mapping[str, Any]) -> None:
    inner = source.lstrip("/") or "."
    if stat.S_ISDIR(os.stat(inner).st_mode):
        make_directory(target)
    else:
        make_file(target)
    flags, _ = _parse_options(mount["options"])
    recursive = "bind" not in mount["options"]
    linux.mount(inner, target, flags=linux.MS_BIND | (linux.MS_REC if recursive else 0))
    if mount["read_only"]:
        flags |= linux.MS_RDONLY
    if flags:
        _restrict(target, flags, recursive=recursive and mount["deep_read_only"])


def _restrict(target: str, flags: int, *, recursive: bool) -> None:
    """Add flags to a bind mount, keeping those it has (in a user namespace they are locked)."""
    linux.mount("", target, flags=linux.MS_BIND | linux.MS_REMOUNT | flags | _present_flags(target))
    if flags & linux.MS_RDONLY and recursive:
        try:
            linux.set_read_only(target, recursive=True)
        except OSError:  # Linux before 5.12: mounts below it stay as they are, as in Docker before 25
            return


def _present_flags(path: str) -> int:
    bits = os.statvfs(path).f_flag
    present = bits & (linux.MS_RDONLY | _STILL | linux.MS_NOATIME | linux.MS_NODIRATIME)
    return present | (linux.MS_RELATIME if bits & 4096 else 0)  # ST_RELATIME has another number


def _parse_options(options: Sequence[str]) -> tuple[int, list[str]]:
    flags, data = 0, []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option not in _CLEARED and option not in _PROPAGATION:
            data.append(option)
    return flags, data


def mount_cgroups(spec: Mapping[str, Any], hierarchies: Mapping[str, str], paths: Mapping[str, str]) -> None:
    """Show the container its cgroups: each v1 controller's own directory, or the v2 tree; read-only as Docker.

    ``hierarchies`` is where the host mounts each controller, ``paths`` the container's directories.
    """
    target = "/sys/fs/cgroup"
    if not paths or any(clean(mount["target"]) == target for mount in spec["mounts"]) or not os.path.isdir(target):
        return
    private = spec["namespaces"]["cgroup"] == "private"
    read_only = 0 if spec["privileged"] else linux.MS_RDONLY
    if set(paths) == {"unified"}:
        if private:
            _system_mount("cgroup2", target, _STILL | linux.MS_RELATIME | read_only, "", mapped=spec["mapped"])
        else:
            _bind_cgroup(paths["unified"], target, read_only)
        return
    linux.mount("tmpfs", target, "tmpfs", _STILL, "mode=755")
    mounted: set[str] = set()
    for controller, path in paths.items():
        if controller == "unified":
            continue  # a hybrid machine: Docker shows v1 only
        name = os.path.basename(hierarchies.get(controller, controller.removeprefix("name=")))
        if name not in mounted:
            mounted.add(name)
            os.mkdir(f"{target}/{name}", 0o755)
            if private:
                linux.mount("cgroup", f"{target}/{name}", "cgroup", _STILL | read_only, controller)
            else:
                _bind_cgroup(path, f"{target}/{name}", read_only)
        if controller != name and not controller.startswith("name="):
            os.symlink(name, f"{target}/{controller}")
    if read_only:
        linux.mount("", target, flags=linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _STILL)


def _bind_cgroup(source: str, target: str, read_only: int) -> None:
    linux.mount(source.lstrip("/"), target, flags=linux.MS_BIND | linux.MS_REC)
    linux.mount("", target, flags=linux.MS_REMOUNT | linux.MS_BIND | _STILL | linux.MS_RELATIME | read_only)


def mount_console(master: int) -> None:
    """Make the container's terminal its /dev/console."""
    make_file("/dev/console")
    linux.mount(linux.terminal_name(master), "/dev/console", flags=linux.MS_BIND)


def finish(spec: Mapping[str, Any]) -> None:
    """Let go of the old root, then set sysctls, mask paths, make the root read-only where asked."""
    linux.mount("", ".", flags=linux.MS_SLAVE | linux.MS_REC)  # nothing of this may reach the host
    linux.umount(".", linux.MNT_DETACH)
    os.chdir("/")
    for name, value in spec["sysctls"]:
        _set_sysctl(name, value)
    if spec["root"]["read_only"]:
        linux.mount("", "/", flags=linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _present_flags("/"))
    for path in spec["readonly_paths"]:
        _make_read_only(path)
    for path in spec["masked_paths"]:
        _mask(path)


def _set_sysctl(name: str, value: str) -> None:
    path = "/proc/sys/" + name.replace(".", "/")
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        verb = "open" if isinstance(error, (FileNotFoundError, PermissionError)) else "write"
        raise Refusal(f"error during container init: {verb} {path}: {reason(error)}") from error


def _make_read_only(path: str) -> None:
    try:
        linux.mount(path, path, flags=linux.MS_BIND | linux.MS_REC)
        linux.mount("", path, flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | _present_flags(path))
    except FileNotFoundError:
        return


def _mask(path: str) -> None:
    try:
        linux.mount("/dev/null", path, flags=linux.MS_BIND)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        linux.mount("tmpfs", path, "tmpfs", linux.MS_RDONLY)
