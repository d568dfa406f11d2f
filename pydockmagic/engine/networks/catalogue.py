"""The networks that there are: names, ids, filters, and the rules for making and removing them."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydockmagic.engine.errors import Conflict, Forbidden, InvalidParameter, NoSuchNetwork, NotFound, NotImplementedHere
from pydockmagic.engine.timestamps import parse_timestamp

from .addresses import AddressPool, free_subnet, parse_subnet
from .records import PREDEFINED, Attachment, ConnectRequest, Network

__all__ = ["Catalogue", "check_connect", "matches_filters", "new_id"]

_BRIDGE_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",  # noqa: S104 - what dockerd shows
}
_NAME_OPTION = "com.docker.network.bridge.name"
_FILTERS = ("dangling", "driver", "id", "label", "label!", "name", "scope", "type", "until")
_SWARM_DRIVERS = ("overlay",)
_MISSING_DRIVERS = ("macvlan", "ipvlan")


def new_id() -> str:
    """Make an id as dockerd's: 64 hexadecimal digits."""
    return secrets.token_hex(32)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class Catalogue:
    """Networks by id, and the free addresses of each."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks: dict[str, Network] = {network.id: network for network in networks}
        self._pools: dict[str, AddressPool] = {}

    def all(self) -> list[Network]:
        """List every network."""
        return list(self._networks.values())

    def put(self, network: Network) -> None:
        """Add or replace a network."""
        self._networks[network.id] = network
        self._pools.pop(network.id, None)

    def forget(self, network: Network) -> None:
        """Take a network out."""
        self._networks.pop(network.id, None)
        self._pools.pop(network.id, None)

    def named(self, name: str) -> Network | None:
        """Give the network of exactly this name."""
        return next((network for network in self._networks.values() if network.name == name), None)

    def get(self, reference: str) -> Network:
        """Find a network by id, name or id prefix, in this order. Raises NoSuchNetwork or InvalidParameter."""
        found = self._networks.get(reference) or self.named(reference)
        if found is not None:
            return found
        begun = [network for id_, network in self._networks.items() if reference and id_.startswith(reference)]
        if len(begun) > 1:
            raise InvalidParameter(f"network {reference} is ambiguous ({len(begun)} matches found based on ID prefix)")
        if not begun:
            raise NoSuchNetwork(reference)
        return begun[0]

    def pool(self, network: Network) -> AddressPool:
        """Give the free addresses of a network."""
        pool = self._pools.get(network.id)
        if pool is None:
            subnet = ipaddress.IPv4Network(network.subnet)
            reserved = network.auxiliary.values()
            pool = AddressPool(subnet, gateway=network.gateway, ip_range=network.ip_range, reserved=reserved)
            self._pools[network.id] = pool
        return pool

    def subnets(self, but: str = "") -> list[ipaddress.IPv4Network]:
        """List the subnets of all networks but the one with id ``but``."""
        known = self._networks.values()
        return [ipaddress.IPv4Network(network.subnet) for network in known if network.subnet and network.id != but]

    def predefined(self, name: str) -> Network:
        """Describe one of the three networks that are always there; the bridge has no subnet yet."""
        driver = "null" if name == "none" else name
        return Network(id=new_id(), name=name, driver=driver, created=_now())

    def with_subnet(self, network: Network, subnet: ipaddress.IPv4Network, bridge: str) -> Network:
        """Give the predefined bridge its subnet and the name of its link."""
        gateway = str(next(subnet.hosts()))
        options = {**_BRIDGE_OPTIONS, _NAME_OPTION: bridge, "com.docker.network.driver.mtu": "1500"}
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

    def describe(self, request: Mapping[str, Any], used: Iterable[ipaddress.IPv4Network]) -> Network:
        """Check a NetworkCreateRequest and give the network that it describes. Raises EngineError."""
        name = str(request.get("Name") or "")
        driver = str(request.get("Driver") or "bridge")
        self._check_name(name, driver)
        ipam = request.get("IPAM") or {}
        pools = [pool for pool in ipam.get("Config") or () if ":" not in str(pool.get("Subnet") or "")]
        if len(pools) > 1:
            raise Forbidden("bridge driver doesn't support multiple subnets")
        pool: Mapping[str, Any] = pools[0] if pools else {}
        asked = str(pool.get("Subnet") or "")
        subnet = self._asked_subnet(asked) if asked else free_subnet([*self.subnets(), *used])
        id_ = new_id()
        options = {str(key): str(value) for key, value in (request.get("Options") or {}).items()}
        return Network(
            id=id_,
            name=name,
            driver=driver,
            created=_now(),
            bridge=options.get(_NAME_OPTION) or f"br-{id_[:12]}",
            subnet=str(subnet),
            gateway=_gateway(subnet, str(pool.get("Gateway") or "")),
            ip_range=_ip_range(subnet, str(pool.get("IPRange") or "")),
            auxiliary={str(k): str(v) for k, v in (pool.get("AuxiliaryAddresses") or {}).items()},
            own_subnet=bool(asked),
            ipam_driver=str(ipam.get("Driver") or "default"),
            ipam_options=ipam.get("Options") or {},
            internal=bool(request.get("Internal")),
            attachable=bool(request.get("Attachable")),
            enable_ipv6=bool(request.get("EnableIPv6")),
            options=options,
            labels={str(k): str(v) for k, v in (request.get("Labels") or {}).items()},
        )

    def _check_name(self, name: str, driver: str) -> None:
        if not name.strip():
            raise InvalidParameter("invalid name: name is empty")
        if name in (*PREDEFINED, "default") or name.startswith("container:"):
            raise Forbidden(f"operation is not permitted on predefined {name} network")
        if driver in ("host", "null"):
            raise Forbidden(f'only one instance of "{driver}" network is allowed')
        if driver in _SWARM_DRIVERS:
            raise Forbidden('This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to '
                            "connect this node to swarm and try again.")  # fmt: skip
        if driver in _MISSING_DRIVERS:
            raise NotImplementedHere(f"the {driver} network driver is not implemented by this engine; use bridge")
        if driver != "bridge":
            raise NotFound(f'plugin "{driver}" not found')
        if self.named(name) is not None:
            raise Conflict(f"network with name {name} already exists")

    def _asked_subnet(self, text: str) -> ipaddress.IPv4Network:
        subnet = parse_subnet(text)
        if any(subnet.overlaps(other) for other in self.subnets()):
            raise Forbidden("Pool overlaps with other one on this address space")
        return subnet


def check_connect(network: Network, request: ConnectRequest) -> None:
    """Raise Forbidden, in dockerd's words, where a container cannot join this network as one more."""
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


def _gateway(subnet: ipaddress.IPv4Network, text: str) -> str:
    if not text:
        return str(next(iter(subnet.hosts())))
    try:
        gateway = ipaddress.IPv4Address(text)
    except ValueError:
        raise InvalidParameter(f"invalid gateway address: {text}") from None
    if gateway not in subnet:
        raise InvalidParameter(f"no matching subnet for gateway {text}")
    return str(gateway)


def _ip_range(subnet: ipaddress.IPv4Network, text: str) -> str:
    if not text:
        return ""
    chosen = parse_subnet(text)
    if not chosen.subnet_of(subnet):
        raise InvalidParameter(f"no matching subnet for range {text}")
    return str(chosen)


def matches_filters(network: Network, filters: Mapping[str, Iterable[str]], attachments: Iterable[Attachment]) -> bool:
    """Tell whether a network passes the API's filters. Raises InvalidParameter for an unknown one."""
    in_use = {endpoint.network_id for attachment in attachments for endpoint in attachment.endpoints}
    for key, values in filters.items():
        wanted = list(values)
        if key not in _FILTERS:
            raise InvalidParameter(f"invalid filter '{key}'")
        if key == "label!":
            if any(_matches(network, "label", value, False) for value in wanted):
                return False
            continue
        if wanted and not any(_matches(network, key, value, network.id in in_use) for value in wanted):
            return False
    return True


def _matches(network: Network, key: str, value: str, used: bool) -> bool:
    if key == "label":
        name, equals, expected = value.partition("=")
        return name in network.labels and (not equals or network.labels[name] == expected)
    if key == "type":
        if value not in ("builtin", "custom"):
            raise InvalidParameter(f"invalid filter 'type={value}'")
        return network.predefined == (value == "builtin")
    if key == "dangling":
        if value not in ("true", "false", "1", "0"):
            raise InvalidParameter(f"invalid filter 'dangling={value}'")
        return (not network.predefined and not used) == (value in ("true", "1"))
    if key == "driver":
        return network.driver == value
    if key == "scope":
        return value == "local"
    if key == "until":
        moment, created = parse_timestamp(value), parse_timestamp(network.created)
        return moment is None or created is None or created < moment
    return _like(value, network.id if key == "id" else network.name)


def _like(pattern: str, text: str) -> bool:
    """Match as dockerd's filters do: equal, or found as a regular expression."""
    try:
        return pattern == text or re.search(pattern, text) is not None
    except re.error:
        return pattern in text
