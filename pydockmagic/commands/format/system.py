"""``docker network ls``, ``docker volume ls`` and ``docker system df`` (docker/cli, command/formatter)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydockmagic.commands.units import human_size

from .containers import labels_text
from .exact import known, moment_of, number
from .listing import Field, Json, Listing, Options
from .times import age, nanoseconds

__all__ = ["BUILD_CACHE", "DISK_USAGE", "NETWORKS", "VOLUMES", "disk_usage_rows"]

_ID = 12


def _id(item: Json, options: Options) -> str:
    text = str(item.get("Id", ""))
    return text[:_ID] if options.trunc else text


def _bool(name: str) -> Field:
    return Field(name.upper(), lambda item, _: "true" if item.get(name) else "false")


NETWORKS = Listing(
    go_type="*network.networkContext",
    fields={
        "ID": Field("NETWORK ID", _id),
        "Name": Field("NAME", lambda item, _: item.get("Name", "")),
        "Driver": Field("DRIVER", lambda item, _: item.get("Driver", "")),
        "Scope": Field("SCOPE", lambda item, _: item.get("Scope", "")),
        "IPv4": Field("IPV4", lambda item, _: "true" if item.get("EnableIPv4") else "false"),
        "IPv6": Field("IPV6", lambda item, _: "true" if item.get("EnableIPv6") else "false"),
        "Internal": _bool("Internal"),
        "Labels": Field("LABELS", lambda item, _: labels_text(item.get("Labels"))),
        "CreatedAt": Field("CREATED AT", lambda item, _: _created(item.get("Created", ""))),
    },
    columns=lambda _: ("ID", "Name", "Driver", "Scope"),
    exact={
        "CreatedAt": lambda item: moment_of(item.get("Created")),
        "IPv4": lambda item: bool(item.get("EnableIPv4")),
        "IPv6": lambda item: bool(item.get("EnableIPv6")),
        "Internal": lambda item: bool(item.get("Internal")),
        "Labels": lambda item: dict(item.get("Labels") or {}),
    },
    labels=lambda item: item.get("Labels") or {},
    raw="network_id: {{.ID}}\\nname: {{.Name}}\\ndriver: {{.Driver}}\\nscope: {{.Scope}}\\n",
)


def _created(text: str) -> str:
    """Write a time as Go's ``Time.String`` does, keeping its zone and its fraction."""
    if not text:
        return "0001-01-01 00:00:00 +0000 UTC"
    date, _, clock = text.partition("T")
    if clock.endswith("Z"):
        return f"{date} {clock[:-1]} +0000 UTC"
    zone = clock[-6:].replace(":", "")
    return f"{date} {clock[:-6]} {zone} {zone}"


def _cluster(name: str, heading: str) -> Field:
    def value(item: Json, _options: Options) -> str:
        cluster = item.get("ClusterVolume")
        if cluster is None:
            return "N/A"
        spec = cluster.get("Spec", {})
        if name == "Status":
            return _volume_status(cluster)
        return str(spec.get(name, ""))

    return Field(heading, value)


def _volume_status(cluster: Json) -> str:
    info = cluster.get("Info")
    if info is None or not info.get("VolumeID"):
        return "pending creation"
    published = cluster.get("PublishStatus") or []
    done = sum(1 for each in published if each.get("State") == "published")
    return f"in use ({done} node{'s' if done != 1 else ''})" if done else "created"


def _links(item: Json, _options: Options) -> str:
    usage = item.get("UsageData")
    return "N/A" if usage is None else str(usage["RefCount"])


def _volume_size(item: Json, _options: Options) -> str:
    usage = item.get("UsageData")
    return "N/A" if usage is None else human_size(usage["Size"])


VOLUMES = Listing(
    go_type="*formatter.volumeContext",
    fields={
        "Name": Field("VOLUME NAME", lambda item, _: item.get("Name", "")),
        "Driver": Field("DRIVER", lambda item, _: item.get("Driver", "")),
        "Scope": Field("SCOPE", lambda item, _: item.get("Scope", "")),
        "Mountpoint": Field("MOUNTPOINT", lambda item, _: item.get("Mountpoint", "")),
        "Labels": Field("LABELS", lambda item, _: labels_text(item.get("Labels"))),
        "Links": Field("LINKS", _links),
        "Size": Field("SIZE", _volume_size),
        "Group": _cluster("Group", "GROUP"),
        "Availability": _cluster("Availability", "AVAILABILITY"),
        "Status": _cluster("Status", "STATUS"),
    },
    columns=lambda _: ("Driver", "Name"),
    exact={
        "CreatedAt": lambda item: moment_of(item.get("CreatedAt")),
        "Labels": lambda item: dict(item.get("Labels") or {}),
        "Links": lambda item: known((item.get("UsageData") or {}).get("RefCount")),
        "Size": lambda item: known((item.get("UsageData") or {}).get("Size")),
    },
    quiet="Name",
    labels=lambda item: item.get("Labels") or {},
    raw="name: {{.Name}}\\ndriver: {{.Driver}}\\n",
)


def _cache_id(item: Json, options: Options) -> str:
    text = str(item.get("ID", ""))
    text = text[:_ID] if options.trunc else text
    return f"{text}*" if item.get("InUse") else text


def _cache_age(name: str) -> Any:
    def value(item: Json, options: Options) -> str:
        text = item.get(name)
        return age(nanoseconds(text) / 1e9, options.now) if text else ""

    return value


BUILD_CACHE = Listing(
    go_type="*formatter.buildCacheContext",
    fields={
        "ID": Field("CACHE ID", _cache_id),
        "Parent": Field("PARENT", lambda item, _: ", ".join(item.get("Parents") or ())),
        "CacheType": Field("CACHE TYPE", lambda item, _: item.get("Type", "")),
        "Description": Field("DESCRIPTION", lambda item, _: item.get("Description", "")),
        "InUse": Field("IN USE", lambda item, _: "true" if item.get("InUse") else "false"),
        "Shared": Field("SHARED", lambda item, _: "true" if item.get("Shared") else "false"),
        "Size": Field("SIZE", lambda item, _: human_size(item.get("Size", 0), 3)),
        "CreatedSince": Field("CREATED", _cache_age("CreatedAt")),
        "CreatedAt": Field("CREATED AT", lambda item, _: item.get("CreatedAt", "")),
        "LastUsedSince": Field("LAST USED", _cache_age("LastUsedAt")),
        "LastUsedAt": Field("LAST USED AT", lambda item, _: item.get("LastUsedAt") or ""),
        "UsageCount": Field("USAGE", lambda item, _: str(item.get("UsageCount", 0))),
    },
    exact={
        "CreatedAt": lambda item: moment_of(item.get("CreatedAt")),
        "InUse": lambda item: bool(item.get("InUse")),
        "LastUsedAt": lambda item: moment_of(item.get("LastUsedAt")),
        "Shared": lambda item: bool(item.get("Shared")),
        "Size": number("Size"),
        "UsageCount": number("UsageCount"),
    },
    columns=lambda _: ("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"),
)


DISK_USAGE = Listing(
    go_type="*formatter.diskUsageContext",
    fields={
        "Type": Field("TYPE", lambda item, _: item["Type"]),
        "TotalCount": Field("TOTAL", lambda item, _: item["TotalCount"]),
        "Active": Field("ACTIVE", lambda item, _: item["Active"]),
        "Size": Field("SIZE", lambda item, _: item["Size"]),
        "Reclaimable": Field("RECLAIMABLE", lambda item, _: item["Reclaimable"]),
    },
    columns=lambda _: ("Type", "TotalCount", "Active", "Size", "Reclaimable"),
    exact={
        "TotalCount": lambda item: int(item["TotalCount"]),
        "Active": lambda item: int(item["Active"]),
        "Size": lambda item: item["Bytes"],
        "Reclaimable": lambda item: item["Free"],
    },
    raw=(
        "type: {{.Type}}\\ntotal: {{.TotalCount}}\\nactive: {{.Active}}\\nsize: {{.Size}}\\n"
        "reclaimable: {{.Reclaimable}}\\n"
    ),
)


def disk_usage_rows(usage: Json) -> list[dict[str, Any]]:
    """Turn the API's disk usage into the four rows of ``docker system df``: texts, and bytes that are no fields."""
    return [
        _images_row(usage),
        _containers_row(usage.get("Containers") or ()),
        _volumes_row(usage.get("Volumes") or ()),
        _cache_row(usage.get("BuildCache") or ()),
    ]


def _row(kind: str, total: int, active: int, size: int, free: int, *, share: bool = True) -> dict[str, Any]:
    return {
        "Type": kind,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": human_size(size),
        "Reclaimable": _share(free, size) if share else human_size(free),
        "Bytes": size,
        "Free": free,
    }


def _share(part: float, whole: float) -> str:
    return f"{human_size(part)} ({int(part * 100 / whole)}%)" if whole > 0 else human_size(part)


def _images_row(usage: Json) -> dict[str, Any]:
    images: Sequence[Mapping[str, Any]] = usage.get("Images") or ()
    layers = usage.get("LayersSize") or 0
    used = 0
    for image in images:
        if image.get("Containers", 0) != 0 and image.get("Size", -1) != -1 and image.get("SharedSize", -1) != -1:
            used += image["Size"] - image["SharedSize"]
    active = sum(1 for image in images if image.get("Containers", 0) > 0)
    return _row("Images", len(images), active, layers, layers - used)


def _containers_row(containers: Sequence[Json]) -> dict[str, Any]:
    size = sum(each.get("SizeRw") or 0 for each in containers)
    running = [each for each in containers if each.get("State") in {"running", "paused", "restarting"}]
    free = sum(each.get("SizeRw") or 0 for each in containers if each not in running)
    return _row("Containers", len(containers), len(running), size, free)


def _volumes_row(volumes: Sequence[Json]) -> dict[str, Any]:
    known = [each["UsageData"] for each in volumes if (each.get("UsageData") or {}).get("Size", -1) != -1]
    size = sum(each["Size"] for each in known)
    free = sum(each["Size"] for each in known if each["RefCount"] == 0)
    active = sum(1 for each in volumes if (each.get("UsageData") or {}).get("RefCount", 0) > 0)
    return _row("Local Volumes", len(volumes), active, size, free)


def _cache_row(entries: Sequence[Json]) -> dict[str, Any]:
    size = sum(each.get("Size", 0) for each in entries if not each.get("Shared"))
    used = sum(each.get("Size", 0) for each in entries if each.get("InUse") and not each.get("Shared"))
    active = sum(1 for each in entries if each.get("InUse"))
    return _row("Build Cache", len(entries), active, size, size - used, share=False)
