"""Devices of the host that a container is given or held back on, as dockerd gathers them before a start."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.runtime.refusal import reason
from pydockmagic.engine.runtime.spec import Device

from .config import HostConfig

__all__ = ["check_throttled", "device_rules", "devices"]

_SKIPPED = frozenset(("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"))
"""Folders in /dev that are of a container's own."""


def devices(host: HostConfig) -> list[Device]:
    """Give what ``--device`` asks for, folders device by device; raises ``EngineError`` in dockerd's words."""
    if host.device_requests:
        request = host.device_requests[0]
        wanted = " ".join(f"[{' '.join(group)}]" for group in request.get("Capabilities") or ())
        driver = request.get("Driver") or ""
        raise EngineError(f'could not select device driver "{driver}" with capabilities: [{wanted}]')
    result = []
    for device in host.devices or ():
        source = device.path_on_host
        target = device.path_in_container or source
        permissions = device.cgroup_permissions or "rwm"
        result += [
            Device(source=path, target=target + path[len(source) :], permissions=permissions) for path in _nodes(source)
        ]
    return result


def _nodes(source: str) -> list[str]:
    """Give the device, or all devices below a folder of them."""
    head = f'error gathering device information while adding custom device "{source}": '
    try:
        mode = Path(source).stat().st_mode
    except OSError as error:
        raise EngineError(head + reason(error)) from None
    if stat.S_ISDIR(mode):
        return sorted(_below(source))
    if not _is_device(mode):
        raise EngineError(head + "not a device node")
    return [source]


def _below(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        for name in files:
            path = f"{parent}/{name}"
            try:
                if _is_device(os.lstat(path).st_mode):
                    yield path
            except OSError:  # gone meanwhile, or of another's
                continue


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def device_rules(given: Sequence[Device]) -> tuple[str, ...]:
    """Give the rules (``c 1:11 rwm``) that let a container open the devices that it is given."""
    rules = []
    for device in given:
        status = Path(device.source).stat()
        kind = "b" if stat.S_ISBLK(status.st_mode) else "c"
        rules.append(f"{kind} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)} {device.permissions}")
    return tuple(rules)


def check_throttled(host: HostConfig) -> None:
    """Refuse limits of devices that are not there."""
    weights = [device.path for device in host.blkio_weight_device or ()]
    rates = [
        device.path
        for some in (
            host.blkio_device_read_bps, host.blkio_device_write_bps,
            host.blkio_device_read_iops, host.blkio_device_write_iops,
        )
        for device in some or ()
    ]  # fmt: skip
    for path in (*weights, *rates):
        try:
            Path(path).stat()
        except OSError as error:
            raise EngineError(f"stat {path}: {reason(error)}") from None
