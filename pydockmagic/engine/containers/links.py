"""``--link``: a container on the default bridge that knows others by name, with Docker's old environment variables.

Follows moby's ``links/links.go`` and ``daemon/links``. A link belongs to the container that asked for it (the parent);
on networks of their own there are none of these, there a link is an alias that the network's name server knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from pydockmagic.engine.errors import Conflict, EngineError, InvalidParameter, NoSuchContainer

from .container import Container
from .lifecycle import Lifecycle
from .records import ContainerRecord, Link
from .store import ContainerStore
from .validation import HOST_AND_LINKS

__all__ = [
    "check",
    "environment",
    "host_names",
    "link_path",
    "names_of",
    "parents_of",
    "parse",
    "register",
    "shown",
    "with_address",
]


def parse(text: str) -> tuple[str, str]:
    """Read ``NAME[:ALIAS]``, or ``/NAME:/PARENT/ALIAS`` as ``inspect`` shows it."""
    if not text:
        raise InvalidParameter("empty string specified for links")
    name, colon, alias = text.partition(":")
    if ":" in alias:
        raise InvalidParameter(f"bad format for links: {text}")
    if not colon:
        return text, text
    return (name[1:], alias.rpartition("/")[2]) if name.startswith("/") else (name, alias)


def register(store: ContainerStore, asked: Iterable[str] | None, network_mode: str) -> list[Link]:
    """Look up the containers that a new one on the default bridge (or none) is to be linked to."""
    if network_mode not in ("", "default", "bridge", "none"):
        return []
    found: dict[str, Link] = {}
    for text in asked or ():
        name, alias = parse(text)
        child = _child(store, name)
        found[alias] = Link(alias=alias, container_id=child.id, name=child.record.name)
    return list(found.values())


def _child(store: ContainerStore, name: str) -> Container:
    if not name:
        raise InvalidParameter('could not get container for : invalid name or ID supplied: ""')
    try:
        child = store.get(name)
        while child.record.host_config.network_mode.startswith("container:"):
            child = store.get(child.record.host_config.network_mode.partition(":")[2])
    except (NoSuchContainer, InvalidParameter) as error:
        raise InvalidParameter(f"could not get container for {name}: {error}") from None
    if child.record.host_config.network_mode == "host":
        raise InvalidParameter(f"conflicting options: {HOST_AND_LINKS}")
    return child


def shown(record: ContainerRecord, store: ContainerStore) -> list[str] | None:
    """Give ``HostConfig.Links`` as ``inspect`` shows it: ``/db:/web/alias``."""
    if not record.links:
        return None
    return [f"/{_name(link, store)}:/{record.name}/{link.alias}" for link in record.links]


def _name(link: Link, store: ContainerStore) -> str:
    child = store.find(link.container_id)
    return child.record.name if child else link.name


def parents_of(container: Container, store: ContainerStore) -> list[tuple[Container, Link]]:
    """List the containers that are linked to this one, and how they call it."""
    return [
        (parent, link) for parent in store.linking for link in parent.record.links if link.container_id == container.id
    ]


def names_of(container: Container, store: ContainerStore) -> list[str]:
    """Give every name of a container: its own, and ``/PARENT/ALIAS`` for each link to it."""
    linked = [f"/{parent.record.name}/{link.alias}" for parent, link in parents_of(container, store)]
    return sorted([f"/{container.record.name}", *linked])


def link_path(path: str) -> tuple[str, str]:
    """Split ``[/]PARENT/ALIAS``; raise Conflict for a plain name."""
    parent, slash, alias = path.removeprefix("/").rpartition("/")
    if not slash:
        raise Conflict("Conflict, cannot remove the default link name of the container")
    return parent, alias


def check(record: ContainerRecord, store: ContainerStore) -> None:
    """Raise Docker's refusal when a linked container cannot be reached as this one starts."""
    if "bridge" not in record.endpoints:
        return
    for link in record.links:
        child = store.find(link.container_id)
        name = _name(link, store)
        if child is not None and "bridge" not in {*child.record.endpoints, *child.record.networks}:
            raise EngineError(f"Cannot link to /{name}, as it does not belong to the default network")
        if child is None or child.lifecycle not in (Lifecycle.RUNNING, Lifecycle.PAUSED):
            raise EngineError(f"Cannot link to a non running container: /{name} AS /{record.name}/{link.alias}")


def host_names(record: ContainerRecord, store: ContainerStore) -> tuple[tuple[str, str], ...]:
    """Give the ids of the linked containers and the names under which /etc/hosts is to know them."""
    return tuple(
        (link.container_id, line_names(link, child))
        for link in record.links
        if "bridge" in record.endpoints and (child := store.find(link.container_id)) is not None
    )


def line_names(link: Link, child: Container) -> str:
    """Give the names of a linked container: the alias, its hostname, and its own name where that is another."""
    names = [link.alias, child.record.config.hostname or child.id[:12], child.record.name]
    return " ".join(dict.fromkeys(names))


def environment(record: ContainerRecord, store: ContainerStore) -> list[str]:
    """Give the variables that tell a container of those it is linked to (``DB_PORT_5432_TCP_ADDR=...``)."""
    if "bridge" not in record.endpoints:
        return []
    result: list[str] = []
    for link in record.links:
        child = store.find(link.container_id)
        if child is not None:
            address = str(child.record.networks.get("bridge", {}).get("IPAddress") or "")
            config = child.record.config
            exposed = config.exposed_ports if config.exposed_ports is not UNSET else None
            result += variables(f"/{record.name}/{link.alias}", address, exposed or {}, config.env or ())
    return result


def variables(path: str, address: str, exposed: Mapping[str, Any] | Iterable[str], env: Sequence[str]) -> list[str]:
    """Give the variables of one link; ``path`` is ``/PARENT/ALIAS``."""
    alias = path.rpartition("/")[2].upper().replace("-", "_")
    ports = sorted((_port(text) for text in exposed), key=lambda port: (port[0], port[1] != "tcp", port[1]))
    result = []
    if ports:
        result.append(f"{alias}_PORT={ports[0][1]}://{address}:{ports[0][0]}")
    for run in _runs(ports):
        result += _range_variables(alias, address, run)
    for number, proto in ports:
        head = f"{alias}_PORT_{number}_{proto.upper()}"
        result += [
            f"{head}={proto}://{address}:{number}",
            f"{head}_ADDR={address}",
            f"{head}_PORT={number}",
            f"{head}_PROTO={proto}",
        ]
    result.append(f"{alias}_NAME={path}")
    for entry in env:
        name, equals, value = entry.partition("=")
        if equals and name not in ("HOME", "PATH"):
            result.append(f"{alias}_ENV_{name}={value}")
    return result


def with_address(hosts: str, alias: str, address: str) -> str:
    """Change a link's line of /etc/hosts to another address; without one the line goes."""
    lines = []
    for line in hosts.splitlines(keepends=True):
        _, tab, names = line.partition("\t")
        if tab and names.split()[:1] == [alias]:
            if address:
                lines.append(f"{address}\t{names}")
        else:
            lines.append(line)
    return "".join(lines)


def _port(text: str) -> tuple[int, str]:
    number, _, proto = text.partition("/")
    return int(number), (proto or "tcp").lower()


def _runs(ports: Sequence[tuple[int, str]]) -> list[Sequence[tuple[int, str]]]:
    """Find runs of more than two consecutive numbers, the only ones that moby's links name as a range."""
    found, start = [], 0
    while start < len(ports):
        end = start
        while end + 1 < len(ports) and ports[end + 1][0] <= ports[start][0] + (end + 1 - start):
            end += 1
        if end > start + 1:
            found.append(ports[start : end + 1])
            start = end + 1
        else:
            start += 1
    return found


def _range_variables(alias: str, address: str, run: Sequence[tuple[int, str]]) -> list[str]:
    (first, proto), (last, last_proto) = run[0], run[-1]
    head = f"{alias}_PORT_{first}_{proto.upper()}"
    return [
        f"{head}_START={proto}://{address}:{first}",
        f"{head}_ADDR={address}",
        f"{head}_PROTO={proto}",
        f"{head}_PORT_START={first}",
        f"{alias}_PORT_{last}_{last_proto.upper()}_END={last_proto}://{address}:{last}",
        f"{head}_PORT_END={last}",
    ]
