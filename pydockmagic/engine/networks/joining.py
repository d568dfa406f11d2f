"""Joining a running container to one more network, and taking it off one."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pydockmagic.engine.errors import EngineError, Forbidden, NotFound

from .allotment import check_settings
from .catalogue import check_connect
from .files import own_entries
from .naming import NAMESERVER
from .records import Attachment, ConnectRequest, Endpoint, Joined, Network, endpoint_json
from .room import Room, in_words

__all__ = ["Joining"]


class Joining:
    """Changes what running containers are connected to."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def connect(self, reference: str, request: ConnectRequest) -> Joined:
        """Join a container to one more network and say what changes for it. Raises EngineError.

        Of a container that is not running only the request is checked: it gets its address when it starts.
        """
        room = self._room
        network = room.catalogue.get(reference)
        check_connect(network, request)
        check_settings(network, request.settings)
        attachment = room.allotment.get(request.container_id)
        if attachment is not None and any(item.network_id == network.id for item in attachment.endpoints):
            raise Forbidden(f"endpoint with name {request.name} already exists in network {network.name}")
        if not request.pid:
            return Joined()
        if room.wiring.refusal:
            raise EngineError(f"bridge networking is not available here ({room.wiring.refusal})")
        attachment = attachment or Attachment(container_id=request.container_id, name=request.name)
        joined = await self._joined(network, request, attachment)
        room.publish("connect", network, request.container_id)
        return joined

    async def _joined(self, network: Network, request: ConnectRequest, before: Attachment) -> Joined:
        room = self._room
        endpoint = room.allotment.endpoint(network, request.settings, request)
        named: Sequence[socket.socket] = ()
        try:
            after = replace(before, endpoints=(*before.endpoints, endpoint))
            with in_words(f"failed to connect {request.name} to network {network.name}"):
                await room.wiring.plug(request.pid, network, endpoint, room.way_out(after.endpoints))
                if room.names is not None and endpoint.dns_names and not before.named:
                    named = await room.wiring.name_sockets_of(request.pid, NAMESERVER)
                    after = replace(after, named=True, dns=request.dns)
            await room.allotment.keep(after)
            await room.tell_names([endpoint])
        except BaseException:
            room.allotment.free(endpoint)
            for listener in named:
                listener.close()
            raise
        return Joined(
            endpoint=endpoint_json(endpoint),
            hosts=tuple(own_entries(request.hostname, request.domainname, [endpoint])),
            resolv_conf=room.resolv_conf(request, NAMESERVER) if named else "",
            listeners=tuple(named),
            forwards=room.name_forwards(request.container_id) if named else (),
        )

    async def disconnect(self, reference: str, container_id: str, *, mode: str = "", pid: int = 0) -> Joined:
        """Take a container off a network and say what changes for it. Raises EngineError."""
        room = self._room
        network = room.catalogue.get(reference)
        if mode == "host" and network.name == "host":
            raise Forbidden("container cannot be disconnected from host network or connected to host network")
        attachment = room.allotment.get(container_id)
        endpoints = attachment.endpoints if attachment else ()
        endpoint = next((item for item in endpoints if item.network_id == network.id), None)
        if endpoint is None or attachment is None:
            raise Forbidden(f"container {container_id} is not connected to network {network.name}")
        left = tuple(item for item in attachment.endpoints if item is not endpoint)
        if pid and not room.wiring.refusal and endpoint.address:
            with in_words(f"failed to take {attachment.name} off network {network.name}"):
                await room.wiring.unplug(pid, endpoint, room.way_out(left))
        room.allotment.free(endpoint)
        await room.allotment.keep(replace(attachment, endpoints=left))
        await room.tell_names([endpoint])
        room.publish("disconnect", network, container_id)
        return Joined(lost=_addresses(endpoint), moved=_moved(endpoint, left) if attachment.published else {})

    async def rename(self, container_id: str, name: str) -> dict[str, dict[str, Any]]:
        """Let a container's networks and neighbours know its new name; give its EndpointSettings."""
        before = self._room.allotment.get(container_id)
        if before is None:
            return {}
        endpoints = tuple(
            replace(item, dns_names=tuple(name if known == before.name else known for known in item.dns_names))
            for item in before.endpoints
        )
        await self._room.allotment.keep(replace(before, name=name, endpoints=endpoints))
        await self._room.tell_names(endpoints)
        return self._room.networks_of(container_id)

    async def force_off(self, reference: str, name: str) -> None:
        """Take off an endpoint that a container of this name left behind. Raises NotFound where there is none."""
        network = self._room.catalogue.get(reference)
        for attachment in list(self._room.allotment.all()):
            if attachment.name == name and any(item.network_id == network.id for item in attachment.endpoints):
                await self.disconnect(network.id, attachment.container_id)
                return
        raise NotFound(f"endpoint {name} not found")


def _addresses(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple(text.partition("/")[0] for text in (endpoint.address, endpoint.address6) if text)


def _moved(gone: Endpoint, left: Sequence[Endpoint]) -> dict[str, str]:
    """Lead published ports on to an address that the container still has."""
    targets = [item.address.partition("/")[0] for item in left if item.address]
    return {gone.address.partition("/")[0]: targets[0]} if targets and gone.address else {}
