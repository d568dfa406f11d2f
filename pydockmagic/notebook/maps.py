"""Reading what the maps show: networks, volumes and images, from what every Docker daemon tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.widgets.network_map import Attached, Network, Published, network_sheet

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.notebook.widgets.sheet import Sheet

__all__ = ["network_map"]

_ANY = {"0.0.0.0", "::", "", None}  # noqa: S104 - read, not listened on
_QUIET = {"host", "none"}


def network_map(client: Client, names: Sequence[str], engine: str = "") -> Sheet:
    """Read the map of the networks of these names, or of all. Raises ``DockerError`` for an unknown one."""
    listed = client.containers(all=True)
    called = {str(each["Id"]): str(each["Names"][0]).lstrip("/") for each in listed if each.get("Names")}
    containers = [_named(_attached(each), called) for each in reversed(listed)]
    found = client.networks()
    for name in names:
        if not any(name == each["Name"] or each["Id"].startswith(name) for each in found):
            raise DockerError(
                f"Error response from daemon: network {name} not found", hint="%network ls lists what there is"
            )
    networks = [_network(each) for each in sorted(found, key=lambda each: str(each["Created"]))]
    if names:
        networks = [each for each in networks if each.name in names]
        containers = [each for each in containers if any(network.name in each.addresses for network in networks)]
    else:  # those that are always there are shown where somebody uses them
        used = {name for each in containers for name in each.addresses}
        networks = [each for each in networks if each.name not in _QUIET or each.name in used]
    return network_sheet(networks, containers, names, engine)


def _network(facts: Mapping[str, Any]) -> Network:
    options = facts.get("Options") or {}
    subnets = tuple(str(each.get("Subnet", "")) for each in (facts.get("IPAM") or {}).get("Config") or ())
    return Network(
        name=str(facts["Name"]),
        driver=str(facts["Driver"]),
        subnets=subnets,
        internal=bool(facts.get("Internal")),
        names=options.get("com.docker.network.bridge.default_bridge") != "true" and facts["Name"] != "bridge",
        joined=options.get("com.docker.network.bridge.enable_icc") != "false",
    )


def _attached(summary: Mapping[str, Any]) -> Attached:
    mode = str((summary.get("HostConfig") or {}).get("NetworkMode", ""))
    endpoints = (summary.get("NetworkSettings") or {}).get("Networks") or {}
    return Attached(
        name=str((summary.get("Names") or [summary["Id"][:12]])[0]).lstrip("/"),
        state=str(summary.get("State", "")),
        addresses={str(name): str(each.get("IPAddress") or "") for name, each in endpoints.items()},
        ports=tuple(_published(summary.get("Ports") or ())),
        mode=mode,
        shares=mode.partition(":")[2] if mode.startswith("container:") else "",
    )


def _named(each: Attached, names: Mapping[str, str]) -> Attached:
    return replace(each, shares=names.get(each.shares, each.shares)) if each.shares else each


def _published(ports: Iterable[Mapping[str, Any]]) -> list[Published]:
    found: dict[Published, None] = {}
    for port in sorted(ports, key=lambda each: (each.get("PublicPort") or 0, str(each.get("IP")))):
        if outer := port.get("PublicPort"):
            address = "" if port.get("IP") in _ANY else str(port["IP"])
            found[Published(int(outer), f"{port['PrivatePort']}/{port['Type']}", address)] = None
    return list(found)
