"""Who has which address and which host port: given out and taken back on the event loop, and kept on disk."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.state import State

from .addresses import mac_of
from .catalogue import Catalogue, new_id
from .options import host_address
from .ports import Bound, PortTable, requested_ports
from .records import Attachment, ConnectRequest, Endpoint, Network, SandboxRequest

__all__ = ["Allotment", "check_settings"]

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
                    network = catalogue.get(endpoint.network_id)
                    for version, address in ((4, endpoint.address), (6, endpoint.address6)):
                        if address:
                            catalogue.pool(network, version).take(address.partition("/")[0])

    def all(self) -> Iterable[Attachment]:
        """List every attachment."""
        return self._attachments.values()

    def get(self, container_id: str) -> Attachment | None:
        """Give what a container has."""
        return self._attachments.get(container_id)

    def used(self) -> set[str]:
        """Give the ids of the networks that containers are on."""
        return {item.network_id for held in self._attachments.values() for item in held.endpoints}

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
            network = self._catalogue.get(endpoint.network_id)
            for version, address in ((4, endpoint.address), (6, endpoint.address6)):
                if address:
                    self._catalogue.pool(network, version).give_back(address)

    def endpoint(
        self, network: Network, settings: Mapping[str, Any], request: SandboxRequest | ConnectRequest
    ) -> Endpoint:
        """Give a container an address on a network, or one of each family. Raises EngineError."""
        check_settings(network, settings)
        ipam = settings.get("IPAMConfig") or {}
        address = self._catalogue.pool(network).take(str(ipam.get("IPv4Address") or ""))
        try:
            wanted6 = str(ipam.get("IPv6Address") or "")
            address6 = str(self._catalogue.pool(network, 6).take(wanted6)) if network.subnet6 else ""
        except EngineError:
            self._catalogue.pool(network).give_back(str(address))
            raise
        aliases = tuple(settings.get("Aliases") or ())
        named = (request.name, *aliases, request.container_id[:12], request.hostname or request.container_id[:12])
        return Endpoint(
            id=new_id(),
            network_id=network.id,
            address=str(address),
            mac=_normal_mac(str(settings.get("MacAddress") or "")) or mac_of(ipaddress.IPv4Address(address.ip)),
            gateway=network.gateway,
            address6=address6,
            gateway6=network.gateway6 if address6 else "",
            link_local=_link_local(ipam.get("LinkLocalIPs") or ()),
            aliases=aliases,
            dns_names=() if network.predefined else tuple(dict.fromkeys(named)),
            settings=settings,
        )

    def bind(self, request: SandboxRequest, endpoint: Endpoint, network: Network) -> Sequence[Bound]:
        """Bind the host ports that a container publishes. Raises EngineError in dockerd's words."""
        wanted = requested_ports(
            request.port_bindings,
            request.exposed,
            publish_all=request.publish_all,
            host_address=host_address(network),
        )
        try:
            return self._ports.bind(request.container_id, wanted)
        except InvalidParameter:
            raise
        except EngineError as error:
            raise EngineError(
                f"driver failed programming external connectivity on endpoint {request.name} ({endpoint.id}): {error}"
            ) from error


def _link_local(texts: Iterable[str]) -> tuple[str, ...]:
    try:
        addresses = [ipaddress.ip_address(text) for text in texts if text]
    except ValueError as error:
        raise InvalidParameter(f"invalid link local IP address: {error}") from None
    return tuple(f"{address}/{64 if address.version == 6 else 16}" for address in addresses)


def _normal_mac(text: str) -> str:
    """Write a hardware address as the kernel does: ``02-42-AC-11-00-0A`` and ``0242.ac11.000a`` have colons then."""
    digits = "".join(character for character in text.lower() if character not in ":-.")
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def check_settings(network: Network, settings: Mapping[str, Any]) -> None:
    """Raise, in dockerd's words, what an endpoint cannot ask for on this network."""
    ipam = settings.get("IPAMConfig") or {}
    four, six = str(ipam.get("IPv4Address") or ""), str(ipam.get("IPv6Address") or "")
    if network.predefined and (four or six):
        raise InvalidParameter("user specified IP address is supported on user defined networks only")
    if network.predefined and settings.get("Aliases"):
        raise InvalidParameter("network-scoped alias is supported only for containers in user defined networks")
    # an IPv6 pool counts also where IPv6 is off: the address is only kept then
    own_subnet6 = network.own_subnet6 or any(":" in str(pool.get("Subnet")) for pool in network.asked)
    if (four and not network.own_subnet) or (six and not own_subnet6):
        raise InvalidParameter(
            "user specified IP address is supported only when connecting to networks with user configured subnets"
        )
    for text, version in ((four, 4), (six, 6)):
        try:
            wrong = bool(text) and ipaddress.ip_address(text).version != version
        except ValueError:
            wrong = True
        if wrong:
            raise InvalidParameter(f"invalid IPv{version} address: {text}")
