"""From a request for a network to the network: which are refused, and what is chosen where nothing was asked.

Follows moby's ``daemon/network.go`` and libnetwork's ``controller.go``, in their words.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from pydockmagic.engine.errors import Conflict, Forbidden, InvalidParameter, NotFound, NotImplementedHere
from pydockmagic.engine.timestamps import rfc3339

from .addresses import Address, Subnet, first_address, free_subnet, local_subnet, parse_subnet
from .options import NAME, check_options
from .records import PREDEFINED, Network

__all__ = ["Draft", "now"]

_MISSING_DRIVERS = ("macvlan", "ipvlan")
_NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)


def now() -> str:
    """Give the time as the API writes it."""
    return rfc3339(time.time_ns())


class Draft:
    """One NetworkCreateRequest, looked at among the networks that there are."""

    def __init__(self, request: Mapping[str, Any], named: Callable[[str], Network | None]) -> None:
        self._request = request
        self._named = named
        self.name = str(request.get("Name") or "")
        self._driver = str(request.get("Driver") or "bridge")
        ipam = request.get("IPAM") or {}
        self._ipam_driver = str(ipam.get("Driver") or "default")
        self._ipam_options: Mapping[str, str] | None = ipam.get("Options")
        self._pools: list[Mapping[str, Any]] = [pool for pool in ipam.get("Config") or () if pool]

    def network(self, id_: str, known: Sequence[Subnet], used: Iterable[Subnet]) -> Network:
        """Give the network; ``known`` are our own subnets, ``used`` those that are routed. Raises EngineError."""
        self._check()
        source = self._configuration()
        if source is not None:
            return self._copied(id_, source, known, used)
        network = self._plain(id_)
        if network.config_only:
            return network
        check_options(network.options)
        return _with_subnets(network, self._pools, known, used)

    def _plain(self, id_: str) -> Network:
        request = self._request
        config_only = bool(request.get("ConfigOnly"))
        options = {str(key): str(value) for key, value in (request.get("Options") or {}).items()}
        return Network(
            id=id_,
            name=self.name,
            driver="null" if config_only else self._driver,
            created=now(),
            bridge="" if config_only else options.get(NAME) or f"br-{id_[:12]}",
            asked=tuple(_shown(pool) for pool in self._pools if pool.get("Subnet")),
            ipam_driver=self._ipam_driver,
            ipam_options=self._ipam_options,
            internal=bool(request.get("Internal")),
            attachable=bool(request.get("Attachable")),
            enable_ipv6=bool(request.get("EnableIPv6")),
            config_only=config_only,
            options=options,
            labels={str(k): str(v) for k, v in (request.get("Labels") or {}).items()},
        )

    def _check(self) -> None:
        """Refuse what cannot be, in the order in which dockerd looks."""
        name, driver = self.name, self._driver
        if not name.strip():
            raise InvalidParameter("invalid name: name is empty")
        if name in (*PREDEFINED, "default"):
            raise Forbidden(f"operation is not permitted on predefined {name} network")
        if self._named(name) is not None:
            raise Conflict(f"network with name {name} already exists")
        if self._request.get("EnableIPv4") is False:
            raise NotImplementedHere("networks without IPv4 are not implemented by this engine")
        if driver in ("host", "null"):
            raise Forbidden(f'only one instance of "{driver}" network is allowed')
        scope = self._request.get("Scope") or "local"
        if scope == "swarm":
            raise Forbidden("cannot create a swarm scoped network when swarm is not active")
        if driver == "overlay" or scope != "local":
            raise Forbidden(_NO_SWARM)
        if self._request.get("Ingress"):
            raise Forbidden("Ingress network can only be global scope network")
        if driver in _MISSING_DRIVERS:
            raise NotImplementedHere(f"the {driver} network driver is not implemented by this engine; use bridge")
        if driver != "bridge":
            raise NotFound(f'plugin "{driver}" not found')
        if self._ipam_driver not in ("default", "null"):
            raise NotFound(f'plugin "{self._ipam_driver}" not found')

    def _configuration(self) -> Network | None:
        """Give the configuration-only network that this one is to be made from."""
        name = str((self._request.get("ConfigFrom") or {}).get("Network") or "")
        if not name:
            return None
        source = self._named(name)
        if source is None:
            raise NotFound(f'configuration network "{name}" not found')
        if not source.config_only:
            raise Forbidden(f'network "{name}" is not a configuration network')
        if self._pools or self._request.get("Options") or self._request.get("Internal"):
            raise Forbidden("user specified configurations are not supported if the network depends on a configuration"
                            " network")  # fmt: skip
        return source

    def _copied(self, id_: str, source: Network, known: Sequence[Subnet], used: Iterable[Subnet]) -> Network:

        check_options(source.options)
        plain = self._plain(id_)
        network = replace(
            source,
            id=id_,
            name=self.name,
            driver=self._driver,
            created=plain.created,
            bridge=source.options.get(NAME) or plain.bridge,
            labels={**source.labels, **plain.labels},
            attachable=plain.attachable or source.attachable,
            config_only=False,
            config_from=source.name,
        )
        return _with_subnets(network, network.asked, known, used)


def _with_subnets(
    network: Network, pools: Sequence[Mapping[str, Any]], known: Sequence[Subnet], used: Iterable[Subnet]
) -> Network:
    """Give a network its subnets: those asked for, or free ones. IPv6 is only looked at where it is enabled."""
    parsed = [(parse_subnet(str(pool["Subnet"])) if pool.get("Subnet") else None, pool) for pool in pools]
    four = [(subnet, pool) for subnet, pool in parsed if subnet is None or subnet.version == 4]
    six = [(subnet, pool) for subnet, pool in parsed if subnet is not None and subnet.version == 6]
    if len(four) > 1 or len(six) > 1:
        raise Forbidden("bridge driver doesn't support multiple subnets")
    asked: Subnet | None
    pool: Mapping[str, Any]
    asked, pool = four[0] if four else (None, {})
    chosen: Subnet = _distinct(asked, known) if asked is not None else free_subnet([*known, *used])
    reserved = _auxiliary(chosen, pool)
    network = replace(
        network,
        subnet=str(chosen),
        gateway=_gateway(chosen, str(pool.get("Gateway") or "")),
        ip_range=_ip_range(str(pool.get("IPRange") or "")),
        own_subnet=asked is not None,
    )
    if network.enable_ipv6:
        asked, pool = six[0] if six else (None, {})
        chosen = _distinct(asked, known) if asked is not None else local_subnet()
        reserved |= _auxiliary(chosen, pool)
        network = replace(
            network,
            subnet6=str(chosen),
            gateway6=_gateway(chosen, str(pool.get("Gateway") or "")),
            ip_range6=_ip_range(str(pool.get("IPRange") or "")),
            own_subnet6=asked is not None,
        )
    return replace(network, auxiliary=reserved)


def _shown(pool: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a pool what ``inspect`` shows, in its order."""
    shown: dict[str, Any] = {"Subnet": str(pool.get("Subnet") or "")}
    for key in ("IPRange", "Gateway"):
        if pool.get(key):
            shown[key] = str(pool[key])
    if pool.get("AuxiliaryAddresses"):
        shown["AuxiliaryAddresses"] = {str(k): str(v) for k, v in pool["AuxiliaryAddresses"].items()}
    return shown


def _distinct(subnet: Subnet, known: Sequence[Subnet]) -> Subnet:
    if any(other.version == subnet.version and subnet.overlaps(other) for other in known):
        raise Forbidden("Pool overlaps with other one on this address space")
    return subnet


def _gateway(subnet: Subnet, text: str) -> str:
    if not text:
        return str(first_address(subnet))
    return str(_inside(subnet, text, "gateway"))


def _auxiliary(subnet: Subnet, pool: Mapping[str, Any]) -> dict[str, str]:
    given = pool.get("AuxiliaryAddresses") or {}
    return {str(name): str(_inside(subnet, str(text), "aux-address")) for name, text in given.items()}


def _inside(subnet: Subnet, text: str, what: str) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidParameter(f"no matching subnet for {what} {text}") from None
    if address.version != subnet.version or address not in subnet:
        raise InvalidParameter(f"no matching subnet for {what} {text}")
    return address


def _ip_range(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False)) if text else ""
    except ValueError:
        raise InvalidParameter(f"invalid CIDR address: {text}") from None
