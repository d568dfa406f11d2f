"""What all of the networks' work shares: the networks, who is on them, the bridges, the names, the events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.runtime.spec import PortForward

from .allotment import Allotment
from .catalogue import Catalogue
from .files import host_resolv_conf, resolv_conf_text
from .naming import Names
from .ports import Published
from .records import Attachment, ConnectRequest, Endpoint, Network, SandboxRequest, endpoint_json
from .wiring import Wiring

__all__ = ["Room", "in_words", "port_forward"]


@dataclass(frozen=True)
class Room:
    """The parts, and what several of those who use them need."""

    catalogue: Catalogue
    allotment: Allotment
    wiring: Wiring
    names: Names | None
    events: EventBus

    def publish(self, action: str, network: Network, container_id: str = "") -> None:
        """Tell an event of a network."""
        attributes = {"name": network.name, "type": network.driver}
        if container_id:
            attributes["container"] = container_id
        self.events.publish("network", action, network.id, attributes)

    def networks_of(self, container_id: str) -> dict[str, dict[str, Any]]:
        """Give ``NetworkSettings.Networks`` of a running container."""
        attachment = self.allotment.get(container_id)
        endpoints = attachment.endpoints if attachment else ()
        return {self.catalogue.get(item.network_id).name: endpoint_json(item) for item in endpoints}

    def way_out(self, endpoints: Sequence[Endpoint]) -> Endpoint | None:
        """Choose the endpoint that the default route leads through: by priority, then by the network's name."""

        def rank(endpoint: Endpoint) -> tuple[bool, int, str]:
            network = self.catalogue.get(endpoint.network_id)
            return network.internal, -int(endpoint.settings.get("GwPriority") or 0), network.name

        return min(endpoints, key=rank) if endpoints else None

    def resolv_conf(self, request: SandboxRequest | ConnectRequest, nameserver: str = "") -> str:
        """Give the text of a container's /etc/resolv.conf."""
        return resolv_conf_text(
            host_resolv_conf(),
            dns=request.dns,
            search=request.dns_search,
            options=request.dns_options,
            nameserver=nameserver,
        )

    def name_forwards(self, container_id: str) -> tuple[PortForward, ...]:
        """Say what the two sockets of a container's name server serve."""
        if self.names is None:
            return ()
        return (PortForward(proto="dns", path=str(self.names.path(container_id))),) * 2

    async def tell_names(self, endpoints: Iterable[Endpoint]) -> None:
        """Let the name servers of the containers know that these came or went."""
        if any(endpoint.dns_names for endpoint in endpoints):
            await self.write_names()

    async def write_names(self) -> None:
        """Write what every container's name server knows."""
        if self.names is not None:
            names = self.names
            attachments: Sequence[Attachment] = [*self.allotment.all()]
            networks: Mapping[str, Network] = {network.id: network for network in self.catalogue.all()}
            await self.wiring.run(lambda: names.write(attachments, networks))


def port_forward(published: Published, endpoint: Endpoint) -> PortForward:
    """Say where the connections to a published port go."""
    target = endpoint.address.partition("/")[0]
    return PortForward(proto=published.proto, target_ip=target, target_port=published.port)


@contextlib.contextmanager
def in_words(what: str) -> Iterator[None]:
    """Turn the kernel's refusals into the engine's; all other errors stay as they are."""
    try:
        yield
    except OSError as error:
        raise EngineError(f"{what}: {error.strerror or error}") from error
