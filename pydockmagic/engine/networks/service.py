"""The network service: networks, and what containers get of them.

Blocking work (netlink, firewall programs) runs on one thread, which stands in the namespace that holds the bridges;
addresses and ports are given out on the event loop, so no two containers can get the same.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydockmagic.engine.errors import EngineError, Forbidden, NoSuchNetwork
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.state import State

from .addresses import free_subnet
from .allotment import Allotment
from .attaching import Attaching
from .catalogue import Catalogue, new_id
from .describing import Draft
from .filters import PRUNE, check_filters, matches_filters
from .joining import Joining
from .naming import Names
from .netlink import NetlinkError
from .records import PREDEFINED, ConnectRequest, Joined, Network, Sandbox, SandboxRequest, network_json
from .room import Room, in_words
from .wiring import Wiring

__all__ = ["NetworkService"]


_NETWORK = "network"
_IPV6_STAYS = "IPv6 connects the containers of this network only: without root nothing leads it out"
# ``list`` is a method of the service (``docker network ls``), so inside it the type needs other names.
_Rows = list[dict[str, Any]]


class NetworkService:
    """Networks, endpoints, addresses and published ports of one engine."""

    def __init__(
        self,
        state: State,
        events: EventBus,
        engine_id: str,
        *,
        namespace: str | None = None,
        run_dir: Path | None = None,
    ) -> None:
        """``engine_id`` marks what is ours in the kernel; ``namespace`` is the sandbox's (a path), None as root.

        ``run_dir`` is the zygote's; in a sandbox the relay that leads out of it lives there too.
        """
        self._state = state
        self._sandboxed = namespace is not None
        self._catalogue = Catalogue(state.load(_NETWORK, Network).values())
        self._allotment = Allotment(state, self._catalogue)
        self._wiring = Wiring(engine_id.replace("-", "")[:12], namespace, run_dir)
        names = Names(run_dir, sandboxed=namespace is not None) if run_dir is not None else None
        self._room = Room(self._catalogue, self._allotment, self._wiring, names, events)
        self._attaching = Attaching(self._room)
        self._joining = Joining(self._room)

    async def open(self) -> None:
        """Make the three predefined networks, and find or make the default bridge."""
        for name in PREDEFINED:
            if self._catalogue.named(name) is None:
                await self._store(self._catalogue.predefined(name))
        await self._wiring.open(self._catalogue.all())
        if not self._wiring.refusal:
            try:
                await self._open_bridge()
            except OSError as error:
                self._wiring.refuse(error)

    async def close(self) -> None:
        """Let go; bridges and rules stay only while a container uses them."""
        await self._wiring.close(keep=any(held.endpoints for held in self._allotment.all()))

    @property
    def refusal(self) -> str:
        """Why there are no bridges here; empty where there are."""
        return self._wiring.refusal

    @property
    def warnings(self) -> Sequence[str]:
        """What the networks here cannot do, in sentences."""
        return tuple(self._wiring.warnings)

    # --- networks ---------------------------------------------------------------------------------------------

    def list(self, filters: Mapping[str, Iterable[str]] | None = None) -> _Rows:
        """List the networks that pass the filters, as ``GET /networks`` gives them (without their containers)."""
        check_filters(filters or {})
        used = self._allotment.used()
        chosen = [network for network in self._catalogue.all() if matches_filters(network, filters or {}, used)]
        return [network_json(network, ()) for network in sorted(chosen, key=lambda network: network.name)]

    def inspect(self, reference: str) -> dict[str, Any]:
        """Give one network with its containers. Raises NoSuchNetwork."""
        return network_json(self._catalogue.get(reference), self._allotment.all())

    async def create(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Make a network as ``POST /networks/create`` asks. Raises EngineError."""
        used = [] if self._wiring.refusal else await self._wiring.used_networks()
        network = Draft(request, self._catalogue.named).network(new_id(), self._catalogue.subnets(), used)
        self._catalogue.put(network)  # its name and subnet are taken from here on
        try:
            if not network.config_only:
                with in_words(f"Failed to set up the bridge of network {network.name}"):
                    await self._wiring.bridge(network)
            await self._store(network)
        except BaseException:
            self._catalogue.forget(network)
            raise
        self._room.publish("create", network)
        stays = network.enable_ipv6 and not network.internal and self._sandboxed
        return {"Id": network.id, "Warning": _IPV6_STAYS if stays else ""}

    async def remove(self, reference: str) -> None:
        """Remove a network. Raises EngineError where it is predefined or in use."""
        network = self._catalogue.get(reference)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if self._allotment.in_use(network):
            raise Forbidden(
                f"error while removing network: network {network.name} id {network.id} has active endpoints"
            )
        if network.config_only and any(other.config_from == network.name for other in self._catalogue.all()):
            raise Forbidden(f'configuration network "{network.name}" is in use')
        self._catalogue.forget(network)
        await self._state.delete(_NETWORK, network.id)
        await self._wiring.drop(network)
        self._room.publish("destroy", network)

    async def prune(self, filters: Mapping[str, Iterable[str]] | None = None) -> Sequence[str]:
        """Remove the networks that nobody uses and that pass the filters; give their names."""
        check_filters(filters or {}, PRUNE)
        removed = []
        for network in self._catalogue.all():
            if network.predefined or network.config_only or self._allotment.in_use(network):
                continue
            if matches_filters(network, filters or {}, ()):
                with contextlib.suppress(EngineError):
                    await self.remove(network.id)
                    removed.append(network.name)
        self._room.events.publish("network", "prune", "", {"reclaimed": "0"})
        return removed

    # --- containers -------------------------------------------------------------------------------------------

    def advise(self, mode: str) -> Sequence[str]:
        """Say what a container with this network mode will have to do without here."""
        return self._attaching.warnings(mode)

    async def attach(self, request: SandboxRequest) -> Sandbox:
        """Give a starting container its network namespace, addresses, ports and files.

        Raises EngineError in dockerd's words, with nothing left behind. Call ``release`` when the container ends, or
        does not start.
        """
        await self.release(request.container_id)
        return await self._attaching.attach(request)

    async def release(self, container_id: str) -> None:
        """Take back everything that a container has of the networks. Idempotent."""
        attachment = await self._allotment.forget(container_id)
        if attachment is not None:
            await self._room.tell_names(attachment.endpoints)
        for endpoint in attachment.endpoints if attachment else ():
            with contextlib.suppress(NoSuchNetwork):
                self._room.publish("disconnect", self._catalogue.get(endpoint.network_id), container_id)

    async def recover(self, running: Iterable[str]) -> None:
        """Keep the addresses of these containers, which outlived an engine, and take back all others."""
        alive = set(running)
        for container_id in [held.container_id for held in self._allotment.all()]:
            if container_id not in alive:
                await self.release(container_id)
        await self._room.write_names()

    def networks_of(self, container_id: str) -> dict[str, dict[str, Any]]:
        """Give ``NetworkSettings.Networks`` of a running container."""
        return self._room.networks_of(container_id)

    async def connect(self, reference: str, request: ConnectRequest) -> Joined:
        """Join a container to one more network and say what changes for it. Raises EngineError."""
        return await self._joining.connect(reference, request)

    async def disconnect(self, reference: str, container_id: str, *, mode: str = "", pid: int = 0) -> Joined:
        """Take a container off a network and say what changes for it. Raises EngineError."""
        return await self._joining.disconnect(reference, container_id, mode=mode, pid=pid)

    async def rename(self, container_id: str, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Let a container's networks and neighbours know its new name; give its EndpointSettings."""
        return await self._joining.rename(container_id, name)

    async def force_off(self, reference: str, name: str) -> None:
        """Take off an endpoint that a container of this name left behind. Raises EngineError where there is none."""
        await self._joining.force_off(reference, name)

    # --- the default bridge ---------------------------------------------------------------------------------------

    async def _open_bridge(self) -> None:
        """Find the default bridge that an earlier engine left, or make one with a name and a subnet that are free."""
        bridge = self._catalogue.get("bridge")
        if not self._wiring.has_bridge(bridge):
            bridge = await self._make_default_bridge(bridge)
        self._wiring.fill(bridge)

    async def _make_default_bridge(self, bridge: Network) -> Network:
        used = [*await self._wiring.used_networks(), *self._catalogue.subnets(bridge.id)]
        names = await self._wiring.link_names()
        for name in (f"pydock{number}" for number in range(100)):
            if name in names:
                continue
            before = ipaddress.IPv4Network(bridge.subnet) if bridge.subnet else None
            keep = before is not None and not any(o.version == 4 and before.overlaps(o) for o in used)
            subnet = before if before is not None and keep else free_subnet(used)
            chosen = self._catalogue.with_subnet(bridge, subnet, name)
            await self._store(chosen)
            try:
                await self._wiring.bridge(chosen)
            except NetlinkError as error:
                if error.errno == errno.EEXIST:
                    continue  # another engine took the name at this very moment
                raise
            return chosen
        raise OSError(errno.EEXIST, "no name is free for a bridge")

    async def _store(self, network: Network) -> None:
        self._catalogue.put(network)
        await self._state.put(_NETWORK, network.id, network)
