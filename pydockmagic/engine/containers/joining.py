"""``network connect`` and ``network disconnect``: at once where the container runs, else at its next start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pydockmagic.engine.errors import Conflict, EngineError, NotFound

from .addressing import check_endpoints
from .config import EndpointSettings
from .container import Container
from .core import Core
from .lives import Lives
from .ports import JoinRequest, NetworkChange

__all__ = ["Joining"]


class Joining:
    """Changes which networks a container is on."""

    def __init__(self, core: Core, lives: Lives) -> None:
        self._core = core
        self._lives = lives

    async def connect(self, network: str, asked: str, settings: EndpointSettings) -> None:
        """Join a container to a network."""
        container = self._core.store.get(asked)
        check_endpoints({network: settings})
        record = container.record
        async with container.lock:
            self._check_alive(container)
            found = self._core.networks.inspect(network)
            name = str(found["Name"])
            if not record.state.pid and self._network_of(record.endpoints, str(found["Id"])) is not None:
                return
            host, config = record.host_config, record.config
            change = await self._core.networks.connect(
                network,
                JoinRequest(
                    container_id=record.id,
                    name=record.name,
                    hostname=config.hostname or record.id[:12],
                    domainname=config.domainname,
                    dns=tuple(host.dns),
                    dns_search=tuple(host.dns_search),
                    dns_options=tuple(host.dns_options),
                    mode=host.network_mode,
                    pid=record.state.pid,
                    settings=msgspec.to_builtins(settings),
                ),
            )
            record.endpoints[name] = settings
            record.networks[name] = dict(change.endpoint or msgspec.to_builtins(settings))
            await self._carry_out(container, change)
            await self._core.store.save(container)

    async def disconnect(self, network: str, asked: str, *, force: bool = False) -> None:
        """Take a container off a network; ``force`` also takes off what a container that is gone left behind."""
        container = self._core.store.find(asked)
        if container is None:
            if not force:
                self._core.store.get(asked)
            await self._core.networks.force_off(network, asked)
            return
        record = container.record
        async with container.lock:
            self._check_alive(container)
            name = self._name_of(network)
            if record.state.pid:
                change = await self._core.networks.disconnect(
                    network, record.id, mode=record.host_config.network_mode, pid=record.state.pid
                )
                await self._carry_out(container, change)
            elif self._network_of(record.endpoints, name) is None:
                raise EngineError(f"container {record.id} is not connected to the network {name}")
            else:
                self._tell_disconnected(network, record.id)
            key = self._network_of(record.endpoints, name) or name
            record.endpoints.pop(key, None)
            record.networks.pop(name, None)
            record.networks.pop(key, None)
            await self._core.store.save(container)

    def _tell_disconnected(self, reference: str, container_id: str) -> None:
        """Tell that a stopped container will not be on a network any more."""
        with contextlib.suppress(NotFound):
            network = self._core.networks.inspect(reference)
            attributes = {"container": container_id, "name": str(network["Name"]), "type": str(network["Driver"])}
            self._core.events.publish("network", "disconnect", str(network["Id"]), attributes)

    def _name_of(self, reference: str) -> str:
        """Give a network's name; one that is gone is called as the client does."""
        try:
            return str(self._core.networks.inspect(reference)["Name"])
        except NotFound:
            return reference

    def _network_of(self, endpoints: dict[str, EndpointSettings], wanted: str) -> str | None:
        """Find a network, by id or name, among those that were asked for by any of their names."""
        for key in endpoints:
            try:
                found = self._core.networks.inspect("bridge" if key == "default" else key)
            except EngineError:
                found = {"Name": key, "Id": key}
            if wanted in (found["Name"], found["Id"]):
                return key
        return None

    def _check_alive(self, container: Container) -> None:
        if container.removing or container.record.state.dead:
            raise Conflict(f"Container {container.id} is marked for removal and cannot be connected or disconnected")

    async def _carry_out(self, container: Container, change: NetworkChange) -> None:
        """Tell a running container's files and its supervisor."""
        try:
            if change.listeners or change.moved:
                await self._core.runtime.serve(
                    container.id, listeners=change.listeners, forwards=change.forwards, moved=change.moved
                )
        except ProcessLookupError:
            return  # it has just ended
        finally:
            for listener in change.listeners:
                listener.close()
        if change.hosts or change.lost:
            gained = "".join(f"{address}\t{names}\n" for address, names in change.hosts)
            await self._lives.change_hosts(container, lambda text: _without(text, change.lost) + gained)
        if change.resolv_conf:
            path: Path = self._core.files(container.id).resolv_conf
            await asyncio.to_thread(path.write_text, change.resolv_conf)


def _without(hosts: str, addresses: Sequence[str]) -> str:
    """Leave out the lines of these addresses."""
    return "".join(line for line in hosts.splitlines(keepends=True) if line.partition("\t")[0] not in addresses)
