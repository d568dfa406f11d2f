"""Which addresses are free: subnets for networks, addresses for containers, always the lowest first."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable, Iterator

from pydockmagic.engine.errors import EngineError, Forbidden, InvalidParameter

__all__ = [
    "POOLS",
    "Address",
    "AddressPool",
    "Interface",
    "Subnet",
    "first_address",
    "free_subnet",
    "local_subnet",
    "mac_of",
    "parse_subnet",
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network

POOLS = (
    *(ipaddress.IPv4Network((f"172.{second}.0.0", 16)) for second in range(17, 32)),
    *ipaddress.IPv4Network("192.168.0.0/16").subnets(new_prefix=20),
)
"""dockerd's own default address pools, in its order."""

_UNIQUE_LOCAL = 0xFD << 120


def free_subnet(used: Iterable[Subnet]) -> ipaddress.IPv4Network:
    """Give the first default pool that overlaps nothing in use. Raises Forbidden when there is none."""
    taken = [network for network in used if network.version == 4]
    for pool in POOLS:
        if not any(pool.overlaps(network) for network in taken):
            return pool
    raise Forbidden(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )


def local_subnet() -> ipaddress.IPv6Network:
    """Draw a unique local IPv6 subnet (RFC 4193), as dockerd does since 27 where none is asked for."""
    return ipaddress.IPv6Network((_UNIQUE_LOCAL | secrets.randbits(56) << 64, 64))


def parse_subnet(text: str) -> Subnet:
    """Read a subnet as ``docker network create --subnet`` takes it. Raises InvalidParameter."""
    try:
        return ipaddress.ip_network(text if "/" in text else "", strict=False)
    except ValueError:
        raise InvalidParameter(f"Invalid subnet {text} : invalid CIDR address: {text}") from None


def first_address(subnet: Subnet) -> Address:
    """Give the address that a gateway gets when none is asked for. Raises EngineError where there is no room."""
    if subnet.num_addresses < 4:
        raise EngineError("failed to allocate gateway (): No available addresses on this pool")
    return subnet[1]


def mac_of(address: ipaddress.IPv4Address) -> str:
    """Derive the MAC address that dockerd gives to an IP address: ``02:42:`` and its four bytes."""
    return "02:42:" + address.packed.hex(":")


class AddressPool:
    """The addresses of one family on one network; ``label`` is what its refusals call the network."""

    def __init__(
        self, subnet: Subnet, *, gateway: str = "", ip_range: str = "", reserved: Iterable[str] = (), label: str = ""
    ) -> None:
        self.subnet = subnet
        chosen = ipaddress.ip_network(ip_range, strict=False) if ip_range else subnet
        # a range wider than its subnet is taken by dockerd, and only what lies inside is given out
        self._range = chosen if chosen.prefixlen >= subnet.prefixlen else subnet
        self._label = f": {label}" if label else ""
        self._taken = {ipaddress.ip_address(text) for text in (gateway, *reserved) if text}

    def take(self, wanted: str = "") -> Interface:
        """Take an address: ``wanted``, or the lowest free one. Raises Forbidden or InvalidParameter."""
        address = self._wanted(wanted) if wanted else self._lowest()
        self._taken.add(address)
        return ipaddress.ip_interface(f"{address}/{self.subnet.prefixlen}")

    def give_back(self, address: str) -> None:
        """Make an address free again."""
        self._taken.discard(ipaddress.ip_interface(address).ip)

    def _wanted(self, text: str) -> Address:
        version = self.subnet.version
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise InvalidParameter(f"invalid IPv{version} address: {text}") from None
        if address.version != version:
            raise InvalidParameter(f"invalid IPv{version} address: {text}")
        if address not in self.subnet:
            raise InvalidParameter(f"Invalid address {address}: It does not belong to any of this network's subnets")
        if address in self._taken or address in self._edges():
            raise Forbidden("Address already in use")
        return address

    def _lowest(self) -> Address:
        edges = self._edges()
        for address in self._candidates():
            if address not in self._taken and address not in edges:
                return address
        raise Forbidden(f"no available IPv{self.subnet.version} addresses on this network's address pools{self._label}")

    def _candidates(self) -> Iterator[Address]:
        return iter(self._range)

    def _edges(self) -> set[Address]:
        """Give what names the whole subnet: IPv4's first and last address, IPv6's first (any router)."""
        if self.subnet.version == 6:
            return {self.subnet[0]}
        return {self.subnet[0], self.subnet[-1]} if self.subnet.prefixlen < 31 else set()
