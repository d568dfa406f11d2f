"""Reading what the maps show: networks, volumes and images, from what every Docker daemon tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ClientError
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.widgets.image_tree import ImageLayer, ImageSeen, tree_sheet
from pydockmagic.notebook.widgets.layers import described
from pydockmagic.notebook.widgets.network_map import Attached, Network, Published, network_sheet
from pydockmagic.notebook.widgets.records import Layer
from pydockmagic.notebook.widgets.volume_map import MountUse, User, Volume, volume_sheet

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.notebook.widgets.sheet import Sheet

__all__ = ["image_tree", "network_map", "volume_map", "volume_sizes"]

_ANY = {"0.0.0.0", "::", "", None}  # noqa: S104 - read, not listened on
_QUIET = {"host", "none"}
_MADE_A_LAYER = re.compile(r"/bin/sh -c (?!#\(nop\))|RUN |COPY |ADD ")


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
        name=_name(summary),
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


def volume_sizes(client: Client) -> dict[str, int]:
    """Ask what the volumes take: the daemon counts their files. Empty where it would have to count all else as well."""
    if not client.at_least("1.42"):
        return {}
    try:
        found = client.disk_usage("volume").get("Volumes") or ()
    except ClientError:
        return {}  # the map is complete without
    sizes = {str(each["Name"]): int((each.get("UsageData") or {}).get("Size", -1)) for each in found}
    return {name: size for name, size in sizes.items() if size >= 0}


def volume_map(client: Client, names: Sequence[str], engine: str = "", sizes: Mapping[str, int] | None = None) -> Sheet:
    """Read the map of the volumes of these names, or of all. Raises ``DockerError`` for an unknown one."""
    known = sizes or {}
    found = client.volumes().get("Volumes") or ()
    volumes = [Volume(str(each["Name"]), str(each.get("Driver", "")), known.get(str(each["Name"]))) for each in found]
    for name in names:
        if not any(name == each.name for each in volumes):
            raise DockerError(
                f"Error response from daemon: get {name}: no such volume", hint="%volume ls lists what there is"
            )
    users = [
        User(_name(each), str(each.get("State", "")), tuple(_mount(mount) for mount in each.get("Mounts") or ()))
        for each in reversed(client.containers(all=True))
    ]
    if names:
        volumes = [each for each in volumes if each.name in names]
        users = [
            replace(
                each, mounts=tuple(mount for mount in each.mounts if mount.kind == "volume" and mount.source in names)
            )
            for each in users
        ]
    return volume_sheet(sorted(volumes, key=lambda each: (each.anonymous, each.name)), users, names, engine)


def _name(summary: Mapping[str, Any]) -> str:
    return str((summary.get("Names") or [summary["Id"][:12]])[0]).lstrip("/")


def _mount(facts: Mapping[str, Any]) -> MountUse:
    kind = str(facts.get("Type", ""))
    source = str(facts.get("Name") if kind == "volume" else facts.get("Source") or "")
    return MountUse(kind, source, str(facts.get("Destination", "")), bool(facts.get("RW")))


def image_tree(client: Client, names: Sequence[str], engine: str = "") -> Sheet:
    """Read the tree of these images, or of all. Raises ``NotFound`` for an unknown one."""
    own = "image-layers" in client.features()
    if names:
        found: dict[str, tuple[str, ...]] = {str(client.image_inspect(name)["Id"]): (name,) for name in names}
    else:
        found = {str(each["Id"]): _tags(each) for each in reversed(client.images())}
    images = []
    for identity, called in found.items():
        layers = _own_layers(client, identity) if own else _plain_layers(client, identity)
        images.append(ImageSeen(called or (identity.removeprefix("sha256:")[:12],), tuple(layers)))
    return tree_sheet(sorted(images, key=lambda each: (len(each.layers), each.names)), names, engine)


def _tags(facts: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(tag) for tag in facts.get("RepoTags") or () if tag != "<none>:<none>")


def _own_layers(client: Client, name: str) -> list[ImageLayer]:
    rows = client.image_layers(name)["Layers"]
    return [
        ImageLayer(
            row["DiffId"], row["Size"], described(Layer(instruction=row["Instruction"], created_by=row["CreatedBy"]))
        )
        for row in rows
        if not row["Empty"]
    ]


def _plain_layers(client: Client, name: str) -> list[ImageLayer]:
    """Put together what every daemon tells, without its files: history and the digests of the layers."""
    digests = list((client.image_inspect(name).get("RootFS") or {}).get("Layers") or ())
    history = list(reversed(client.image_history(name)))
    # A step with bytes surely made a layer, RUN does even with none; the rest is metadata.
    made = [row for row in history if row.get("Size") or _MADE_A_LAYER.match(str(row.get("CreatedBy") or ""))]
    layers = []
    for at, digest in enumerate(digests):
        row: Mapping[str, Any] = made[at] if len(made) == len(digests) else {}
        text = str(row.get("CreatedBy") or row.get("Comment") or "")
        layers.append(ImageLayer(digest, int(row.get("Size") or 0), described(Layer(created_by=text))))
    return layers
