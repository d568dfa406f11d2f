"""Which bridge stands for which network, and the namespaces kept ready on it; asynchronous over ``Plumbing``.

All of it happens on one thread, in the order in which it is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydockmagic.engine.errors import EngineError

from .addresses import Subnet
from .firewall import BridgeRules
from .options import mtu_of, neighbours_meet, translated
from .outbound import Outbound, redirects_of, relay_sockets
from .plumbing import Interface, Plumbing, Port, Ready
from .records import Endpoint, Network
from .watching import RuleWatch

__all__ = ["Wiring"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

_READY = 2
"""Namespaces kept ready on a network that is in use."""


class Wiring:
    """The bridges of one engine."""

    def __init__(self, mark: str, namespace: str | None, run_dir: Path | None) -> None:
        """``mark`` tells our bridges and rules from those of others; ``namespace`` is the sandbox's, None as root.

        ``run_dir`` is where the relay of a sandbox is found; without one nothing leads out of the sandbox.
        """
        self._mark = mark
        self._namespace = namespace
        self._outbound = Outbound(run_dir) if namespace is not None and run_dir is not None else None
        self._starting: asyncio.Task[None] | None = None
        self._rules: list[BridgeRules] = []
        self._peace: asyncio.Task[None] | None = None
        self._watch: RuleWatch | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="networks")
        self._plumbing: Plumbing | None = None
        self._bridges: dict[str, tuple[int, Network]] = {}
        self._ready: dict[str, list[Ready]] = {}
        self._filling: set[asyncio.Future[None]] = set()
        self.refusal = ""
        """Why there are no bridges here; empty where there are."""
        self.warnings: list[str] = []
        """What the networks here cannot do, in sentences."""

    async def open(self, networks: Iterable[Network]) -> None:
        """Enter the namespace; find the bridges that an earlier engine left, and remove those of networks long gone.

        Sets ``refusal`` where bridges cannot be made.
        """
        try:
            self._plumbing = await self.run(lambda: Plumbing(f"pydock-{self._mark}", self._namespace))
            if self._outbound is not None:
                await self._open_relay(self._plumbing, self._outbound)
            await self.run(lambda: self._adopt(list(networks)))
            self._make_peace()
            if self._namespace is None:
                with contextlib.suppress(OSError):  # not told here: peace is made when a bridge comes or goes
                    self._watch = RuleWatch(self._disturbed)
        except OSError as error:
            self.refuse(error)

    def refuse(self, error: OSError) -> None:
        """Give bridges up: the engine still serves, containers get their loopback, and a warning says why."""
        self.refusal = error.strerror or str(error)
        _log.warning("bridge networking is not available: %s", self.refusal)

    async def close(self, *, keep: bool) -> None:
        """Let go; with ``keep`` bridges and rules stay for the containers that use them."""
        if self._watch is not None:
            await self._watch.close()
        await asyncio.gather(*self._filling, return_exceptions=True)
        for task in (self._starting, self._peace):
            if task is not None:
                await task
        if self._outbound is not None:
            self._outbound.close()
        if self._plumbing is not None:
            await self.run(lambda: self._put_away(keep=keep))
        self._thread.shutdown()

    async def used_networks(self) -> list[Subnet]:
        """List what is routed already, here and outside."""
        return await self.run(self._need().used_networks)

    async def link_names(self) -> set[str]:
        """List the names that links have already."""
        return await self.run(self._need().link_names)

    async def bridge(self, network: Network) -> int:
        """Give the index of a network's bridge, making it where it is not there. Raises OSError."""
        if network.id in self._bridges:
            return self._bridges[network.id][0]
        index = await self.run(lambda: self._make_bridge(network))
        self._make_peace()
        return index

    def has_bridge(self, network: Network) -> bool:
        """Tell whether the network's bridge is there."""
        return network.id in self._bridges

    async def drop(self, network: Network) -> None:
        """Remove a network's bridge."""
        await self.run(lambda: self._drop_bridge(network))
        self._make_peace()

    async def wire(self, networks: Sequence[Network], endpoints: Sequence[Endpoint], way: Endpoint) -> int:
        """Give a namespace with one interface per endpoint: eth0 on the first network, and so on. Raises OSError.

        The default route leads through ``way``.
        """
        for network in networks:
            await self.bridge(network)
        descriptor = await self.run(lambda: self._wire(networks, endpoints, way))
        if self._peace is not None:
            await asyncio.shield(self._peace)  # it is everybody's: a start that is broken off must not end it
        if self._watch is not None:
            self._watch.glance()
        self.fill(networks[0])
        return descriptor

    async def name_sockets(self, descriptor: int, address: str) -> list[socket.socket]:
        """Open the sockets of a container's name server in its namespace. Raises OSError."""
        return await self.run(lambda: self._need().name_sockets(descriptor, address))

    async def loopback(self) -> int:
        """Give a namespace with only its loopback. Raises OSError."""
        return await self.run(self._need().namespace)

    async def name_sockets_of(self, pid: int, address: str) -> list[socket.socket]:
        """Open the sockets of a name server for a container that runs already. Raises OSError."""

        def opened() -> list[socket.socket]:
            with _namespace_of(pid) as descriptor:
                return self._need().name_sockets(descriptor, address)

        return await self.run(opened)

    async def plug(self, pid: int, network: Network, endpoint: Endpoint, way: Endpoint | None) -> None:
        """Give a running container one more interface; its default route leads through ``way``. Raises OSError."""
        await self.bridge(network)
        await self.run(lambda: self._plug(pid, network, endpoint, way))

    async def unplug(self, pid: int, endpoint: Endpoint, way: Endpoint | None) -> None:
        """Take an interface away from a running container; one that has ended is no error."""
        await self.run(lambda: self._unplug(pid, endpoint, way))

    def fill(self, network: Network) -> None:
        """Make namespaces ready for the next containers, while this one starts."""
        filling = asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._refill(network))
        self._filling.add(filling)
        filling.add_done_callback(self._filled)

    async def _open_relay(self, plumbing: Plumbing, outbound: Outbound) -> None:
        found = await asyncio.to_thread(outbound.find, plumbing.namespace_number)
        if found is None:
            sockets = await self.run(relay_sockets)
            found = redirects_of(sockets)
            # The rules can be written at once: what is sent to the sockets waits there until the relay has started.
            self._starting = asyncio.create_task(self._start_relay(outbound, sockets))
        plumbing.firewall.redirects = found

    async def _start_relay(self, outbound: Outbound, sockets: Sequence[socket.socket]) -> None:
        try:
            await outbound.start(sockets)
        except OSError as error:
            self._warn(f"containers cannot reach other machines: {error.strerror or error}")

    def _make_peace(self) -> None:
        """Adapt the filters of others to our bridges, after what is going on of it already."""
        self._peace = asyncio.create_task(self._adapt(self._peace))

    async def _disturbed(self) -> None:
        """Make peace again: somebody changed the packet rules."""
        self._make_peace()
        if self._peace is not None:
            await asyncio.shield(self._peace)

    async def _adapt(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        for warning in await asyncio.to_thread(self._need().firewall.make_peace, self._rules):
            self._warn(warning)

    # --- on the thread ------------------------------------------------------------------------------------------

    def _adopt(self, networks: Sequence[Network]) -> None:
        plumbing = self._need()
        known = {self._alias(network): network for network in networks}
        for link in plumbing.owned_bridges(self._alias()):
            network = known.get(link.alias)
            if network is not None and network.bridge == link.name:
                self._bridges[network.id] = self._lay_bridge(network), network
            else:
                plumbing.remove_bridge(link.index)
        if self._bridges:
            self._write_rules()
        plumbing.sweep()

    def _make_bridge(self, network: Network) -> int:
        index = self._lay_bridge(network)
        self._bridges[network.id] = index, network
        self._write_rules()
        return index

    def _lay_bridge(self, network: Network) -> int:
        subnet = ipaddress.IPv4Network(network.subnet)
        address = ipaddress.IPv4Interface((network.gateway, subnet.prefixlen))
        prefix6 = network.subnet6.rpartition("/")[2]
        address6 = ipaddress.IPv6Interface(f"{network.gateway6}/{prefix6}") if network.subnet6 else None
        return self._need().bridge(network.bridge, self._alias(network), address, address6, mtu_of(network))

    def _drop_bridge(self, network: Network) -> None:
        for ready in self._ready.pop(network.id, ()):
            ready.close()
        index, _ = self._bridges.pop(network.id, (0, None))
        if index:
            self._need().remove_bridge(index)
            self._write_rules()

    def _wire(self, networks: Sequence[Network], endpoints: Sequence[Endpoint], way: Endpoint) -> int:
        plumbing = self._need()
        waiting = self._ready.get(networks[0].id)
        ready = waiting.pop() if waiting else plumbing.prepare(self._port(networks[0]))
        descriptor = plumbing.configure(ready, _interface(endpoints[0], leads_out=way is endpoints[0]))
        try:
            for network, endpoint in zip(networks[1:], endpoints[1:], strict=True):
                plumbing.plug(descriptor, self._port(network), _interface(endpoint, leads_out=way is endpoint))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _plug(self, pid: int, network: Network, endpoint: Endpoint, way: Endpoint | None) -> None:
        with _namespace_of(pid) as descriptor:
            self._need().plug(descriptor, self._port(network), _interface(endpoint, leads_out=False))
            self._need().lead_out(descriptor, _gateways(way))

    def _unplug(self, pid: int, endpoint: Endpoint, way: Endpoint | None) -> None:
        with contextlib.suppress(FileNotFoundError), _namespace_of(pid) as descriptor:
            self._need().unplug(descriptor, ipaddress.IPv4Interface(endpoint.address))
            self._need().lead_out(descriptor, _gateways(way))

    def _port(self, network: Network) -> Port:
        return Port(
            self._bridges[network.id][0],
            mtu_of(network),
            isolated=not neighbours_meet(network),
            ipv6=bool(network.subnet6),
        )

    def _put_away(self, *, keep: bool) -> None:
        plumbing = self._need()
        for waiting in self._ready.values():
            for ready in waiting:
                ready.close()
        self._ready.clear()
        if not keep:
            for link in plumbing.owned_bridges(self._alias()):
                plumbing.remove_bridge(link.index)
            plumbing.firewall.remove()
        plumbing.close()

    def _write_rules(self) -> None:
        self._rules = [
            BridgeRules(
                network.bridge,
                ipaddress.IPv4Network(network.subnet),
                internal=network.internal,
                masquerade=translated(network),
                network6=ipaddress.IPv6Network(network.subnet6) if network.subnet6 else None,
            )
            for _, network in self._bridges.values()
        ]
        for warning in self._need().set_rules(self._rules):
            self._warn(warning)

    def _refill(self, network: Network) -> None:
        waiting = self._ready.setdefault(network.id, [])
        while len(waiting) < _READY and network.id in self._bridges:
            waiting.append(self._need().prepare(self._port(network)))

    # --- small things -------------------------------------------------------------------------------------------

    def _filled(self, filling: asyncio.Future[None]) -> None:
        self._filling.discard(filling)
        if not filling.cancelled() and (error := filling.exception()) is not None:
            _log.warning("no network namespace could be made ready: %s", error)

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)
            _log.warning("%s", sentence)

    def _alias(self, network: Network | None = None) -> str:
        return f"pydock:{self._mark}:{network.id if network else ''}"

    def _need(self) -> Plumbing:
        if self._plumbing is None:
            raise EngineError(f"bridge networking is not available here ({self.refusal or 'not open'})")
        return self._plumbing

    async def run(self, function: Callable[[], T]) -> T:
        """Run something on the thread of the plumbing, after all that was asked of it before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _interface(endpoint: Endpoint, *, leads_out: bool) -> Interface:
    return Interface(
        ipaddress.IPv4Interface(endpoint.address),
        endpoint.mac,
        endpoint.gateway if leads_out else "",
        ipaddress.IPv6Interface(endpoint.address6) if endpoint.address6 else None,
        endpoint.gateway6 if leads_out else "",
        tuple(ipaddress.ip_interface(text) for text in endpoint.link_local),
    )


def _gateways(way: Endpoint | None) -> list[str]:
    return [gateway for gateway in (way.gateway, way.gateway6) if gateway] if way is not None else []


@contextlib.contextmanager
def _namespace_of(pid: int) -> Iterator[int]:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
