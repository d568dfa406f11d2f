"""Talking to the kernel's network configuration: links, addresses, routes, several requests in one message.

Follows netlink(7), rtnetlink(7) and the kernel's ``uapi/linux/{netlink,rtnetlink,if_link,if_addr,veth}.h``. Our own
and small on purpose: a general library costs more time per container than all the rest of starting one.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

__all__ = [
    "Link",
    "Message",
    "NetlinkError",
    "NetlinkSocket",
    "Route",
    "add_address",
    "add_bridge",
    "add_default_route",
    "add_veth",
    "attribute",
    "attributes",
    "delete_default_route",
    "delete_link",
    "find_link",
    "isolate_port",
    "links",
    "nested",
    "routes",
    "set_link",
]

_REQUEST, _MULTI, _ACK, _DUMP = 0x1, 0x2, 0x4, 0x300
_EXCL, _CREATE = 0x200, 0x400
_ERROR, _DONE = 2, 3
_CAPPED, _ACK_TLVS = 0x100, 0x200
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11

_NEWLINK, _DELLINK, _GETLINK, _SETLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _GETROUTE = (
    16, 17, 18, 19, 20, 24, 25, 26,
)  # fmt: skip
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_NET_NS_FD = (
    1, 3, 4, 10, 18, 20, 28,
)  # fmt: skip
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_UP = 1
_NESTED = 0x8000
_AF_UNSPEC, _AF_INET, _AF_BRIDGE, _AF_INET6 = 0, 2, 7, 10
_IFLA_PROTINFO, _IFLA_TXQLEN, _BRPORT_ISOLATED = 12, 13, 33
_NO_DAD = 0x02
_REPLACE = 0x100

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")


class NetlinkError(OSError):
    """The kernel refused a request; ``strerror`` names the request and, where it said more, the kernel's own words."""


@dataclass(frozen=True)
class Message:
    """One request; ``what`` says in words what it is for, for the error."""

    kind: int
    flags: int
    body: bytes
    what: str = ""


@dataclass(frozen=True)
class Link:
    """A network interface."""

    index: int
    name: str
    kind: str = ""
    alias: str = ""
    master: int = 0
    mtu: int = 0
    up: bool = False


@dataclass(frozen=True)
class Route:
    """A route of the main table."""

    destination: ipaddress.IPv4Network | ipaddress.IPv6Network
    interface: int
    gateway: str = ""


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """Encode one attribute: text gets its zero byte, a number is 32 bits in the machine's order."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, int):
        value = struct.pack("=I", value)
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Encode an attribute that holds others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Decode attributes: each one's kind and value."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += length + (-length % 4)


class NetlinkSocket:
    """A netlink socket of the network namespace in which it was opened, whatever the thread joins later.

    It keeps that namespace alive: close it.
    """

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._socket.settimeout(10)  # the kernel answers at once; a wrong expectation must not hang the engine
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket and let go of the namespace."""
        self._socket.close()

    def send(self, messages: Sequence[Message]) -> None:
        """Send all requests at once; raises NetlinkError for the first refused one (the others were carried out)."""
        numbered: dict[int, Message] = {}
        data = b""
        for message in messages:
            self._sequence += 1
            numbered[self._sequence] = message
            data += _encode(message, self._sequence)
        self._socket.send(data)
        waiting = {number for number, message in numbered.items() if message.flags & _ACK}
        first: NetlinkError | None = None
        while waiting:
            for kind, sequence, flags, body in self._receive():
                if kind != _ERROR or sequence not in numbered:
                    continue
                waiting.discard(sequence)
                error = _error(numbered[sequence], flags, body)
                if error is not None:
                    first = first or error
                    if not numbered[sequence].flags & _ACK:
                        waiting.clear()  # the end of a refused batch
        if first is not None:
            raise first

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Ask for all objects of a kind; give the bodies of the answers."""
        return list(self._dump(Message(kind, _REQUEST | _DUMP, body, "listing")))

    def _dump(self, message: Message) -> Iterator[bytes]:
        self._sequence += 1
        self._socket.send(_encode(message, self._sequence))
        while True:
            for kind, sequence, flags, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    error = _error(message, flags, body)
                    if error is not None:
                        raise error
                    return
                yield body

    def ask(self, message: Message) -> bytes:
        """Send one request that is answered by one object. Raises NetlinkError."""
        self._sequence += 1
        self._socket.send(_encode(message, self._sequence))
        while True:
            for kind, sequence, flags, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == _ERROR:
                    raise _error(message, flags, body) or NetlinkError(errno.ENOENT, f"{message.what}: no answer")
                return body

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(1 << 18)
        offset = 0
        while offset + 16 <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield kind, sequence, flags, data[offset + 16 : offset + length]
            offset += length + (-length % 4)


def _encode(message: Message, sequence: int) -> bytes:
    length = 16 + len(message.body)
    padding = b"\0" * (-length % 4)
    return _HEADER.pack(length, message.kind, message.flags, sequence, 0) + message.body + padding


def _error(message: Message, flags: int, body: bytes) -> NetlinkError | None:
    number = -struct.unpack_from("=i", body)[0]
    if number == 0:
        return None
    text = os.strerror(number)
    if flags & _ACK_TLVS:
        skip = 20 if flags & _CAPPED else 4 + struct.unpack_from("=I", body, 4)[0]
        for kind, value in attributes(body[skip:]):
            if kind == 1:
                text = value.rstrip(b"\0").decode(errors="replace")
    return NetlinkError(number, f"{message.what}: {text}")


def _link_body(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _IFINFO.pack(_AF_UNSPEC, 0, index, flags, change)


def add_bridge(name: str, mac: bytes, mtu: int = 0) -> Message:
    """Make a bridge, down."""
    info = nested(_IFLA_LINKINFO, attribute(_INFO_KIND, "bridge"))
    body = _link_body() + attribute(_IFLA_IFNAME, name) + attribute(_IFLA_ADDRESS, mac) + _mtu(mtu) + info
    return Message(_NEWLINK, _REQUEST | _ACK | _CREATE | _EXCL, body, f"making the bridge {name}")


def _mtu(mtu: int) -> bytes:
    return attribute(_IFLA_MTU, mtu) if mtu else b""


def add_veth(name: str, bridge: int, peer: str, namespace: int, mtu: int = 0) -> Message:
    """Make a pair: ``name`` here, up, on the bridge with this index; ``peer``, down, in the namespace descriptor."""
    both = _mtu(mtu) + attribute(_IFLA_TXQLEN, 0)  # packets wait in no queue, as with dockerd
    inner = _link_body() + attribute(_IFLA_IFNAME, peer) + attribute(_IFLA_NET_NS_FD, namespace) + both
    info = nested(
        _IFLA_LINKINFO,
        attribute(_INFO_KIND, "veth"),
        nested(_INFO_DATA, attribute(_VETH_PEER, inner)),
    )
    body = _link_body(flags=_UP, change=_UP) + attribute(_IFLA_IFNAME, name) + attribute(_IFLA_MASTER, bridge)
    body += both + info
    return Message(_NEWLINK, _REQUEST | _ACK | _CREATE | _EXCL, body, f"making the pair {name}")


def set_link(
    index: int, *, up: bool | None = None, mac: bytes = b"", alias: str | None = None, name: str = ""
) -> Message:
    """Change a link."""
    body = _link_body(index, _UP if up else 0, 0 if up is None else _UP)
    if mac:
        body += attribute(_IFLA_ADDRESS, mac)
    if alias is not None:
        body += attribute(_IFLA_IFALIAS, alias)
    if name:
        body += attribute(_IFLA_IFNAME, name)
    return Message(_NEWLINK, _REQUEST | _ACK, body, f"changing link {index}")


def isolate_port(index: int) -> Message:
    """Keep a bridge's port from the other ports that are isolated too; the bridge itself it reaches."""
    body = _IFINFO.pack(_AF_BRIDGE, 0, index, 0, 0) + nested(_IFLA_PROTINFO, attribute(_BRPORT_ISOLATED, b"\1"))
    return Message(_SETLINK, _REQUEST | _ACK, body, f"isolating the port {index}")


def delete_link(index: int) -> Message:
    """Delete a link."""
    return Message(_DELLINK, _REQUEST | _ACK, _link_body(index), f"deleting link {index}")


def add_address(index: int, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> Message:
    """Give a link an address with its prefix; an IPv6 one is in use at once, without looking for duplicates."""
    address, network = interface.ip.packed, interface.network
    six = interface.version == 6
    body = _IFADDR.pack(_AF_INET6 if six else _AF_INET, network.prefixlen, _NO_DAD if six else 0, 0, index)
    body += attribute(_IFA_LOCAL, address) + attribute(_IFA_ADDRESS, address)
    if not six and network.prefixlen < 31:
        body += attribute(_IFA_BROADCAST, network.broadcast_address.packed)
    return Message(_NEWADDR, _REQUEST | _ACK | _CREATE | _EXCL, body, f"adding the address {interface}")


def add_default_route(index: int, gateway: str = "", *, replace: bool = False) -> Message:
    """Send what is not local through a gateway, or straight into the link."""
    boot, scope, unicast, main = 3, 0 if gateway else 253, 1, 254
    body = _RTMSG.pack(_AF_INET6 if ":" in gateway else _AF_INET, 0, 0, 0, main, boot, scope, unicast, 0)
    if gateway:
        body += attribute(_RTA_GATEWAY, ipaddress.ip_address(gateway).packed)
    body += attribute(_RTA_OIF, index)
    flags = _REQUEST | _ACK | _CREATE | (_REPLACE if replace else _EXCL)
    return Message(_NEWROUTE, flags, body, f"adding the default route {gateway}".rstrip())


def delete_default_route(*, version: int = 4) -> Message:
    """Take the default route away."""
    body = _RTMSG.pack(_AF_INET6 if version == 6 else _AF_INET, 0, 0, 0, 254, 0, 255, 0, 0)
    return Message(_DELROUTE, _REQUEST | _ACK, body, "removing the default route")


def find_link(netlink: NetlinkSocket, name: str) -> Link:
    """Look a link up by name. Raises NetlinkError (ENODEV)."""
    body = _link_body() + attribute(_IFLA_IFNAME, name)
    return _link(netlink.ask(Message(_GETLINK, _REQUEST, body, f"looking for the link {name}")))


def links(netlink: NetlinkSocket) -> list[Link]:
    """List every link."""
    return [_link(body) for body in netlink.dump(_GETLINK, _link_body())]


def routes(netlink: NetlinkSocket, version: int = 4) -> list[Route]:
    """List the routes of the main table, of IPv4 or IPv6."""
    wanted, any_address = (_AF_INET6, bytes(16)) if version == 6 else (_AF_INET, bytes(4))
    found = []
    for body in netlink.dump(_GETROUTE, _RTMSG.pack(wanted, 0, 0, 0, 0, 0, 0, 0, 0)):
        family, length, _, _, table, _, _, _, _ = _RTMSG.unpack_from(body)
        if family != wanted or table != 254:
            continue
        values = dict(attributes(body[_RTMSG.size :]))
        destination = ipaddress.ip_address(values.get(_RTA_DST, any_address))
        gateway = values.get(_RTA_GATEWAY)
        interface = struct.unpack("=I", values[_RTA_OIF])[0] if _RTA_OIF in values else 0
        network = ipaddress.ip_network(f"{destination}/{length}", strict=False)
        found.append(Route(network, interface, str(ipaddress.ip_address(gateway)) if gateway else ""))
    return found


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    values = dict(attributes(body[_IFINFO.size :]))

    def text(value: bytes | None) -> str:
        return (value or b"").rstrip(b"\0").decode(errors="replace")

    def number(kind: int) -> int:
        return int(struct.unpack("=I", values[kind])[0]) if kind in values else 0

    info = dict(attributes(values.get(_IFLA_LINKINFO, b"")))
    return Link(
        index=index,
        name=text(values.get(_IFLA_IFNAME)),
        kind=text(info.get(_INFO_KIND)),
        alias=text(values.get(_IFLA_IFALIAS)),
        master=number(_IFLA_MASTER),
        mtu=number(_IFLA_MTU),
        up=bool(flags & _UP),
    )
