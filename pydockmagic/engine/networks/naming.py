"""Who is called what on which network: one file per container, read by the name server in its supervisor.

Containers on networks of their own find each other by container name, alias and short id, also with the network's name
behind it (``web.my_net``); the default bridge knows no names, as with Docker.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import host_file, loopback, nameservers
from .records import Attachment, Endpoint, Network

__all__ = ["NAMESERVER", "Names", "table"]

NAMESERVER = "127.0.0.11"
"""The address of the name server inside a container, as with Docker."""

_PUBLIC = "8.8.8.8"


def table(
    attachment: Attachment, others: Iterable[Attachment], networks: Mapping[str, Network], upstream: Sequence[str]
) -> dict[str, Any]:
    """Give what a container's name server knows: everybody on the networks that the container is on."""
    names: dict[str, list[str]] = {}
    reverse: dict[str, str] = {}
    own = {endpoint.network_id: endpoint for endpoint in attachment.endpoints if endpoint.dns_names}
    for other in others:
        for endpoint in other.endpoints:
            network, mine = networks.get(endpoint.network_id), own.get(endpoint.network_id)
            if mine is None or network is None:
                continue
            addresses = [text.partition("/")[0] for text in (endpoint.address, endpoint.address6) if text]
            for address in addresses:
                reverse[address] = f"{other.name}.{network.name}"
            for name in (*endpoint.dns_names, *_linked(mine, endpoint)):
                for known in (name, f"{name}.{network.name}"):
                    there = names.setdefault(known.lower(), [])
                    there += [address for address in addresses if address not in there]
    outside = any(not networks[id_].internal for id_ in (e.network_id for e in attachment.endpoints) if id_ in networks)
    return {"names": names, "reverse": reverse, "upstream": list(attachment.dns or upstream) if outside else []}


def _linked(own: Endpoint, other: Endpoint) -> list[str]:
    """List what a container calls its neighbour by ``--link`` on a network of their own."""
    links = [str(link).partition(":") for link in own.settings.get("Links") or ()]
    return [alias or name for name, _, alias in links if name in other.dns_names]


class Names:
    """The files of one engine, in ``names`` of its run directory."""

    def __init__(self, run_dir: Path, *, sandboxed: bool) -> None:
        self._folder = run_dir / "names"
        self._sandboxed = sandboxed

    def path(self, container_id: str) -> Path:
        """Say where a container's file is."""
        return self._folder / f"{container_id}.json"

    def write(self, attachments: Sequence[Attachment], networks: Mapping[str, Network]) -> None:
        """Write the files of these containers, which are all that are named, and remove those of others. Blocks."""
        named = [attachment for attachment in attachments if attachment.named]
        if not named and not self._folder.exists():
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        upstream = self._upstream()
        wanted = set()
        for attachment in named:
            path = self.path(attachment.container_id)
            wanted.add(path.name)
            text = json.dumps(table(attachment, attachments, networks, upstream))
            with contextlib.suppress(FileNotFoundError):
                if path.read_text() == text:
                    continue
            new = path.with_suffix(".new")
            new.write_text(text)
            new.replace(path)
        for path in self._folder.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _upstream(self) -> list[str]:
        """List the host's resolvers. From inside the sandbox its loopback is out of reach, and any other will do."""
        found = nameservers(host_file("/etc/resolv.conf"))
        if self._sandboxed:
            found = [server for server in found if not loopback(server)] or [_PUBLIC]
        return found
