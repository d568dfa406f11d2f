"""Options of the ``local`` driver (``docker volume create -o type=... -o device=... -o o=...``): what to mount.

Checked as moby's ``volume/local`` checks them, read as its ``mount.ParseOptions`` reads them.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

import msgspec

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.runtime import linux

__all__ = ["Filesystem", "check", "filesystem"]

_KNOWN = ("type", "o", "device", "size")
_NEEDED = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_SIZE = re.compile(r"\d+(\.\d+)? ?([kKmMgGtTpP]?[iI]?[bB]?)")
_MS_DIRSYNC, _MS_MANDLOCK = 128, 64
_SET = {
    "ro": linux.MS_RDONLY,
    "nosuid": linux.MS_NOSUID,
    "nodev": linux.MS_NODEV,
    "noexec": linux.MS_NOEXEC,
    "sync": linux.MS_SYNCHRONOUS,
    "dirsync": _MS_DIRSYNC,
    "mand": _MS_MANDLOCK,
    "noatime": linux.MS_NOATIME,
    "nodiratime": linux.MS_NODIRATIME,
    "relatime": linux.MS_RELATIME,
    "strictatime": linux.MS_STRICTATIME,
    "bind": linux.MS_BIND,
    "rbind": linux.MS_BIND | linux.MS_REC,
}
_CLEARED = {
    "defaults": 0,
    "rw": linux.MS_RDONLY,
    "suid": linux.MS_NOSUID,
    "dev": linux.MS_NODEV,
    "exec": linux.MS_NOEXEC,
    "async": linux.MS_SYNCHRONOUS,
    "atime": linux.MS_NOATIME,
    "diratime": linux.MS_NODIRATIME,
    "norelatime": linux.MS_RELATIME,
    "nostrictatime": linux.MS_STRICTATIME,
    "nomand": _MS_MANDLOCK,
}
_NETWORKED = ("nfs", "cifs")


class Filesystem(msgspec.Struct, frozen=True, kw_only=True):
    """What is mounted where the volume's directory is."""

    kind: str
    device: str
    flags: int = 0
    data: str = ""


def check(options: Mapping[str, str]) -> None:
    """Refuse options that the driver does not know, or that miss another."""
    for name in options:
        if name not in _KNOWN:
            raise InvalidParameter(f'invalid option: "{name}"')
    if size := options.get("size"):
        if not _SIZE.fullmatch(size):
            raise InvalidParameter(f"invalid size: '{size}'")
        raise InvalidParameter("quota size requested but no quota support")
    for name, needed in _NEEDED.items():
        for other in needed if name in options else ():
            if other not in options:
                raise InvalidParameter(f'missing required option: "{other}"')


def filesystem(options: Mapping[str, str]) -> Filesystem | None:
    """Give what is to be mounted, or None for a plain directory. Blocks (an address may be asked of a name server)."""
    if not options.get("device"):
        return None
    kind = options["type"]
    flags, data = 0, []
    for option in filter(None, options.get("o", "").split(",")):
        if option in _SET:
            flags |= _SET[option]
        elif option in _CLEARED:
            flags &= ~_CLEARED[option]
        else:
            data.append(_resolved(option) if kind in _NETWORKED else option)
    return Filesystem(kind=kind, device=options["device"], flags=flags, data=",".join(data))


def _resolved(option: str) -> str:
    """Give the kernel an address where a host was named: it knows no names."""
    name, _, host = option.partition("=")
    if name != "addr" or not host:
        return option
    try:
        return f"addr={socket.getaddrinfo(host, None)[0][4][0]}"
    except OSError as error:
        raise InvalidParameter(f"error resolving passed in network volume address: {error}") from None
