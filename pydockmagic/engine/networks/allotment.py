"""Who has which address and which host port: given out and taken back on the event loop, and kept on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.state import State

from .addresses import mac_of
from .catalogue import Catalogue, new_id
from .ports import Bound, PortTable, requested_ports
from .records import Attachment, Endpoint, Network, SandboxRequest

__all__ = ["Allotment"]

_KIND = "attachment"


class Allotment:
    """The attachments of all running containers."""

    def __init__(self, state: State, catalogue: Catalogue) -> None:
        self._state = state
        self._catalogue = catalogue
        self._ports = PortTable()
        self._attachments = state.load(_KIND, Attachment)
        for attachment in self._attachments.values():
            self._ports.remember(attachment.container_id, attachment.published)
            for endpoint in attachment.endpoints:
                # its network may be gone, or its address outside a subnet chosen anew
                with contextlib.suppress(EngineError):
                    if endpoint.address:
                        pool = catalogue.pool(catalogue.get(endpoint.network_id))
                        pool.take(endpoint.address.partition("/")[0])

    def all(self) -> Iterable[Attachment]:
        """List every attachment."""
        return self._attachments.values()

    def get(self, container_id: str) -> Attachment | None:
        """Give what a container has."""
        return self._attachments.get(container_id)

    def in_use(self, network: Network) -> bool:
        """Tell whether a container is on the network."""
        return any(item.network_id == network.id for held in self._attachments.values() for item in held.endpoints)

    async def keep(self, attachment: Attachment) -> None:
        """Remember what a container has."""
        self._attachments[attachment.container_id] = attachment
        await self._state.put(_KIND, attachment.container_id, attachment)

    async def forget(self, container_id: str) -> Attachment | None:
        """Take everything back that a container has; give what it was."""
        attachment = self._attachments.pop(container_id, None)
        if attachment is not None:
            self.give_back(container_id, attachment.endpoints)
            await self._state.delete(_KIND, container_id)
        return attachment

    def give_back(self, container_id: str, endpoints: Iterable[Endpoint]) -> None:
        """Free addresses, and every port of the container."""
        self._ports.release(container_id)
        for endpoint in endpoints:
            self.free(endpoint)

    def free(self, endpoint: Endpoint) -> None:
        """Free one address."""
        with contextlib.suppress(EngineError):
            if endpoint.address:
                self._catalogue.pool(self._catalogue.get(endpoint.network_id)).give_back(endpoint.address)

    def endpoint(self, network: Network, settings: Mapping[str, Any], container_id: str, name: str) -> Endpoint:
        """Give a container an address on a network. Raises EngineError."""
        wanted = str((settings.get("IPAMConfig") or {}).get("IPv4Address") or "")
        if wanted and network.predefined:
            raise InvalidParameter("user specified IP address is supported on user defined networks only")
        if wanted and not network.own_subnet:
            raise InvalidParameter(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
        address = self._catalogue.pool(network).take(wanted)
        aliases = tuple(settings.get("Aliases") or ())
        names = () if network.predefined else tuple(dict.fromkeys((name, *aliases, container_id[:12])))
        return Endpoint(
            id=new_id(),
            network_id=network.id,
            address=str(address),
            mac=str(settings.get("MacAddress") or "") or mac_of(address.ip),
            gateway=network.gateway,
            aliases=aliases,
            dns_names=names,
            settings=settings,
        )

    def bind(self, request: SandboxRequest, endpoint: Endpoint) -> Sequence[Bound]:
        """Bind the host ports that a container publishes. Raises EngineError in dockerd's words."""
        wanted = requested_ports(request.port_bindings, request.exposed, publish_all=request.publish_all)
        try:
            return self._ports.bind(request.container_id, wanted)
        except InvalidParameter:
            raise
        except EngineError as error:
            raise EngineError(
                f"driver failed programming external connectivity on endpoint {request.name} ({endpoint.id}): {error}"
            ) from error
