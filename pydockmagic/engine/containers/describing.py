"""A container as JSON: ``docker inspect`` and the rows of ``docker ps``, in Docker's keys and order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from pydockmagic.engine.errors import NotFound
from pydockmagic.engine.timestamps import rfc3339
from pydockmagic.engine.volumes.records import MountPoint

from . import links
from .container import Container
from .core import Core
from .lifecycle import Lifecycle
from .records import ContainerRecord
from .security import parse_security
from .status import status_text
from .usage import directory_size

__all__ = ["Describer"]


class Describer:
    """Makes the JSON documents of containers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def inspect(self, container: Container, *, size: bool = False) -> dict[str, Any]:
        """Give the document of ``GET /containers/{id}/json``. Blocks when the size is asked for."""
        record = container.record
        files = self._core.files(record.id)
        logged = record.host_config.log_config.type == "json-file"
        document: dict[str, Any] = {
            "Id": record.id,
            "Created": rfc3339(record.created_ns),
            "Path": record.path,
            "Args": record.args,
            "State": _state(container),
            "Image": record.image_id,
            "ResolvConfPath": str(files.resolv_conf) if record.state.started_ns else "",
            "HostnamePath": str(files.hostname) if record.state.started_ns else "",
            "HostsPath": str(files.hosts) if record.state.started_ns else "",
            "LogPath": str(files.log) if logged and record.state.started_ns else "",
            "Name": f"/{record.name}",
            "RestartCount": record.restart_count,
            "Driver": self._core.storage.name,
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": parse_security(record.host_config.security_opt).apparmor,
            "ExecIDs": list(container.exec_ids) or None,
            "HostConfig": self._host_config(record),
            "GraphDriver": self._graph_driver(record),
            "Mounts": [self.mount(mount) for mount in record.mounts if not _is_short_tmpfs(mount)],
            "Config": _config(record),
            "NetworkSettings": _network_settings(record),
        }
        if size:
            document |= self._sizes(record)
        return document

    def _host_config(self, record: ContainerRecord) -> dict[str, Any]:
        document: dict[str, Any] = msgspec.to_builtins(record.host_config)
        if record.links:
            document["Links"] = links.shown(record, self._core.store)
        return document

    def _graph_driver(self, record: ContainerRecord) -> dict[str, Any]:
        name = self._core.storage.name
        try:
            root = self._core.storage.root(record.id)
        except (OSError, KeyError, ValueError, NotFound):
            return {"Data": None, "Name": name}
        if root.kind != "overlay":
            return {"Data": {"ID": record.id, "Dir": root.upper}, "Name": name}
        merged = f"{root.upper.rpartition('/')[0]}/merged"
        data = {
            "ID": record.id,
            "LowerDir": ":".join(root.lower),
            "MergedDir": merged,
            "UpperDir": root.upper,
            "WorkDir": root.work,
        }
        return {"Data": data, "Name": name}

    def _sizes(self, record: ContainerRecord) -> dict[str, int]:
        written = directory_size(self._core.storage.changes(record.id))
        return {"SizeRw": written, "SizeRootFs": written + self._image_size(record.image_id)}

    def _image_size(self, image_id: str) -> int:
        image = self._core.images.find(image_id)
        return sum(self._core.images.layer(chain).size for chain in image.chain_ids) if image is not None else 0

    def mount(self, mount: MountPoint) -> dict[str, Any]:
        """Give one entry of ``Mounts``."""
        shown: dict[str, Any] = {"Type": mount.kind}
        if mount.kind == "volume":
            shown["Name"] = mount.name
            shown["Source"] = str(self._core.volumes.path(mount.name))
        else:
            shown["Source"] = mount.source
        shown["Destination"] = mount.destination
        if mount.kind == "volume":
            shown["Driver"] = mount.driver
        return shown | {"Mode": mount.mode, "RW": mount.writable, "Propagation": mount.propagation}

    def summary(self, container: Container, *, size: bool = False) -> dict[str, Any]:
        """Give one row of ``GET /containers/json``. Blocks when the size is asked for."""
        record = container.record
        lifecycle = container.lifecycle
        row: dict[str, Any] = {
            "Id": record.id,
            "Names": links.names_of(container, self._core.store),
            "Image": self._shown_image(record),
            "ImageID": record.image_id,
            "Command": _command(record),
            "Created": record.created_ns // 1_000_000_000,
            "Ports": ports_of(record) if lifecycle in (Lifecycle.RUNNING, Lifecycle.PAUSED) else [],
            "Labels": record.config.labels,
            "State": lifecycle.value,
            "Status": status_text(record.state, lifecycle, time.time_ns()),
            "HostConfig": {"NetworkMode": record.host_config.network_mode},
            "NetworkSettings": {"Networks": record.networks},
            "Mounts": [self.mount(mount) for mount in record.mounts if not _is_short_tmpfs(mount)],
        }
        if size:
            row |= self._sizes(record)
        return row

    def _shown_image(self, record: ContainerRecord) -> str:
        """Give the name the container was made from, or the image's id once the name means another image."""
        found = self._core.images.find(record.image_ref)
        return record.image_ref if found is not None and found.id == record.image_id else record.image_id


def _is_short_tmpfs(mount: MountPoint) -> bool:
    """``--tmpfs`` shows in HostConfig.Tmpfs only, ``--mount type=tmpfs`` among the mounts."""
    return mount.kind == "tmpfs" and not mount.from_mounts


def _command(record: ContainerRecord) -> str:
    parts = [f"'{arg}'" if " " in arg else arg for arg in record.args]
    return " ".join([record.path, *parts])


def _state(container: Container) -> dict[str, Any]:
    state = container.record.state
    document: dict[str, Any] = {
        "Status": container.lifecycle.value,
        "Running": state.running,
        "Paused": state.paused,
        "Restarting": state.restarting,
        "OOMKilled": state.oom_killed,
        "Dead": state.dead,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_ns),
        "FinishedAt": rfc3339(state.finished_ns),
    }
    if state.health is not None:
        document["Health"] = {
            "Status": state.health.status,
            "FailingStreak": state.health.failing_streak,
            "Log": [
                {"Start": rfc3339(p.start_ns), "End": rfc3339(p.end_ns), "ExitCode": p.exit_code, "Output": p.output}
                for p in state.health.log
            ],
        }
    return document


def _config(record: ContainerRecord) -> dict[str, Any]:
    config = msgspec.structs.replace(record.config, image=record.image_ref)
    document: dict[str, Any] = msgspec.to_builtins(config)
    if config.on_build is None:
        document["OnBuild"] = None
    return document


def _network_settings(record: ContainerRecord) -> dict[str, Any]:
    """Give the network half, with the default bridge's addresses repeated at the top, as Docker has it."""
    bridge: Mapping[str, Any] = record.networks.get("bridge", {})
    live = record.state.pid != 0
    return {
        "Bridge": "",
        "SandboxID": record.sandbox_id if live else "",
        "SandboxKey": f"/proc/{record.state.pid}/ns/net" if live else "",
        "Ports": record.ports if live else {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": bridge.get("EndpointID", ""),
        "Gateway": bridge.get("Gateway", ""),
        "GlobalIPv6Address": bridge.get("GlobalIPv6Address", ""),
        "GlobalIPv6PrefixLen": bridge.get("GlobalIPv6PrefixLen", 0),
        "IPAddress": bridge.get("IPAddress", ""),
        "IPPrefixLen": bridge.get("IPPrefixLen", 0),
        "IPv6Gateway": bridge.get("IPv6Gateway", ""),
        "MacAddress": bridge.get("MacAddress", ""),
        "Networks": record.networks,
    }


def ports_of(record: ContainerRecord) -> list[dict[str, Any]]:
    """Give the ``Ports`` of a row: each published address, and what is only exposed."""
    rows: list[dict[str, Any]] = []
    for port, bindings in record.ports.items():
        number, _, protocol = port.partition("/")
        plain = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        if not bindings:
            rows.append(plain)
        rows += [
            {
                "IP": binding["HostIp"],
                "PrivatePort": int(number),
                "PublicPort": int(binding["HostPort"]),
                "Type": protocol or "tcp",
            }
            for binding in bindings or ()
        ]
    return rows
