"""Which addresses are free: subnets for networks, addresses for containers, always the lowest first."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from pydockmagic.engine.errors import Forbidden, InvalidParameter

__all__ = ["POOLS", "AddressPool", "free_subnet", "mac_of", "parse_subnet"]

POOLS = (
    *(ipaddress.IPv4Network((f"172.{second}.0.0", 16)) for second in range(17, 32)),
    *ipaddress.IPv4Network("192.168.0.0/16").subnets(new_prefix=20),
)
"""dockerd's own default address pools, in its order."""


def free_subnet(used: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """Give the first default pool that overlaps nothing in use. Raises Forbidden when there is none."""
    taken = list(used)
    for pool in POOLS:
        if not any(pool.overlaps(network) for network in taken):
            return pool
    raise Forbidden(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )


def parse_subnet(text: str) -> ipaddress.IPv4Network:
    """Read a subnet as ``docker network create --subnet`` takes it. Raises InvalidParameter."""
    try:
        return ipaddress.IPv4Network(text if "/" in text else "", strict=False)
    except ValueError:
        raise InvalidParameter(f"Invalid subnet {text} : invalid CIDR address: {text}") from None


def mac_of(address: ipaddress.IPv4Address) -> str:
    """Derive the MAC address that dockerd gives to an IP address: ``02:42:`` and its four bytes."""
    return "02:42:" + address.packed.hex(":")


class AddressPool:
    """The addresses of one network."""

    def __init__(
        self, subnet: ipaddress.IPv4Network, *, gateway: str = "", ip_range: str = "", reserved: Iterable[str] = ()
    ) -> None:
        self.subnet = subnet
        self._range = ipaddress.IPv4Network(ip_range, strict=False) if ip_range else subnet
        self._taken = {ipaddress.IPv4Address(text) for text in (gateway, *reserved) if text}

    def take(self, wanted: str = "") -> ipaddress.IPv4Interface:
        """Take an address: ``wanted``, or the lowest free one. Raises Forbidden or InvalidParameter."""
        address = self._wanted(wanted) if wanted else self._lowest()
        self._taken.add(address)
        return ipaddress.IPv4Interface((address, self.subnet.prefixlen))

    def give_back(self, address: str) -> None:
        """Make an address free again."""
        self._taken.discard(ipaddress.IPv4Interface(address).ip)

    def _wanted(self, text: str) -> ipaddress.IPv4Address:
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            raise InvalidParameter(f"invalid IPv4 address: {text}") from None
        if address not in self.subnet:
            raise InvalidParameter(f"Invalid address {address}: It does not belong to any of this network's subnets")
        if address in self._taken:
            raise Forbidden("Address already in use")
        return address

    def _lowest(self) -> ipaddress.IPv4Address:
        for address in self._candidates():
            if address not in self._taken:
                return address
        raise Forbidden("no available IPv4 addresses on this network's address pools")

    def _candidates(self) -> Iterator[ipaddress.IPv4Address]:
        edges = {self.subnet.network_address, self.subnet.broadcast_address} if self.subnet.prefixlen < 31 else set()
        return (address for address in self._range if address not in edges)
