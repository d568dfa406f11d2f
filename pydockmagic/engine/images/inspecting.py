"""``GET /images/{name}/json`` and ``/history`` (Engine API v1.50)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .records import ImageRecord
from .store import Store
from .times import created_ns, parse_config_time, rfc3339

__all__ = ["describe", "history", "history_rows", "inspect"]

# What an image's config is made of (docker image-spec v1.3); what older Dockers wrote beside it is about a container.
_CONFIG_FIELDS = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
                  "ArgsEscaped", "Healthcheck", "OnBuild", "Shell")  # fmt: skip
_CONTAINER_CONFIG = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip
_NEVER = "0001-01-01T00:00:00Z"
_SPARSE_SINCE, _WITHOUT_CONTAINER_SINCE, _WITHOUT_VIRTUAL_SIZE_SINCE = (1, 50), (1, 45), (1, 44)
"""The versions of the API from which a description leaves out: unset fields of Config, the container, VirtualSize."""


def describe(store: Store, image: ImageRecord, driver: str, version: tuple[int, int]) -> dict[str, Any]:
    """Give the whole description of an image as a version of the API has it."""
    described = inspect(store, image, driver)
    if version < _SPARSE_SINCE:
        described["Config"] = {**_CONTAINER_CONFIG, **described["Config"]}
    if version < _WITHOUT_CONTAINER_SINCE:
        described["Container"] = image.container
    if version < _WITHOUT_VIRTUAL_SIZE_SINCE:
        described["VirtualSize"] = described["Size"]
        described.setdefault("Created", _NEVER)
    return described


def inspect(store: Store, image: ImageRecord, driver: str) -> dict[str, Any]:
    """Give the whole description of an image. ``driver`` is the storage driver's name."""
    config = store.config(image.id)
    created = created_ns(image, config)
    references = store.references_of(image.id)
    described: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": [reference.familiar for reference in references if not reference.digest],
        "RepoDigests": [reference.familiar for reference in references if reference.digest],
        "Parent": image.parent or "",
        "Comment": image.comment or _last_comment(config),
        "Created": rfc3339(created) if created is not None else None,
        "ContainerConfig": _container_config(config),
        "DockerVersion": config.get("docker_version", ""),
        "Author": image.author or config.get("author", ""),
        "Config": _config(config),
        "Architecture": config.get("architecture", ""),
        "Variant": config.get("variant"),
        "Os": config.get("os", ""),
        "OsVersion": config.get("os.version"),
        "Size": store.size(image),
        "GraphDriver": {"Data": _driver_data(store, image, driver), "Name": driver},
        "RootFS": {"Type": "layers", "Layers": [store.layers[chain].diff_id for chain in image.chain_ids]},
        "Metadata": {"LastTagTime": _last_tagged(store, image)},
    }
    if not image.chain_ids:
        del described["RootFS"]["Layers"]
    return {key: value for key, value in described.items() if value is not None}


def _config(config: dict[str, Any]) -> dict[str, Any]:
    found = config.get("config") or {}
    return {name: found[name] for name in _CONFIG_FIELDS if found.get(name)}


def _container_config(config: dict[str, Any]) -> dict[str, Any]:
    """Give what API 1.45 dropped, and docker-compose 1.29 asks every newer engine for: it looks for ``Volumes``."""
    return {**_CONTAINER_CONFIG, **(config.get("container_config") or _config(config))}


def _last_comment(config: dict[str, Any]) -> str:
    history = config.get("history") or [{}]
    return str(history[-1].get("comment", "")) if len(history) == 1 else ""


def _last_tagged(store: Store, image: ImageRecord) -> str:
    times = [store.references[str(name)].tagged_ns for name in store.references_of(image.id) if not name.digest]
    return rfc3339(max(times)) if times else _NEVER


def _driver_data(store: Store, image: ImageRecord, driver: str) -> dict[str, str] | None:
    """Name the directories as overlay2 does: the image's topmost layer is "upper", as for a container made of it."""
    if driver != "overlay2" or not image.chain_ids:
        return None
    *below, top = (store.layer_files.directory(chain) for chain in image.chain_ids)
    home: Path = top.parent
    data = {"MergedDir": str(home / "merged"), "UpperDir": str(top), "WorkDir": str(home / "work")}
    if below:
        data["LowerDir"] = ":".join(str(path) for path in reversed(below))
    return data


def history(store: Store, image: ImageRecord) -> list[dict[str, Any]]:
    """Give the history, newest first."""
    rows = []
    for entry, record, chain in reversed(history_rows(store, image)):
        names = store.references_of(record.id) if record else []
        created = parse_config_time(entry.get("created"))
        if record:
            created = created_ns(record, store.config(record.id))
        elif created == 0:
            created = created_ns(image, store.config(image.id))  # clamped: the whole image's time says more
        rows.append(
            {
                "Comment": entry.get("comment", ""),
                "Created": (created or 0) // 10**9,
                "CreatedBy": entry.get("created_by", ""),
                "Id": record.id if record else "<missing>",
                "Size": store.layers[chain].size if chain else 0,
                "Tags": [name.familiar for name in names if not name.digest] or None,
            }
        )
    return rows


def history_rows(store: Store, image: ImageRecord) -> list[tuple[dict[str, Any], ImageRecord | None, str | None]]:
    """Give each history entry, bottom first, with the image that it ended in (where that is known) and its layer.

    A config whose history names fewer layers than there are gets an empty entry for each of the rest.
    """
    entries = list(store.config(image.id).get("history") or [])
    layered = sum(not entry.get("empty_layer") for entry in entries)
    entries += [{} for _ in range(len(image.chain_ids) - layered)]
    chains = iter(image.chain_ids)
    found: list[tuple[dict[str, Any], ImageRecord | None, str | None]] = [
        (entry, None, None if entry.get("empty_layer") else next(chains, None)) for entry in entries
    ]
    record: ImageRecord | None = image
    for at in range(len(found) - 1, -1, -1):
        if record is None:
            break
        found[at] = (found[at][0], record, found[at][2])
        record = store.images.get(record.parent) if record.parent else None
    return found
