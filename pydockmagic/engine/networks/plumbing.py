"""Pipes and bridges: everything that touches a network namespace, on one thread of its own.

The thread stands in the namespace that holds the bridges (the host's as root, the sandbox's otherwise) and visits
others for a moment. New namespaces are made ready ahead of need: a container then only gets its address.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydockmagic.engine.runtime.linux import CLONE_NEWNET, setns, unshare

from .addresses import Subnet
from .firewall import BridgeRules, Firewall
from .name_sockets import name_sockets
from .netlink import (
    Link,
    NetlinkError,
    NetlinkSocket,
    Route,
    add_address,
    add_bridge,
    add_default_route,
    add_veth,
    delete_default_route,
    delete_link,
    find_link,
    isolate_port,
    links,
    routes,
    set_link,
)

__all__ = ["Interface", "Plumbing", "Port", "Ready"]

T = TypeVar("T")

_LOOPBACK = 1
_UNNAMED = "pd-"
"""How the name of a bridge begins that is being made; the engine's mark follows."""
_NEW_NAMESPACE_SETTINGS = (
    # What dockerd sets in a container without IPv6, and (28) so that ping and low ports need no privilege.
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
)


@dataclass(frozen=True)
class Interface:
    """What a container's end of the pipe is to be."""

    address: ipaddress.IPv4Interface
    mac: str
    gateway: str = ""
    """The default route; empty for none."""
    address6: ipaddress.IPv6Interface | None = None
    gateway6: str = ""
    more: tuple[ipaddress.IPv4Interface | ipaddress.IPv6Interface, ...] = ()


@dataclass(frozen=True)
class Port:
    """Where on a bridge a pipe is plugged in, and what the pipe is like."""

    bridge: int
    mtu: int = 0
    """0 is the kernel's own choice."""
    isolated: bool = False
    """Nothing passes between this port and others that are isolated."""
    ipv6: bool = False


@dataclass
class Ready:
    """A namespace whose ``eth0`` already hangs on a bridge but has no address; ``descriptor`` keeps it alive."""

    descriptor: int
    netlink: NetlinkSocket
    index: int

    def close(self) -> None:
        """Let the namespace die, and its pipe with it."""
        self.netlink.close()
        os.close(self.descriptor)


class Plumbing:
    """Works on the thread that made it: every method must be called there."""

    def __init__(self, table: str, namespace: str | None = None) -> None:
        """``namespace`` is the path of the one that holds the bridges; None for the thread's own.

        Raises OSError where it cannot be entered.
        """
        self._outside = NetlinkSocket()
        if namespace is not None:
            with _opened(namespace) as descriptor:
                setns(descriptor, CLONE_NEWNET)
        self.sandboxed = namespace is not None
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._netlink = NetlinkSocket()
        self.firewall = Firewall(table, sandboxed=self.sandboxed)
        self._unnamed = _UNNAMED + table.removeprefix("pydock-")
        self._alive = _claim(table)
        self.namespace_number = os.fstat(self._home).st_ino
        if self.sandboxed:
            self._netlink.send([set_link(_LOOPBACK, up=True)])
            if not _has_default_route(self._netlink):  # so that what is to be redirected is routed at all
                self._netlink.send([add_default_route(_LOOPBACK)])

    def close(self) -> None:
        """Close what is open; bridges and rules stay."""
        if self._alive is not None:
            self._alive.close()
        self._netlink.close()
        self._outside.close()
        os.close(self._home)

    def used_networks(self) -> list[Subnet]:
        """List what the machine and the sandbox already route to (IPv4), but for the default route."""
        found = [route.destination for route in (*routes(self._outside), *routes(self._netlink))]
        return [network for network in found if network.prefixlen > 0]

    def link_names(self) -> set[str]:
        """List the names of all links."""
        return {link.name for link in links(self._netlink)}

    def bridge(
        self,
        name: str,
        alias: str,
        address: ipaddress.IPv4Interface,
        address6: ipaddress.IPv6Interface | None = None,
        mtu: int = 0,
    ) -> int:
        """Make a bridge with an address, or find the one that an earlier engine left under this alias; give its index.

        Raises NetlinkError (EEXIST) when the name belongs to somebody else.
        """
        found = self._find_own(name, alias)
        index = found or self._new_bridge(name, alias, _mac(address.ip), mtu)
        try:
            self._give_address(index, address)
            if address6 is not None:
                _allow_ipv6(name)
                self._give_address(index, address6)
        except NetlinkError:
            if not found:
                self._netlink.send([delete_link(index)])
            raise
        return index

    def _find_own(self, name: str, alias: str) -> int:
        """Give the index of a bridge of ours, 0 where there is no such link."""
        try:
            link = find_link(self._netlink, name)
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise
            return 0
        if link.kind != "bridge":
            raise NetlinkError(errno.EEXIST, f"existing interface {name} is not a bridge")
        if link.alias != alias:
            raise NetlinkError(errno.EEXIST, f"the link {name} belongs to somebody else")
        return link.index

    def _new_bridge(self, name: str, alias: str, mac: bytes, mtu: int) -> int:
        """Make a bridge. It bears a name that only we give until it says whose it is: a kill leaves no stray one."""
        self._netlink.send([add_bridge(self._unnamed, mac, mtu)])
        index = find_link(self._netlink, self._unnamed).index
        try:
            self._netlink.send([set_link(index, name=name, alias=alias, up=True)])
        except NetlinkError:
            self._netlink.send([delete_link(index)])
            raise
        return index

    def _give_address(self, index: int, address: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> None:
        try:
            self._netlink.send([add_address(index, address)])
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise

    def owned_bridges(self, prefix: str) -> list[Link]:
        """List the bridges whose alias begins with ``prefix``, and one that was being made when we were killed."""
        bridges = [link for link in links(self._netlink) if link.kind == "bridge"]
        return [link for link in bridges if link.alias.startswith(prefix) or link.name == self._unnamed]

    def sweep(self) -> None:
        """Remove the bridges and rules of engines that are dead and have no container left (``pydock:MARK:...``)."""
        found = links(self._netlink)
        used = {link.master for link in found}
        engines: dict[str, list[Link]] = {}
        for link in found:
            if link.kind == "bridge" and (mark := _maker(link)):
                engines.setdefault(mark, []).append(link)
        for mark, bridges in engines.items():
            if used & {bridge.index for bridge in bridges}:
                continue
            claim = _claim(f"pydock-{mark}")
            if claim is None:
                continue  # it lives: ours, or another
            with claim:
                for bridge in bridges:
                    self.remove_bridge(bridge.index)
                Firewall(f"pydock-{mark}", sandboxed=self.sandboxed).remove()

    def remove_bridge(self, index: int) -> None:
        """Delete a bridge; one that is gone is no error."""
        with contextlib.suppress(NetlinkError):
            self._netlink.send([delete_link(index)])

    def set_rules(self, bridges: list[BridgeRules]) -> list[str]:
        """Write the packet rules for these bridges; give sentences on what could not be had."""
        if not self.sandboxed and any(not bridge.internal for bridge in bridges):
            with contextlib.suppress(OSError):
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            if any(bridge.network6 and not bridge.internal for bridge in bridges):
                with contextlib.suppress(OSError):
                    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
        return self.firewall.apply(bridges)

    def namespace(self) -> int:
        """Make a network namespace with nothing but its loopback, up; give a descriptor of it."""
        descriptor, netlink = self._new_namespace()
        netlink.close()
        return descriptor

    def prepare(self, port: Port) -> Ready:
        """Make a namespace whose eth0 hangs on a bridge. Raises OSError, leaving nothing."""
        descriptor, netlink = self._new_namespace()
        try:
            self._pipe(port, "eth0", descriptor)
            return Ready(descriptor, netlink, find_link(netlink, "eth0").index)
        except BaseException:
            netlink.close()
            os.close(descriptor)
            raise

    def configure(self, ready: Ready, interface: Interface) -> int:
        """Give eth0 its address and bring it up; the descriptor is the caller's from now on. Raises OSError."""
        try:
            _configure(ready.netlink, ready.index, interface)
        except BaseException:
            os.close(ready.descriptor)
            raise
        finally:
            ready.netlink.close()
        return ready.descriptor

    def name_sockets(self, namespace: int, address: str) -> list[socket.socket]:
        """Open the sockets (UDP, TCP) of a container's name server in its namespace (a descriptor).

        Raises OSError.
        """
        setns(namespace, CLONE_NEWNET)
        try:
            return name_sockets(address)
        finally:
            setns(self._home, CLONE_NEWNET)

    def plug(self, namespace: int, port: Port, interface: Interface) -> str:
        """Add one more interface to a container's namespace (a descriptor); give its name (eth1, ...)."""
        with self.inside(namespace, NetlinkSocket) as netlink:
            taken = {link.name for link in links(netlink)}
            name = next(f"eth{number}" for number in range(len(taken) + 1) if f"eth{number}" not in taken)
            self._pipe(port, name, namespace)
            _configure(netlink, find_link(netlink, name).index, interface)
        return name

    def lead_out(self, namespace: int, gateways: Sequence[str]) -> None:
        """Make these the default routes of a container's namespace (a descriptor): at most one of each family."""
        with self.inside(namespace, NetlinkSocket) as netlink:
            for version in (4, 6):
                known = routes(netlink, version)
                gateway = next((text for text in gateways if (":" in text) == (version == 6)), "")
                old = [route for route in known if route.destination.prefixlen == 0]
                if any(route.gateway == gateway for route in old) or not (old or gateway):
                    continue
                if old:
                    netlink.send([delete_default_route(version=version)])
                through = next((r for r in known if not r.gateway and _leads_to(r, gateway)), None)
                if through is not None:
                    netlink.send([add_default_route(through.interface, gateway, replace=True)])

    def _pipe(self, port: Port, name: str, namespace: int) -> None:
        """Make the pipe between a bridge and ``name`` in a namespace (a descriptor)."""
        ours = _pipe_name()
        self._netlink.send([add_veth(ours, port.bridge, name, namespace, port.mtu)])
        if port.isolated:
            self._netlink.send([isolate_port(find_link(self._netlink, ours).index)])
        if port.ipv6:
            with self.inside(namespace, lambda: _allow_ipv6("lo", name)):
                pass

    def unplug(self, namespace: int, address: ipaddress.IPv4Interface) -> None:
        """Take the interface that has this address away from a container's namespace."""
        with self.inside(namespace, NetlinkSocket) as netlink:
            for route in routes(netlink):
                if route.destination == address.network and not route.gateway:
                    netlink.send([delete_link(route.interface)])
                    return

    @contextlib.contextmanager
    def inside(self, namespace: int, function: Callable[[], T]) -> Iterator[T]:
        """Call ``function`` inside a namespace (a descriptor) and hold what it opened there, to be closed after."""
        setns(namespace, CLONE_NEWNET)
        try:
            opened = function()
        finally:
            setns(self._home, CLONE_NEWNET)
        try:
            yield opened
        finally:
            if isinstance(opened, NetlinkSocket):
                opened.close()

    def _new_namespace(self) -> tuple[int, NetlinkSocket]:
        unshare(CLONE_NEWNET)
        try:
            descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            netlink = NetlinkSocket()
            for name, value in _NEW_NAMESPACE_SETTINGS:
                with contextlib.suppress(OSError):  # no IPv6 here, or group ids that are not mapped
                    Path("/proc/sys", name).write_text(value)
        finally:
            setns(self._home, CLONE_NEWNET)
        netlink.send([set_link(_LOOPBACK, up=True)])
        return descriptor, netlink


def _claim(name: str) -> socket.socket | None:
    """Hold a name in this network namespace for as long as the process lives; None when somebody else holds it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0{name}")
    except OSError:
        claim.close()
        return None
    return claim


def _maker(bridge: Link) -> str:
    """Give the mark of the engine that made a bridge; empty where none did."""
    if bridge.alias.startswith("pydock:"):
        return bridge.alias.split(":")[1]
    return bridge.name.removeprefix(_UNNAMED) if bridge.name.startswith(_UNNAMED) else ""


def _has_default_route(netlink: NetlinkSocket) -> bool:
    return any(route.destination.prefixlen == 0 for route in routes(netlink))


def _leads_to(route: Route, gateway: str) -> bool:
    if not gateway or route.destination.prefixlen == 0:
        return False
    address = ipaddress.ip_address(gateway)
    return address.version == route.destination.version and address in route.destination


def _allow_ipv6(*names: str) -> None:
    for name in names:
        with contextlib.suppress(OSError):  # the kernel has no IPv6, or its settings are not ours to change
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("0")


def _configure(netlink: NetlinkSocket, index: int, interface: Interface) -> None:
    messages = [
        set_link(index, mac=bytes.fromhex(interface.mac.replace(":", ""))),
        add_address(index, interface.address),
        set_link(index, up=True),
    ]
    if interface.address6 is not None:
        messages.append(add_address(index, interface.address6))
    messages += [add_address(index, address) for address in interface.more]
    messages += [add_default_route(index, way) for way in (interface.gateway, interface.gateway6) if way]
    netlink.send(messages)


def _mac(address: ipaddress.IPv4Address) -> bytes:
    return b"\x02\x42" + address.packed


def _pipe_name() -> str:
    return f"veth{secrets.token_hex(4)}"[:15]


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
