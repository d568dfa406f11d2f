"""``--network`` and its companions: NetworkMode and NetworkingConfig (docker/cli, opts/network.go)."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydockmagic.commands.grammar.kinds import ValueProblem

if TYPE_CHECKING:
    from pydockmagic.commands.grammar import Parsed

__all__ = ["NetworkAttachment", "attachments", "check_link", "is_mac", "networking_config", "parse_network"]

_MAC = re.compile(
    r"([0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\2[0-9a-fA-F]{2}){4}((\2[0-9a-fA-F]{2}){2}|(\2[0-9a-fA-F]{2}){14})?"
    r"|([0-9a-fA-F]{4}\.){2,3}[0-9a-fA-F]{4})$"
)
_SYSCTLS = "com.docker.network.endpoint.sysctls"
_INTERFACE = re.compile(r"(^|,)net\.(\w+)\.(\w+)\.IFNAME\.")


def is_mac(text: str) -> bool:
    """Whether the text is a hardware address."""
    return bool(_MAC.fullmatch(text))


@dataclass(slots=True)
class NetworkAttachment:
    """One ``--network``: the network and what is asked for on it."""

    target: str
    aliases: list[str] = field(default_factory=list)
    driver_opts: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    ipv4: str = ""
    ipv6: str = ""
    link_local: list[str] = field(default_factory=list)
    mac: str = ""
    gateway_priority: int = 0


def check_link(text: str) -> str:
    """Check a ``--link`` value: ``NAME`` or ``NAME:ALIAS``."""
    if not text:
        raise ValueProblem("empty string specified for links")
    if text.count(":") > 1:
        raise ValueProblem(f"bad format for links: {text}")
    return text


def parse_network(text: str) -> NetworkAttachment:
    """Read a ``--network`` value: a name, or ``name=NET,alias=A,ip=...``."""
    if "=" not in text:
        return NetworkAttachment(text)
    attachment = NetworkAttachment("")
    for piece in next(csv.reader([text])):
        _apply(attachment, piece)
    if not attachment.target:
        raise ValueProblem("network name/id is not specified")
    return attachment


def _apply(attachment: NetworkAttachment, piece: str) -> None:
    name, equals, value = piece.strip().lower().partition("=") if "driver-opt" not in piece.lower() else _split(piece)
    if not equals:
        raise ValueProblem(f"invalid field {name}")
    match name.strip():
        case "name":
            attachment.target = value
        case "alias":
            attachment.aliases.append(value)
        case "driver-opt":
            key, value = _driver_option(value)
            attachment.driver_opts[key] = value
        case "ip":
            attachment.ipv4 = value
        case "ip6":
            attachment.ipv6 = value
        case "mac-address":
            attachment.mac = value
        case "link-local-ip":
            attachment.link_local.append(value)
        case "gw-priority":
            try:
                attachment.gateway_priority = int(value)
            except ValueError:
                raise ValueProblem(f"invalid gw-priority ({value}): invalid syntax") from None
        case unknown:
            raise ValueProblem(f"invalid field key {unknown}")


def _split(piece: str) -> tuple[str, str, str]:
    name, equals, value = piece.partition("=")
    return name.strip().lower(), equals, value


def _driver_option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueProblem(f"invalid key value pair format in driver options: {text}")
    key = key.strip().lower()
    value = value.strip()
    return key, value.lower()


def attachments(parsed: Parsed) -> list[NetworkAttachment]:
    """Return the networks of a command line, with the options that concern only the first one put into it.

    Raises ``ValueProblem`` for contradictions.
    """
    networks: list[NetworkAttachment] = [parse_network(text) for text in parsed.list("network")]
    if not networks:
        networks = [NetworkAttachment("default")]
    first = networks[0]
    _only_once(networks)
    user_defined = _user_defined(first.target)
    if len(networks) > 1 and not all(_user_defined(each.target) for each in networks):
        raise ValueProblem("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    _merge(parsed, first, user_defined)
    for each in networks:
        if each.mac and not is_mac(each.mac):
            raise ValueProblem(f"{each.mac} is not a valid mac address")
    return networks


def _only_once(networks: Sequence[NetworkAttachment]) -> None:
    seen = set()
    for each in networks:
        if each.target in seen:
            raise ValueProblem(f'network "{each.target}" is specified multiple times')
        seen.add(each.target)


def _user_defined(mode: str) -> bool:
    return mode not in {"default", "bridge", "host", "none"} and not mode.startswith("container:")


def _merge(parsed: Parsed, first: NetworkAttachment, user_defined: bool) -> None:
    """Put ``--ip``, ``--network-alias`` and the like into the first network; refuse to say a thing twice."""
    for option, present, what in (
        ("network-alias", first.aliases, "--network-alias and per-network alias"),
        ("link", first.links, "--link and per-network links"),
        ("ip", first.ipv4, "--ip and per-network IPv4 address"),
        ("ip6", first.ipv6, "--ip6 and per-network IPv6 address"),
        ("mac-address", first.mac, "--mac-address and per-network MAC address"),
        ("link-local-ip", first.link_local, "--link-local-ip and per-network link-local IP addresses"),
    ):
        if parsed[option] and present:
            raise ValueProblem(f"conflicting options: cannot specify both {what}")
    first.aliases = first.aliases or parsed.list("network-alias")
    if user_defined:
        first.links = parsed.list("link")
    first.ipv4 = first.ipv4 or parsed.text("ip")
    first.ipv6 = first.ipv6 or parsed.text("ip6")
    first.mac = first.mac or parsed.text("mac-address")
    first.link_local = first.link_local or parsed.list("link-local-ip")


def networking_config(networks: Sequence[NetworkAttachment]) -> dict[str, Any]:
    """Return the API's ``NetworkingConfig``; a lone network with nothing special needs none."""
    endpoints = {each.target: _endpoint(each) for each in networks}
    if len(networks) == 1 and networks[0].target != "default" and not _special(networks[0]):
        endpoints = {}
    return {"EndpointsConfig": endpoints}


def _special(each: NetworkAttachment) -> bool:
    asked = (each.aliases, each.driver_opts, each.links, each.ipv4, each.ipv6, each.link_local, each.mac)
    return any(asked) or each.gateway_priority != 0


def _endpoint(each: NetworkAttachment) -> dict[str, Any]:
    ipam: dict[str, Any] | None = None
    if each.ipv4 or each.ipv6 or each.link_local:
        ipam = {}
        if each.ipv4:
            ipam["IPv4Address"] = each.ipv4
        if each.ipv6:
            ipam["IPv6Address"] = each.ipv6
        if each.link_local:
            ipam["LinkLocalIPs"] = each.link_local
    return {
        "IPAMConfig": ipam,
        "Links": each.links or None,
        "Aliases": each.aliases or None,
        "MacAddress": each.mac,
        "DriverOpts": each.driver_opts or None,
        "GwPriority": each.gateway_priority,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
