"""Networks and endpoints as data: what is kept, what is asked for, and what the API shows of it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pydockmagic.engine.runtime.spec import PortForward

from .ports import Published

__all__ = [
    "PREDEFINED",
    "Attachment",
    "ConnectRequest",
    "Endpoint",
    "Joined",
    "LinkTarget",
    "Network",
    "Sandbox",
    "SandboxRequest",
    "empty_endpoint_json",
    "endpoint_json",
    "network_json",
]

PREDEFINED = ("bridge", "host", "none")


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A network. ``bridge`` is the name of its link; host and none have neither link nor subnet."""

    id: str
    name: str
    driver: str
    created: str
    bridge: str = ""
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    auxiliary: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Addresses of both families that no container gets."""
    own_subnet: bool = False
    """The subnet was asked for, not chosen by us; only then may a container ask for an address."""
    subnet6: str = ""
    gateway6: str = ""
    ip_range6: str = ""
    own_subnet6: bool = False
    asked: tuple[Mapping[str, Any], ...] = ()
    """The IPAM configuration as it was asked for: it is shown in the place of what became of it."""
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool = False
    config_only: bool = False
    """Only a configuration, for others to be made from."""
    config_from: str = ""
    options: Mapping[str, str] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def predefined(self) -> bool:
        """Whether it is one of the three that are always there."""
        return self.name in PREDEFINED


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A container's place on a network."""

    id: str
    network_id: str
    address: str = ""
    """With its prefix length (``172.17.0.2/16``); empty on host and none."""
    mac: str = ""
    gateway: str = ""
    address6: str = ""
    gateway6: str = ""
    link_local: tuple[str, ...] = ()
    """Further addresses of the interface, with their prefix lengths (``--link-local-ip``)."""
    aliases: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What was asked for, in the API's EndpointSettings."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """All that a running container has of the networks; kept on disk, so that addresses survive the engine."""

    container_id: str
    name: str
    endpoints: tuple[Endpoint, ...] = ()
    published: tuple[Published, ...] = ()
    named: bool = False
    """The container has a name server of its own."""
    dns: tuple[str, ...] = ()
    """The resolvers that it asks instead of the host's (``--dns``)."""


class LinkTarget(msgspec.Struct, frozen=True):
    """``--link``: a running container, and the names under which it is to be known (``db 576bddee453d web``)."""

    container_id: str
    names: str


class SandboxRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a container that starts wants of the networks.

    ``mode`` is Docker's NetworkMode: ``bridge``, ``default``, ``none``, ``host``, ``container:ID`` (with
    ``container_pid``), or a network's name or id.
    """

    container_id: str
    name: str
    hostname: str
    domainname: str = ""
    mode: str = "default"
    endpoints: Mapping[str, Mapping[str, Any] | None] | None = None
    """The API's EndpointsConfig, all networks that are to be joined; None for only that of the mode."""
    mac_address: str = ""
    exposed: tuple[str, ...] = ()
    port_bindings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    publish_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    """``NAME:ADDRESS``; the address may be ``host-gateway``."""
    links: tuple[LinkTarget, ...] = ()
    container_pid: int = 0


class ConnectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A container that is to join one more network; ``pid`` is 0 when it is not running."""

    container_id: str
    name: str
    hostname: str = ""
    domainname: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    mode: str = "default"
    pid: int = 0
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """What a container gets.

    ``net`` is the value for ``spec.Namespaces.net``; with ``given``, ``net_fd`` is a descriptor that the receiver
    closes. ``listeners`` and ``forwards`` go together, one by one; the receiver closes the sockets after passing them
    on. ``hosts`` and ``resolv_conf`` are empty with ``container:ID``: such a container shares the other's files.
    """

    net: str
    net_fd: int | None = None
    listeners: tuple[socket.socket, ...] = ()
    forwards: tuple[PortForward, ...] = ()
    networks: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    ports: Mapping[str, list[dict[str, str]] | None] = msgspec.field(default_factory=dict)
    hosts: str = ""
    resolv_conf: str = ""
    warnings: tuple[str, ...] = ()


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """What changes for a running container that joined or left a network.

    ``hosts`` are the lines that its /etc/hosts gains, ``lost`` the addresses whose lines it loses; ``resolv_conf`` is
    empty where that stays. ``listeners`` and ``forwards`` are as in ``Sandbox``; ``moved`` leads published ports from
    an address that is gone to one that stays.
    """

    endpoint: Mapping[str, Any] = msgspec.field(default_factory=dict)
    hosts: tuple[tuple[str, str], ...] = ()
    lost: tuple[str, ...] = ()
    resolv_conf: str = ""
    listeners: tuple[socket.socket, ...] = ()
    forwards: tuple[PortForward, ...] = ()
    moved: Mapping[str, str] = msgspec.field(default_factory=dict)


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    """Give the API's EndpointSettings of an endpoint in use."""
    address, _, prefix = endpoint.address.partition("/")
    address6, _, prefix6 = endpoint.address6.partition("/")
    return {
        **empty_endpoint_json(endpoint.settings),
        "MacAddress": endpoint.mac,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.id,
        "Gateway": endpoint.gateway,
        "IPAddress": address,
        "IPPrefixLen": int(prefix or 0),
        "IPv6Gateway": endpoint.gateway6,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": int(prefix6 or 0),
        "DNSNames": list(endpoint.dns_names) or None,
    }


def empty_endpoint_json(settings: Mapping[str, Any] | None = None, network_id: str = "") -> dict[str, Any]:
    """Give the API's EndpointSettings of a container that does not run."""
    given = settings or {}
    return {
        "IPAMConfig": given.get("IPAMConfig"),
        "Links": given.get("Links"),
        "Aliases": given.get("Aliases"),
        "MacAddress": "",
        "DriverOpts": given.get("DriverOpts"),
        "GwPriority": given.get("GwPriority") or 0,
        "NetworkID": network_id,
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }


def network_json(network: Network, attachments: Iterable[Attachment]) -> dict[str, Any]:
    """Give the API's Network, as ``docker network inspect`` prints it."""
    containers = {}
    for attachment in attachments:
        for endpoint in attachment.endpoints:
            if endpoint.network_id == network.id:
                containers[attachment.container_id] = {
                    "Name": attachment.name,
                    "EndpointID": endpoint.id,
                    "MacAddress": endpoint.mac,
                    "IPv4Address": endpoint.address,
                    "IPv6Address": endpoint.address6,
                }
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": not network.config_only,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": network.ipam_options,
            "Config": _pools(network),
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Containers": containers,
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }


def _pools(network: Network) -> list[dict[str, Any]]:
    """Give the subnets: each family as it was asked for, or else as it was chosen."""
    shown = []
    for subnet, gateway, six in ((network.subnet, network.gateway, False), (network.subnet6, network.gateway6, True)):
        asked = [dict(pool) for pool in network.asked if (":" in str(pool["Subnet"])) == six]
        if asked:
            shown += asked
        elif subnet:
            shown.append({"Subnet": subnet, "Gateway": gateway} if gateway else {"Subnet": subnet})
    return shown
