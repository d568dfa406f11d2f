"""What may stand as an option's value, as far as it is known without a daemon: fixed words, fields, files, contexts.

The names of what a daemon holds come from ``names``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .grammar import Command

__all__ = ["contexts", "entries", "known_values"]

Names = list[tuple[str, str, str]]

_MANY = 200
_CAPABILITIES = (
    "ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK "
    "IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST "
    "NET_RAW SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT "
    "SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
)
_SIGNALS = "SIGHUP SIGINT SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGTERM SIGCONT SIGSTOP SIGTSTP SIGWINCH"
_VALUES = {
    "attach": "stdin stdout stderr",
    "cap-add": _CAPABILITIES,
    "cap-drop": _CAPABILITIES,
    "cgroupns": "host private",
    "ipc": "container: host none private shareable",
    "isolation": "default",
    "log-driver": "json-file local none",
    "pid": "container: host",
    "platform": "linux/amd64 linux/arm64",
    "pull": "always missing never",
    "restart": "always no on-failure on-failure: unless-stopped",
    "security-opt": "apparmor=unconfined label=disable no-new-privileges seccomp=unconfined systempaths=unconfined",
    "signal": _SIGNALS,
    "stop-signal": _SIGNALS,
    "ulimit": "core= cpu= data= fsize= memlock= nofile= nproc= stack=",
    "userns": "host",
    "uts": "host",
}
_BY_COMMAND = {
    ("inspect", "type"): "container image network volume",
    ("network create", "driver"): "bridge",
    ("network create", "scope"): "local",
    ("volume create", "driver"): "local",
}
_STATES = "created dead exited paused removing restarting running"
_FILTERS = {
    "container ls": (
        "ancestor= before= exited= expose= health= id= label= name= network= publish= since= status= volume="
    ),
    "container prune": "label= until=",
    "image ls": "before= dangling= label= reference= since= until=",
    "image prune": "dangling= label= until=",
    "network ls": "dangling= driver= id= label= name= scope= type=",
    "network prune": "label= until=",
    "search": "is-automated= is-official= stars=",
    "system events": "container= event= image= label= network= type= volume=",
    "system prune": "label= until=",
    "volume ls": "dangling= driver= label= name=",
    "volume prune": "all= label=",
    "builder prune": "until=",
}
_FILTER_VALUES = {
    "dangling": "true false",
    "driver": "bridge host local null",
    "health": "healthy none starting unhealthy",
    "status": _STATES,
    "type": "builtin container custom image network volume",
}
_FILES = frozenset(
    {"cidfile", "config", "env-file", "file", "iidfile", "input", "label-file", "output", "password-file", "secret"}
)


def known_values(
    command: Command, option: str, prefix: str, directory: Path, environ: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield what may be the value of an option; ``prefix`` is what is there of it."""
    words = _BY_COMMAND.get((command.path, option), _VALUES.get(option, ""))
    yield from ((word, "value", "") for word in words.split())
    if option == "filter":
        yield from _filters(command.path, prefix)
    elif option == "format":
        yield from _formats(command.path, prefix)
    elif option in _FILES or (option == "volume" and prefix.startswith((".", "/", "~"))):
        yield from entries(directory, prefix)
    elif option in {"context", "from"}:
        yield from contexts(environ)


def entries(directory: Path, prefix: str, *, folders: bool = False, inside: bool = False) -> Names:
    """List files and folders that begin with a prefix, as the person began to write them.

    ``folders`` leaves the files out; ``inside`` never looks outside of the directory, as in a build context.
    """
    folder, slash, begun = prefix.rpartition("/")
    place = directory / Path(folder + slash).expanduser() if not inside else directory / folder.lstrip("/")
    found: Names = []
    try:
        if inside and not place.resolve().is_relative_to(directory.resolve()):
            return []
        with os.scandir(place) as listed:
            for each in listed:
                if not each.name.startswith(begun) or (each.name.startswith(".") and not begun):
                    continue
                if each.is_dir():
                    found.append((f"{folder}{slash}{each.name}/", "path", ""))
                elif not folders:
                    found.append((f"{folder}{slash}{each.name}", "path", ""))
    except (OSError, RuntimeError):  # a home that is not known is a RuntimeError
        return []
    return sorted(found)[:_MANY]


def contexts(environ: Mapping[str, str]) -> Names:
    """List docker contexts."""
    from pydockmagic.client.contexts import ContextStore  # noqa: PLC0415 - only where a context may stand

    return [(each.name, "context", each.description) for each in ContextStore.of(environ).all()]


def _filters(path: str, prefix: str) -> Iterable[tuple[str, str, str]]:
    name, equals, _ = prefix.partition("=")
    if equals:
        return [(f"{name}={value}", "value", "") for value in _FILTER_VALUES.get(name, "").split()]
    return [(word, "value", "") for word in _FILTERS.get(path, "label=").split()]


def _formats(path: str, prefix: str) -> Iterable[tuple[str, str, str]]:
    """Give the forms of a list and the fields of its templates, quoted as far as the person has begun to."""
    quote = prefix[:1] if prefix[:1] in ("'", '"') else ""
    fields = _fields(path)
    forms = [] if quote else ["json", "table"] if fields else ["json"]
    return [(form, "value", "") for form in forms] + [
        (f"{quote}{{{{.{name}}}}}{quote}", "value", heading) for name, heading in fields
    ]


def _fields(path: str) -> list[tuple[str, str]]:
    from importlib import import_module  # noqa: PLC0415 - only for templates

    places = {
        "container ls": ("containers", "CONTAINERS"),
        "container stats": ("containers", "STATS"),
        "context ls": ("contexts", "CONTEXTS"),
        "image history": ("images", "HISTORY"),
        "image ls": ("images", "IMAGES"),
        "network ls": ("system", "NETWORKS"),
        "search": ("search", "SEARCH"),
        "system df": ("system", "DISK_USAGE"),
        "volume ls": ("system", "VOLUMES"),
    }
    if path not in places:
        return []
    module, name = places[path]
    listing = getattr(import_module(f".format.{module}", __package__), name)
    return [(field, each.heading) for field, each in listing.fields.items() if not each.hidden]
