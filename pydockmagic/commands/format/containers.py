"""``docker ps``, ``docker stats`` and ``docker diff`` (docker/cli, command/formatter/container.go)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydockmagic.commands.units import binary_size, human_size

from .exact import moment, number
from .listing import Field, Json, Listing, Options
from .table import ellipsis
from .times import age, go_time

__all__ = ["CHANGES", "CONTAINERS", "STATS", "displayable_ports"]

_ID = 12
_COMMAND = 20
_MOUNT = 15


def _id(item: Json, options: Options) -> str:
    text = str(item["Id"])
    return text[:_ID] if options.trunc else text


def _names(item: Json, options: Options) -> str:
    names = [str(name).removeprefix("/") for name in item.get("Names") or ()]
    if options.trunc:
        names = [name for name in names if "/" not in name] or names
    return ",".join(names)


def _image(item: Json, options: Options) -> str:
    name = str(item.get("Image", ""))
    if not name:
        return "<no image>"
    if options.trunc:
        image_id = str(item.get("ImageID", ""))
        short, short_name = _short(image_id), _short(name)
        if short and short == short_name:
            return short
        return _familiar(name)
    return name


def _short(text: str) -> str:
    return text.removeprefix("sha256:")[:_ID]


def _familiar(name: str) -> str:
    """Drop what docker takes for granted; an untagged image's id is left alone."""
    from pydockmagic.oci.errors import InvalidReference  # noqa: PLC0415 - only lists of containers need it
    from pydockmagic.oci.reference import parse_normalized  # noqa: PLC0415

    try:
        reference = parse_normalized(name)
    except InvalidReference:
        return name
    return f"{reference.familiar_name}:{reference.tag}" if reference.tag else reference.familiar_name


def _command(item: Json, options: Options) -> str:
    from pydockmagic.commands.template.literals import quote  # noqa: PLC0415

    text = str(item.get("Command", ""))
    return quote(ellipsis(text, _COMMAND) if options.trunc else text)


def _size(item: Json, _options: Options) -> str:
    writable = human_size(item.get("SizeRw") or 0, 3)
    whole = item.get("SizeRootFs") or 0
    return f"{writable} (virtual {human_size(whole, 3)})" if whole > 0 else writable


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Write labels as lists show them."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def _mounts(item: Json, options: Options) -> str:
    names = []
    for mount in item.get("Mounts") or ():
        name = str(mount.get("Name") or mount.get("Source") or "")
        names.append(ellipsis(name, _MOUNT) if options.trunc else name)
    return ",".join(names)


def _volumes(item: Json, _options: Options) -> str:
    return str(sum(1 for mount in item.get("Mounts") or () if mount.get("Driver") == "local"))


def _networks(item: Json, _options: Options) -> str:
    settings = item.get("NetworkSettings") or {}
    return ",".join(sorted(settings.get("Networks") or {}))


def _platform(item: Json, _options: Options) -> Any:
    from pydockmagic.commands.template import Struct  # noqa: PLC0415

    platform = (item.get("ImageManifestDescriptor") or {}).get("platform")
    return None if platform is None else Struct(platform)


def displayable_ports(ports: Sequence[Json] | None) -> str:
    """Write ports as ``docker ps`` does: neighbours in a range, what is not published without an address."""
    ordered = sorted(
        ports or (),
        key=lambda port: (port["PrivatePort"], str(port.get("IP", "")), port.get("PublicPort", 0), port["Type"]),
    )
    groups: dict[str, tuple[int, int]] = {}
    mapped: list[str] = []
    first_mapped: list[str] = []
    for port in ordered:
        private, public = port["PrivatePort"], port.get("PublicPort", 0)
        address = str(port.get("IP", ""))
        key = port["Type"]
        if address:
            if public != private:
                first_mapped.append(f"{_joined(address, public)}->{private}/{port['Type']}")
                continue
            key = f"{address}/{port['Type']}"
        if key not in groups:
            groups[key] = (private, private)
        elif private == groups[key][1] + 1:
            groups[key] = (groups[key][0], private)
        else:
            mapped.append(_range(key, *groups[key]))
            groups[key] = (private, private)
    mapped.extend(_range(key, *ends) for key, ends in groups.items())
    return ", ".join(mapped + first_mapped)


def _joined(address: str, port: int | str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _range(key: str, start: int, last: int) -> str:
    address, _, protocol = key.rpartition("/")
    group = str(start) if start == last else f"{start}-{last}"
    if address:
        group = f"{_joined(address, group)}->{group}"
    return f"{group}/{protocol}"


CONTAINERS = Listing(
    go_type="*formatter.ContainerContext",
    fields={
        "ID": Field("CONTAINER ID", _id),
        "Names": Field("NAMES", _names),
        "Image": Field("IMAGE", _image),
        "Command": Field("COMMAND", _command),
        "CreatedAt": Field("CREATED AT", lambda item, _: go_time(item["Created"])),
        "RunningFor": Field("CREATED", lambda item, options: age(item["Created"], options.now)),
        "Ports": Field("PORTS", lambda item, _: displayable_ports(item.get("Ports"))),
        "State": Field("STATE", lambda item, _: item.get("State", "")),
        "Status": Field("STATUS", lambda item, _: item.get("Status", "")),
        "Size": Field("SIZE", _size),
        "Labels": Field("LABELS", lambda item, _: labels_text(item.get("Labels"))),
        "LocalVolumes": Field("LOCAL VOLUMES", _volumes),
        "Mounts": Field("MOUNTS", _mounts),
        "Networks": Field("NETWORKS", _networks),
        "Platform": Field("PLATFORM", _platform),
    },
    parse_failed="failed to parse template: ",
    fill_failed="failed to execute template: ",
    columns=lambda options: (
        *("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"),
        *(("Size",) if options.size else ()),
    ),
    labels=lambda item: item.get("Labels") or {},
    exact={
        "CreatedAt": lambda item: moment(item["Created"]),
        "Labels": lambda item: dict(item.get("Labels") or {}),
        "LocalVolumes": lambda item: int(_volumes(item, Options())),
        "Mounts": lambda item: [str(each.get("Name") or each.get("Source") or "") for each in item.get("Mounts") or ()],
        "Networks": lambda item: sorted((item.get("NetworkSettings") or {}).get("Networks") or {}),
        "Size": number("SizeRw"),
        "SizeRootFs": number("SizeRootFs"),
    },
    raw=(
        "container_id: {{.ID}}\\nimage: {{.Image}}\\ncommand: {{.Command}}\\ncreated_at: {{.CreatedAt}}\\n"
        "state: {{- pad .State 1 0}}\\nstatus: {{- pad .Status 1 0}}\\nnames: {{.Names}}\\n"
        "labels: {{- pad .Labels 1 0}}\\nports: {{- pad .Ports 1 0}}\\n"
    ),
)

_KINDS = {0: "C", 1: "A", 2: "D"}

CHANGES = Listing(
    go_type="*container.diffContext",
    fields={
        "Type": Field("CHANGE TYPE", lambda item, _: _KINDS.get(item["Kind"], "")),
        "Path": Field("PATH", lambda item, _: item["Path"]),
    },
    columns=lambda _: ("Type", "Path"),
    quiet="Path",
)


def _percent(name: str) -> Field:
    heading = "CPU %" if name == "CPUPercentage" else "MEM %"

    def value(item: Json, _options: Options) -> str:
        return "--" if item.get("IsInvalid") else f"{item[name]:.2f}%"

    return Field(heading, value)


def _memory(item: Json, _options: Options) -> str:
    if item.get("IsInvalid"):
        return "-- / --"
    return f"{binary_size(item['Memory'])} / {binary_size(item['MemoryLimit'])}"


def _measured(name: str) -> Callable[[Json], Any]:
    return lambda item: None if item.get("IsInvalid") else item[name]


def _pair(heading: str, first: str, second: str) -> Field:
    def value(item: Json, _options: Options) -> str:
        if item.get("IsInvalid"):
            return "--"
        return f"{human_size(item[first], 3)} / {human_size(item[second], 3)}"

    return Field(heading, value)


STATS = Listing(
    go_type="*container.statsContext",
    fields={
        "Container": Field("CONTAINER", lambda item, _: item["Container"]),
        "Name": Field("NAME", lambda item, _: str(item["Name"]).removeprefix("/") or "--"),
        "ID": Field("CONTAINER ID", lambda item, options: item["ID"][:_ID] if options.trunc else item["ID"]),
        "CPUPerc": _percent("CPUPercentage"),
        "MemUsage": Field("MEM USAGE / LIMIT", _memory),
        "MemPerc": _percent("MemoryPercentage"),
        "NetIO": _pair("NET I/O", "NetworkRx", "NetworkTx"),
        "BlockIO": _pair("BLOCK I/O", "BlockRead", "BlockWrite"),
        "PIDs": Field("PIDS", lambda item, _: "--" if item.get("IsInvalid") else str(item["PidsCurrent"])),
    },
    columns=lambda _: ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
    exact={
        "CPUPerc": _measured("CPUPercentage"),
        "MemUsage": _measured("Memory"),
        "MemLimit": _measured("MemoryLimit"),
        "MemPerc": _measured("MemoryPercentage"),
        "NetRx": _measured("NetworkRx"),
        "NetTx": _measured("NetworkTx"),
        "BlockRead": _measured("BlockRead"),
        "BlockWrite": _measured("BlockWrite"),
        "PIDs": _measured("PidsCurrent"),
    },
)
