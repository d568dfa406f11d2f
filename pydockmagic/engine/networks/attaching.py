"""What a starting container gets of the networks: its namespace, addresses, ports, names and files."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from pydockmagic.engine.errors import EngineError

from .allotment import check_settings
from .catalogue import new_id
from .files import HostEntry, host_entries, host_file, host_resolv_conf, hosts_text, resolv_conf_text
from .naming import NAMESERVER
from .ports import Bound, ports_json
from .records import Attachment, Endpoint, Network, Sandbox, SandboxRequest, endpoint_json
from .room import Room, in_words, port_forward

__all__ = ["Attaching"]

_Wanted = Sequence[tuple[Network, Mapping[str, Any]]]


class Attaching:
    """Gives containers what they need to start."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def attach(self, request: SandboxRequest) -> Sandbox:
        """Give a starting container its place. Raises EngineError in dockerd's words, with nothing left behind."""
        if request.mode.startswith("container:"):
            return Sandbox(net=f"/proc/{request.container_pid}/ns/net")
        if request.mode in ("host", "none"):
            return await self._plain(request, self._room.catalogue.get(request.mode))
        wanted = self._wanted(request)
        if not wanted:
            return await self._unconnected(request)
        if self._room.wiring.refusal:
            return self._lonely(request, wanted[0][0])
        return await self._bridges(request, wanted)

    def warnings(self, mode: str) -> list[str]:
        """Say what a container with this network mode will have to do without here."""
        refusal = self._room.wiring.refusal
        if not refusal or mode in ("host", "none") or mode.startswith("container:"):
            return []
        return [f"bridge networking is not available here ({refusal}): the container has only its loopback"]

    def _wanted(self, request: SandboxRequest) -> _Wanted:
        """Give the networks that a container joins, that of its mode first, with what it asks of each."""
        catalogue = self._room.catalogue
        mode = "bridge" if request.mode in ("default", "") else request.mode
        wanted: dict[str, tuple[Network, Mapping[str, Any]]] = {}
        asked = {mode: None} if request.endpoints is None else request.endpoints
        for name, settings in asked.items():
            network = catalogue.get("bridge" if name == "default" else name)
            check_settings(network, settings or {})
            if network.config_only:
                raise EngineError(f"network {network.name} is a configuration only network: no container can be on it")
            wanted[network.id] = (network, settings or {})
        first = catalogue.find(mode)
        if first is not None and first.id in wanted:
            network, settings = wanted.pop(first.id)
            if request.mac_address:
                settings = {"MacAddress": request.mac_address, **settings}
            wanted = {network.id: (network, settings), **wanted}
        return list(wanted.values())

    async def _plain(self, request: SandboxRequest, network: Network) -> Sandbox:
        endpoint = Endpoint(
            id=new_id(), network_id=network.id, settings=(request.endpoints or {}).get(network.name) or {}
        )
        await self._room.allotment.keep(
            Attachment(container_id=request.container_id, name=request.name, endpoints=(endpoint,))
        )
        self._room.publish("connect", network, request.container_id)
        if network.driver == "host":
            net, descriptor = "host", None
            base: str | None = host_file("/etc/hosts")
            resolv_conf = (
                resolv_conf_text(host_resolv_conf(), dns=request.dns) if request.dns else host_file("/etc/resolv.conf")
            )
        else:
            net, descriptor = await self._loopback()
            base = None
            resolv_conf = self._room.resolv_conf(request)
        return Sandbox(
            net=net,
            net_fd=descriptor,
            networks={network.name: endpoint_json(endpoint)},
            hosts=hosts_text(self._entries(request), base=base),
            resolv_conf=resolv_conf,
        )

    async def _unconnected(self, request: SandboxRequest) -> Sandbox:
        """Give a container that was taken off all its networks nothing but its loopback."""
        net, descriptor = await self._loopback()
        return Sandbox(
            net=net,
            net_fd=descriptor,
            hosts=hosts_text(self._entries(request)),
            resolv_conf=self._room.resolv_conf(request),
        )

    async def _loopback(self) -> tuple[str, int | None]:
        """Give a namespace with its loopback up; where we cannot make one, the driver makes its own."""
        wiring = self._room.wiring
        return ("private", None) if wiring.refusal else ("given", await wiring.loopback())

    def _lonely(self, request: SandboxRequest, network: Network) -> Sandbox:
        """Where there are no bridges: a namespace with its loopback, and a sentence that says so."""
        if any(request.port_bindings.values()):
            raise EngineError(
                f"ports cannot be published: bridge networking is not available here ({self._room.wiring.refusal})"
            )
        return Sandbox(
            net="private",
            networks={network.name: endpoint_json(Endpoint(id=new_id(), network_id=network.id))},
            ports=ports_json((), request.exposed),
            hosts=hosts_text(self._entries(request)),
            resolv_conf=self._room.resolv_conf(request),
            warnings=tuple(self.warnings(request.mode)),
        )

    async def _bridges(self, request: SandboxRequest, wanted: _Wanted) -> Sandbox:
        room = self._room
        endpoints: list[Endpoint] = []
        bound: Sequence[Bound] = ()
        descriptor: int | None = None
        named: Sequence[socket.socket] = ()
        try:
            for network, settings in wanted:
                endpoints.append(room.allotment.endpoint(network, settings, request))
            way = room.way_out(endpoints) or endpoints[0]
            bound = room.allotment.bind(request, endpoints[0], wanted[0][0])
            attachment = Attachment(
                container_id=request.container_id,
                name=request.name,
                endpoints=tuple(endpoints),
                published=tuple(item.published for item in bound),
                named=room.names is not None and any(endpoint.dns_names for endpoint in endpoints),
                dns=request.dns,
            )
            with in_words("failed to set up container networking"):
                descriptor = await room.wiring.wire([network for network, _ in wanted], endpoints, way)
                if attachment.named:
                    named = await room.wiring.name_sockets(descriptor, NAMESERVER)
            await room.allotment.keep(attachment)
            await room.tell_names(endpoints)
        except BaseException:
            room.allotment.give_back(request.container_id, endpoints)
            for listener in (*(item.listener for item in bound), *named):
                listener.close()
            if descriptor is not None:
                os.close(descriptor)
            raise
        for network, _ in wanted:
            room.publish("connect", network, request.container_id)
        forwards = [port_forward(item.published, endpoints[0]) for item in bound]
        return Sandbox(
            net="given",
            net_fd=descriptor,
            listeners=(*(item.listener for item in bound), *named),
            forwards=(*forwards, *(room.name_forwards(request.container_id) if attachment.named else ())),
            networks=room.networks_of(request.container_id),
            ports=ports_json(attachment.published, request.exposed),
            hosts=hosts_text(self._entries(request, endpoints)),
            resolv_conf=room.resolv_conf(request, NAMESERVER if attachment.named else ""),
        )

    def _entries(self, request: SandboxRequest, endpoints: Sequence[Endpoint] = ()) -> Sequence[HostEntry]:
        bridge = self._room.catalogue.named("bridge")
        linked: dict[str, str] = {}
        for link in request.links:
            other = self._room.allotment.get(link.container_id)
            found = [item for item in (other.endpoints if other else ()) if bridge and item.network_id == bridge.id]
            if found:
                linked[link.container_id] = found[0].address
        return host_entries(request, endpoints, gateway=bridge.gateway if bridge else "", linked=linked)
