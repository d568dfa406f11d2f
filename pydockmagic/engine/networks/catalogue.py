"""The networks that there are, by id and name, the free addresses of each, and who may join which."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable

from pydockmagic.engine.errors import Forbidden, InvalidParameter, NoSuchNetwork

from .addresses import AddressPool, Subnet
from .describing import now
from .options import NAME
from .records import ConnectRequest, Network

__all__ = ["Catalogue", "check_connect", "new_id"]

_BRIDGE_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",  # noqa: S104 - what dockerd shows
}


def new_id() -> str:
    """Make an id as dockerd's: 64 hexadecimal digits."""
    return secrets.token_hex(32)


class Catalogue:
    """Networks by id, and the free addresses of each."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks: dict[str, Network] = {network.id: network for network in networks}
        self._pools: dict[tuple[str, int], AddressPool] = {}

    def all(self) -> list[Network]:
        """List every network."""
        return list(self._networks.values())

    def put(self, network: Network) -> None:
        """Add or replace a network."""
        self._networks[network.id] = network
        self._drop_pools(network)

    def forget(self, network: Network) -> None:
        """Take a network out."""
        self._networks.pop(network.id, None)
        self._drop_pools(network)

    def _drop_pools(self, network: Network) -> None:
        for version in (4, 6):
            self._pools.pop((network.id, version), None)

    def named(self, name: str) -> Network | None:
        """Give the network of exactly this name."""
        return next((network for network in self._networks.values() if network.name == name), None)

    def find(self, reference: str) -> Network | None:
        """Find a network by id or name."""
        return self._networks.get(reference) or self.named(reference)

    def get(self, reference: str) -> Network:
        """Find a network by id, name or id prefix, in this order. Raises NoSuchNetwork or InvalidParameter."""
        found = self.find(reference)
        if found is not None:
            return found
        begun = [network for id_, network in self._networks.items() if reference and id_.startswith(reference)]
        if len(begun) > 1:
            raise InvalidParameter(f"network {reference} is ambiguous ({len(begun)} matches found based on ID prefix)")
        if not begun:
            raise NoSuchNetwork(reference)
        return begun[0]

    def pool(self, network: Network, version: int = 4) -> AddressPool:
        """Give the free addresses of a network, of IPv4 or IPv6."""
        pool = self._pools.get((network.id, version))
        if pool is None:
            six = version == 6
            pool = AddressPool(
                ipaddress.ip_network(network.subnet6 if six else network.subnet),
                gateway=network.gateway6 if six else network.gateway,
                ip_range=network.ip_range6 if six else network.ip_range,
                reserved=network.auxiliary.values(),
                label=f"{network.name} ({network.id})",
            )
            self._pools[network.id, version] = pool
        return pool

    def subnets(self, but: str = "") -> list[Subnet]:
        """List the subnets of all networks but the one with id ``but``, of both families."""
        known = [network for network in self._networks.values() if network.id != but]
        return [ipaddress.ip_network(text) for item in known for text in (item.subnet, item.subnet6) if text]

    def predefined(self, name: str) -> Network:
        """Describe one of the three networks that are always there; the bridge has no subnet yet."""
        driver = "null" if name == "none" else name
        return Network(id=new_id(), name=name, driver=driver, created=now())

    def with_subnet(self, network: Network, subnet: ipaddress.IPv4Network, bridge: str) -> Network:
        """Give the predefined bridge its subnet and the name of its link."""
        gateway = str(next(subnet.hosts()))
        options = {**_BRIDGE_OPTIONS, NAME: bridge, "com.docker.network.driver.mtu": "1500"}
        return Network(
            id=network.id,
            name=network.name,
            driver=network.driver,
            created=network.created,
            bridge=bridge,
            subnet=str(subnet),
            gateway=gateway,
            options=options,
        )


def check_connect(network: Network, request: ConnectRequest) -> None:
    """Raise Forbidden, in dockerd's words, where a container cannot join this network as one more."""
    if network.config_only:
        raise Forbidden(f"network {network.name} is a configuration only network: no container can be on it")
    if network.name == "host" or request.mode == "host":
        raise Forbidden("container cannot be disconnected from host network or connected to host network")
    if network.name == "none" or request.mode == "none":
        raise Forbidden(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
    if request.mode.startswith("container:"):
        raise Forbidden(
            "container sharing network namespace with another container or host cannot be connected to any other"
            " network"
        )
