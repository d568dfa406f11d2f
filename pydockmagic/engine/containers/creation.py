"""Making a container: checking what was asked, merging the image in, its writable layer, its volumes, its record."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.runtime import cgroups, linux
from pydockmagic.engine.volumes import mounts
from pydockmagic.engine.volumes.records import MountPoint
from pydockmagic.oci.layer import open_root, resolve_in_root

from . import links, merging, platforms, validation
from .addressing import check_endpoints, check_ports
from .config import ContainerConfig, CreateRequest, EndpointSettings, HostConfig
from .container import Container
from .core import Core
from .joins import name_joins
from .logoptions import check_log_config
from .names import random_name
from .records import ContainerRecord
from .resources import kernel_memory
from .security import missing_capabilities, parse_security

__all__ = ["Created", "Creator"]

_CONFIG_FIELDS = ContainerConfig.__struct_fields__
_HEX = frozenset("0123456789")


class Created(msgspec.Struct, frozen=True, rename={"id": "Id", "warnings": "Warnings"}):
    """The answer to ``POST /containers/create``."""

    id: str
    warnings: Sequence[str]


def new_id() -> str:
    """Make an id whose short form is no number, so that a hostname made of it is none (as Docker does)."""
    while True:
        candidate = secrets.token_hex(32)
        if not set(candidate[:12]) <= _HEX:
            return candidate


class Creator:
    """Makes containers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(self, request: CreateRequest, name: str | None = None, *, transient: bool = False) -> Created:
        """Make a container and give its id. ``transient`` marks a build step's, which does not outlive the engine."""
        core = self._core
        config = ContainerConfig(**{field: getattr(request, field) for field in _CONFIG_FIELDS})
        host = request.host_config
        if name:
            name = validation.check_name(name)
        image = core.images.get(config.image)
        document = core.images.config(image.id)
        merging.merge_image(config, document.get("config") or {})
        validation.check_config(config)
        check_ports(config.exposed_ports or (), host.port_bindings)
        warnings = platforms.check(document, request.platform, config.image)
        warnings += kernel_memory(request.kernel_memory)
        warnings += validation.check_host_config(host, config, core.surroundings.runtime_name, cgroups.layout().support)
        if host.privileged or host.cap_add:
            warnings += missing_capabilities(host, linux.bounding_set())
        parse_security(host.security_opt)
        merging.fill_host_config(
            host, cgroup_version=core.surroundings.cgroup_version, runtime=core.surroundings.runtime_name
        )
        warnings += core.networks.advise(host.network_mode)
        command = merging.command_line(config)
        if not command:
            raise InvalidParameter("No command specified")
        check_log_config(host.log_config)
        name_joins(host, core.store)
        identity = new_id()
        if not config.hostname:
            shares_host = host.network_mode == "host" or host.uts_mode == "host"
            config.hostname = socket.gethostname() if shares_host else identity[:12]
        record = ContainerRecord(
            id=identity,
            name=name or random_name(core.store.name_taken),
            created_ns=time.time_ns(),
            path=command[0],
            args=command[1:],
            image_id=image.id,
            image_ref=config.image,
            config=config,
            host_config=host,
            mounts=mounts.collect(_asked_mounts(config, host), self._mounts_of),
            endpoints=_endpoints(request, host.network_mode),
            links=links.register(core.store, host.links, host.network_mode),
            transient=transient,
        )
        record.networks = {network: _blank_endpoint(asked) for network, asked in record.endpoints.items()}
        core.store.reserve(record.name, record.id)
        try:
            await self._make(record, image.chain_ids)
        except BaseException:
            core.store.release(record.name, record.id)
            await self._undo(record)
            raise
        return Created(record.id, warnings)

    async def _make(self, record: ContainerRecord, chain_ids: Sequence[str]) -> None:
        core = self._core
        layers = core.images.layer_dirs(chain_ids)
        for mount in record.mounts:
            if mount.kind == "volume":
                await core.volumes.create(
                    mount.name,
                    driver=mount.driver,
                    labels=mount.labels,
                    options=mount.driver_options,
                    anonymous=mount.anonymous,
                )
        fill = [m for m in record.mounts if m.kind == "volume" and m.copy_up]

        def on_disk() -> None:
            core.files(record.id).directory.mkdir(mode=0o710, exist_ok=True)
            init = core.init_layer(layers, chain_ids)
            record.init_layer = init.name
            core.storage.create(record.id, [init, *layers])
            if fill:
                root = core.storage.mount(record.id)
                try:
                    for mount in fill:
                        core.volumes.fill(mount, _inside(root, mount.destination))
                finally:
                    core.storage.unmount(record.id)

        async with core.volumes.opened([mount.name for mount in fill]):
            await asyncio.to_thread(on_disk)
        container = Container(record)
        container.remember("create", container.lifecycle)
        await core.store.add(container)
        core.publish(container, "create")

    async def _undo(self, record: ContainerRecord) -> None:
        """Throw away what was made of a container that cannot be made."""
        core = self._core
        await asyncio.to_thread(core.storage.remove, record.id)
        await asyncio.to_thread(core.trash.discard, core.files(record.id).directory)
        for mount in record.mounts:
            if mount.kind == "volume" and mount.anonymous:
                with contextlib.suppress(EngineError):
                    await core.volumes.remove(mount.name, force=True)

    def _mounts_of(self, name: str) -> Sequence[MountPoint]:
        return [mount for mount in self._core.store.get(name).record.mounts if mount.kind != "tmpfs"]


def _inside(root: Path, path: str) -> Path:
    """Give the host's path of a directory of the container, links resolved as the container sees them."""
    descriptor = open_root(root)
    try:
        return root / resolve_in_root(descriptor, path)
    finally:
        os.close(descriptor)


def _asked_mounts(config: ContainerConfig, host: HostConfig) -> mounts.Asked:
    """Gather what is said about mounts in a create request."""
    return mounts.Asked(
        binds=host.binds or (),
        mounts=host.mounts or (),
        tmpfs=host.tmpfs or {},
        volumes=tuple(config.volumes or ()),
        volumes_from=host.volumes_from or (),
        driver=host.volume_driver,
    )


def _endpoints(request: CreateRequest, network_mode: str) -> dict[str, EndpointSettings]:
    """Give what was asked of each network; the mode's network is always among them."""
    if network_mode.startswith("container:"):
        return {}
    asked = {
        "bridge" if name == "default" else name: settings or EndpointSettings()
        for name, settings in request.networking_config.endpoints_config.items()
    }
    own = asked.pop(network_mode, None) or EndpointSettings()
    if request.mac_address is not UNSET:
        own.mac_address = own.mac_address or request.mac_address
    endpoints = {network_mode: own, **asked}
    check_endpoints(endpoints)
    return endpoints


def _blank_endpoint(asked: EndpointSettings) -> dict[str, Any]:
    shown: Mapping[str, Any] = msgspec.to_builtins(asked)
    return dict(shown)
