"""The network service: networks, and what a starting container gets of them.

Blocking work (netlink, firewall programs) runs on one thread, which stands in the namespace that holds the bridges;
addresses and ports are given out on the event loop, so no two containers can get the same.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pydockmagic.engine.errors import EngineError, Forbidden, NoSuchNetwork
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.runtime.spec import PortForward
from pydockmagic.engine.state import State

from .addresses import free_subnet
from .allotment import Allotment
from .catalogue import Catalogue, check_connect, matches_filters, new_id
from .files import HostEntry, host_entries, host_file, host_resolv_conf, hosts_text, resolv_conf_text
from .naming import NAMESERVER, Names
from .netlink import NetlinkError
from .ports import Bound, ports_json
from .records import (
    PREDEFINED,
    Attachment,
    ConnectRequest,
    Endpoint,
    Network,
    Sandbox,
    SandboxRequest,
    endpoint_json,
    network_json,
)
from .wiring import Wiring

__all__ = ["NetworkService"]


_NETWORK = "network"
# ``list`` is a method of the service (``docker network ls``), so inside it the type needs other names.
_Rows = list[dict[str, Any]]
_Wanted = Sequence[tuple[Network, Mapping[str, Any]]]
_Endpoints = list[Endpoint]


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
        self._events = events
        self._catalogue = Catalogue(state.load(_NETWORK, Network).values())
        self._allotment = Allotment(state, self._catalogue)
        self._names = Names(run_dir, sandboxed=namespace is not None) if run_dir is not None else None
        self._wiring = Wiring(engine_id.replace("-", "")[:12], namespace, run_dir)

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
        used = self._allotment.all()
        chosen = [network for network in self._catalogue.all() if matches_filters(network, filters or {}, used)]
        return [network_json(network, ()) for network in sorted(chosen, key=lambda network: network.name)]

    def inspect(self, reference: str) -> dict[str, Any]:
        """Give one network with its containers. Raises NoSuchNetwork."""
        return network_json(self._catalogue.get(reference), self._allotment.all())

    async def create(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Make a network as ``POST /networks/create`` asks. Raises EngineError."""
        used = await self._wiring.used_networks()
        network = self._catalogue.describe(request, used)
        self._catalogue.put(network)  # its name and subnet are taken from here on
        try:
            with _in_words(f"Failed to set up the bridge of network {network.name}"):
                await self._wiring.bridge(network)
            await self._store(network)
        except BaseException:
            self._catalogue.forget(network)
            raise
        self._publish("create", network)
        warning = "IPv6 is not implemented by this engine: the network has IPv4 only" if network.enable_ipv6 else ""
        return {"Id": network.id, "Warning": warning}

    async def remove(self, reference: str) -> None:
        """Remove a network. Raises EngineError where it is predefined or in use."""
        network = self._catalogue.get(reference)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if self._allotment.in_use(network):
            raise Forbidden(
                f"error while removing network: network {network.name} id {network.id} has active endpoints"
            )
        self._catalogue.forget(network)
        await self._state.delete(_NETWORK, network.id)
        await self._wiring.drop(network)
        self._publish("destroy", network)

    async def prune(self, filters: Mapping[str, Iterable[str]] | None = None) -> Sequence[str]:
        """Remove the networks that nobody uses and that pass the filters; give their names."""
        removed = []
        for network in self._catalogue.all():
            if network.predefined or self._allotment.in_use(network) or not matches_filters(network, filters or {}, ()):
                continue
            with contextlib.suppress(EngineError):
                await self.remove(network.id)
                removed.append(network.name)
        return removed

    # --- containers -------------------------------------------------------------------------------------------

    async def attach(self, request: SandboxRequest) -> Sandbox:
        """Give a starting container its network namespace, addresses, ports and files.

        Raises EngineError in dockerd's words, with nothing left behind. Call ``release`` when the container ends, or
        does not start.
        """
        await self.release(request.container_id)
        mode = request.mode
        if mode.startswith("container:"):
            return Sandbox(net=f"/proc/{request.container_pid}/ns/net")
        if mode in ("host", "none"):
            return await self._attach_plain(request, self._catalogue.get(mode))
        wanted = self._wanted(request)
        if self._wiring.refusal:
            return await self._attach_lonely(request, wanted[0][0])
        return await self._attach_bridges(request, wanted)

    async def release(self, container_id: str) -> None:
        """Take back everything that a container has of the networks. Idempotent."""
        attachment = await self._allotment.forget(container_id)
        if attachment is not None:
            await self._tell_names(attachment.endpoints)
        for endpoint in attachment.endpoints if attachment else ():
            with contextlib.suppress(NoSuchNetwork):
                self._publish("disconnect", self._catalogue.get(endpoint.network_id), container_id)

    async def recover(self, running: Iterable[str]) -> None:
        """Keep the addresses of these containers, which outlived an engine, and take back all others."""
        alive = set(running)
        for container_id in [held.container_id for held in self._allotment.all()]:
            if container_id not in alive:
                await self.release(container_id)
        await self._write_names()

    def networks_of(self, container_id: str) -> dict[str, dict[str, Any]]:
        """Give ``NetworkSettings.Networks`` of a running container."""
        attachment = self._allotment.get(container_id)
        endpoints = attachment.endpoints if attachment else ()
        return {self._catalogue.get(item.network_id).name: endpoint_json(item) for item in endpoints}

    async def connect(self, reference: str, request: ConnectRequest) -> dict[str, Any]:
        """Join a container to one more network; give its EndpointSettings. Raises EngineError.

        Of a container that is not running only the request is checked: it gets its address when it starts.
        """
        network = self._catalogue.get(reference)
        check_connect(network, request)
        attachment = self._allotment.get(request.container_id)
        if attachment is not None and any(item.network_id == network.id for item in attachment.endpoints):
            raise Forbidden(f"endpoint with name {request.name} already exists in network {network.name}")
        if not request.pid:
            return {}
        attachment = attachment or Attachment(container_id=request.container_id, name=request.name)
        endpoint = self._allotment.endpoint(network, request.settings, request.container_id, request.name)
        try:
            with _in_words(f"failed to connect {request.name} to network {network.name}"):
                await self._wiring.plug(request.pid, network, endpoint)
            await self._allotment.keep(replace(attachment, endpoints=(*attachment.endpoints, endpoint)))
            await self._tell_names([endpoint])
        except BaseException:
            self._allotment.free(endpoint)
            raise
        self._publish("connect", network, request.container_id)
        return endpoint_json(endpoint)

    async def disconnect(self, reference: str, container_id: str, *, mode: str = "", pid: int = 0) -> None:
        """Take a container off a network. Raises EngineError."""
        network = self._catalogue.get(reference)
        if network.name == "host" or mode == "host":
            raise Forbidden("container cannot be disconnected from host network or connected to host network")
        attachment = self._allotment.get(container_id)
        endpoints = attachment.endpoints if attachment else ()
        endpoint = next((item for item in endpoints if item.network_id == network.id), None)
        if endpoint is None or attachment is None:
            raise Forbidden(f"container {container_id} is not connected to network {network.name}")
        if pid:
            await self._wiring.unplug(pid, endpoint)
        self._allotment.free(endpoint)
        left = tuple(item for item in attachment.endpoints if item is not endpoint)
        await self._allotment.keep(replace(attachment, endpoints=left))
        await self._tell_names([endpoint])
        self._publish("disconnect", network, container_id)

    # --- attaching, in steps ------------------------------------------------------------------------------------

    def _wanted(self, request: SandboxRequest) -> _Wanted:
        """Give the networks that a container joins, that of its mode first, with what it asks of each."""
        mode = "bridge" if request.mode in ("default", "") else request.mode
        first = self._catalogue.get(mode)
        wanted: dict[str, tuple[Network, Mapping[str, Any]]] = {first.id: (first, {})}
        for name, settings in request.endpoints.items():
            network = self._catalogue.get("bridge" if name == "default" else name)
            wanted[network.id] = (network, settings or {})
        if request.mac_address:
            wanted[first.id] = (first, {"MacAddress": request.mac_address, **wanted[first.id][1]})
        return list(wanted.values())

    async def _attach_plain(self, request: SandboxRequest, network: Network) -> Sandbox:
        endpoint = Endpoint(id=new_id(), network_id=network.id, settings=request.endpoints.get(network.name) or {})
        await self._allotment.keep(
            Attachment(container_id=request.container_id, name=request.name, endpoints=(endpoint,))
        )
        self._publish("connect", network, request.container_id)
        if network.driver == "host":
            net, descriptor = "host", None
            base: str | None = host_file("/etc/hosts")
            resolv_conf = (
                resolv_conf_text(host_resolv_conf(), dns=request.dns) if request.dns else host_file("/etc/resolv.conf")
            )
        else:
            net, descriptor = await self._loopback()
            base = None
            resolv_conf = self._resolv_conf(request)
        return Sandbox(
            net=net,
            net_fd=descriptor,
            networks={network.name: endpoint_json(endpoint)},
            hosts=hosts_text(self._entries(request), base=base),
            resolv_conf=resolv_conf,
        )

    async def _loopback(self) -> tuple[str, int | None]:
        """Give a namespace with its loopback up; where we cannot make one, the driver makes its own."""
        return ("private", None) if self._wiring.refusal else ("given", await self._wiring.loopback())

    async def _attach_lonely(self, request: SandboxRequest, network: Network) -> Sandbox:
        """Where there are no bridges: a namespace with its loopback, and a sentence that says so."""
        if any(request.port_bindings.values()):
            raise EngineError(
                f"ports cannot be published: bridge networking is not available here ({self._wiring.refusal})"
            )
        warning = (
            f"bridge networking is not available here ({self._wiring.refusal}): the container has only its loopback"
        )
        return Sandbox(
            net="private",
            networks={network.name: endpoint_json(Endpoint(id=new_id(), network_id=network.id))},
            ports=ports_json((), request.exposed),
            hosts=hosts_text(self._entries(request)),
            resolv_conf=self._resolv_conf(request),
            warnings=(warning,),
        )

    async def _attach_bridges(self, request: SandboxRequest, wanted: _Wanted) -> Sandbox:
        endpoints: _Endpoints = []
        bound: Sequence[Bound] = ()
        descriptor: int | None = None
        named: Sequence[socket.socket] = ()
        try:
            for network, settings in wanted:
                endpoints.append(self._allotment.endpoint(network, settings, request.container_id, request.name))
            bound = self._allotment.bind(request, endpoints[0])
            attachment = Attachment(
                container_id=request.container_id,
                name=request.name,
                endpoints=tuple(endpoints),
                published=tuple(item.published for item in bound),
                named=self._names is not None and any(endpoint.dns_names for endpoint in endpoints),
                dns=request.dns,
            )
            with _in_words("failed to set up container networking"):
                descriptor = await self._wiring.wire([network for network, _ in wanted], endpoints)
                if attachment.named:
                    named = await self._wiring.name_sockets(descriptor, NAMESERVER)
            await self._allotment.keep(attachment)
            await self._tell_names(endpoints)
        except BaseException:
            self._allotment.give_back(request.container_id, endpoints)
            for listener in (*(item.listener for item in bound), *named):
                listener.close()
            if descriptor is not None:
                os.close(descriptor)
            raise
        for network, _ in wanted:
            self._publish("connect", network, request.container_id)
        return Sandbox(
            net="given",
            net_fd=descriptor,
            listeners=(*(item.listener for item in bound), *named),
            forwards=(*(_forward(item, endpoints[0]) for item in bound), *self._name_forwards(attachment)),
            networks=self.networks_of(request.container_id),
            ports=ports_json(attachment.published, request.exposed),
            hosts=hosts_text(self._entries(request, endpoints)),
            resolv_conf=self._resolv_conf(request, NAMESERVER if attachment.named else ""),
        )

    def _name_forwards(self, attachment: Attachment) -> Sequence[PortForward]:
        if self._names is None or not attachment.named:
            return ()
        return (PortForward(proto="dns", path=str(self._names.path(attachment.container_id))),) * 2

    async def _tell_names(self, endpoints: Iterable[Endpoint]) -> None:
        """Let the name servers of the containers know that these came or went."""
        if any(endpoint.dns_names for endpoint in endpoints):
            await self._write_names()

    async def _write_names(self) -> None:
        if self._names is not None:
            names = self._names
            attachments = [*self._allotment.all()]
            networks = {network.id: network for network in self._catalogue.all()}
            await self._wiring.run(lambda: names.write(attachments, networks))

    def _entries(self, request: SandboxRequest, endpoints: Sequence[Endpoint] = ()) -> Sequence[HostEntry]:
        bridge = self._catalogue.named("bridge")
        others = [self._allotment.get(link.container_id) for link in request.links]
        linked = {other.container_id: other.endpoints[0].address for other in others if other and other.endpoints}
        return host_entries(request, endpoints, gateway=bridge.gateway if bridge else "", linked=linked)

    def _resolv_conf(self, request: SandboxRequest, nameserver: str = "") -> str:
        return resolv_conf_text(
            host_resolv_conf(),
            dns=request.dns,
            search=request.dns_search,
            options=request.dns_options,
            nameserver=nameserver,
        )

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
            keep = before is not None and not any(before.overlaps(other) for other in used)
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

    # --- records ------------------------------------------------------------------------------------------------

    async def _store(self, network: Network) -> None:
        self._catalogue.put(network)
        await self._state.put(_NETWORK, network.id, network)

    def _publish(self, action: str, network: Network, container_id: str = "") -> None:
        attributes = {"name": network.name, "type": network.driver}
        if container_id:
            attributes["container"] = container_id
        self._events.publish("network", action, network.id, attributes)


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Turn the kernel's refusals into the engine's; all other errors stay as they are."""
    try:
        yield
    except OSError as error:
        raise EngineError(f"{what}: {error.strerror or error}") from error


def _forward(bound: Bound, endpoint: Endpoint) -> PortForward:
    target = endpoint.address.partition("/")[0]
    return PortForward(proto=bound.published.proto, target_ip=target, target_port=bound.published.port)
