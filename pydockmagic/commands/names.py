"""Names that may stand at the cursor: images, containers, networks, volumes, by what a command's arguments are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydockmagic.client import ClientError

if TYPE_CHECKING:
    from pydockmagic.client import Client

    from .grammar import Command

__all__ = ["image_names", "names_for"]

Names = list[tuple[str, str, str]]

_IMAGE_FIRST = frozenset({"container run", "container create"})
_RUNNING = frozenset(
    {
        "container attach", "container exec", "container kill", "container pause", "container stop", "container top",
        "container stats",
    }
)  # fmt: skip
_MOST = 2.0
"""Seconds that a daemon has for its names."""
_STOPPED = frozenset({"container start"})


def names_for(command: Command, option: str | None, position: int, client: Client) -> Names:
    """Return candidates for an option's value or for the argument at a position; nothing where the daemon fails."""
    try:
        with client.hurried(_MOST):  # a person waits for the list, and the kernel for its end
            return list(_names(command, option, position, client))
    except ClientError:
        return []


def _names(command: Command, option: str | None, position: int, client: Client) -> Iterable[tuple[str, str, str]]:
    if option is not None:
        return _for_option(command, option, client)
    noun = command.noun
    if command.path in _IMAGE_FIRST:
        return image_names(client) if position == 0 else []
    if noun == "image" and command.verb in {"rm", "inspect", "history", "save", "tag", "push", "ls", "pull", "tree"}:
        single = command.arity.most is not None and command.arity.most <= position
        return [] if single else image_names(client)
    if command.path == "container cp":
        return [(f"{name}:", kind, about) for name, kind, about in _containers(client, command.path)]
    if noun == "network":
        takes_networks = position == 0 or command.verb == "map"
        return _networks(client) if takes_networks else _containers(client, command.path)
    if noun == "volume":
        return _volumes(client)
    if noun == "container" and command.path not in {"container ls", "container prune"}:
        limit = command.arity.most
        if position and (command.path == "container exec" or (limit is not None and position >= limit)):
            return []
        return _containers(client, command.path)
    if command.path == "inspect":
        return [*_containers(client, command.path), *image_names(client)]
    return []


def _for_option(command: Command, option: str, client: Client) -> Names:
    if option in {"network", "net"}:
        return _networks(client)
    if option == "volume":
        return [(f"{name}:", kind, about) for name, kind, about in _volumes(client)]
    if option in {"ipc", "pid"}:
        return [(f"container:{name}", kind, about) for name, kind, about in _containers(client, "container exec")]
    return _containers(client, command.path) if option in {"volumes-from", "link"} else []


def image_names(client: Client) -> Names:
    """Return the names of all images, without `:latest`."""
    found: Names = []
    for image in client.images():
        for tag in image.get("RepoTags") or ():
            if tag != "<none>:<none>":
                found.append((str(tag).removesuffix(":latest"), "image", ""))
    return found


def _containers(client: Client, path: str) -> Names:
    found: Names = []
    for each in client.containers(all=path not in _RUNNING):
        if path in _STOPPED and each.get("State") == "running":
            continue
        for name in each.get("Names") or ():
            found.append((str(name).removeprefix("/"), "container", f"{each.get('Image')}, {each.get('Status')}"))
    return found


def _networks(client: Client) -> Names:
    return [(str(each["Name"]), "network", str(each.get("Driver", ""))) for each in client.networks()]


def _volumes(client: Client) -> Names:
    return [(str(each["Name"]), "volume", "") for each in client.volumes().get("Volumes") or ()]
