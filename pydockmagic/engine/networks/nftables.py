"""Packet rules by nf_tables, without the nft program: one table per engine, always written whole.

A table is described as data (chains of rules, rules of expressions) and replaced in one transaction, so that it is
never half there and nothing has to be found again to be changed. Follows the kernel's
``uapi/linux/netfilter/nf_tables.h``; ``nft list table`` shows the outcome in words.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .netlink import Message, NetlinkError, NetlinkSocket, attribute, nested

__all__ = [
    "IPV4",
    "IPV6",
    "Chain",
    "Rule",
    "accept",
    "delete_table",
    "destination_address",
    "destination_is_local",
    "destination_network",
    "destination_port",
    "drop",
    "in_interface",
    "jump",
    "masquerade",
    "out_interface",
    "protocol",
    "redirect",
    "replace_table",
    "source_network",
    "translate_destination",
]

Expressions = tuple[bytes, ...]
Rule = Sequence[Expressions]
"""Conditions in order, and then what to do."""

_NETFILTER = 12
_SUBSYSTEM = 10 << 8
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
IPV4, IPV6 = 2, 10
"""The families of packets that a table is for."""
_HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
_REGISTER = 1
_VERDICT = 0
_DROP, _ACCEPT, _JUMP = 0, 1, -3
_EQUAL, _NOT_EQUAL = 0, 1
_NAT_DESTINATION = 1
_META_IIFNAME, _META_OIFNAME, _META_L4PROTO = 6, 7, 16
_FIB_DADDR, _FIB_TYPE, _RTN_LOCAL = 2, 3, 2
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2


@dataclass(frozen=True)
class Chain:
    """A chain. With a ``hook`` the kernel sends packets through it, at ``priority``; without, rules jump to it."""

    name: str
    rules: Sequence[Rule] = ()
    hook: str = ""
    kind: str = "filter"
    priority: int = 0


def replace_table(netlink: NetlinkSocket, name: str, chains: Sequence[Chain], family: int = IPV4) -> None:
    """Put ``chains`` in the place of whatever the table held, in one transaction. Raises NetlinkError."""
    table = attribute(1, name)
    # Deleting what may not exist is an error, so it is made first.
    messages = [
        _message(_NEWTABLE, table, _CREATE, f"making the table {name}", family),
        _message(_DELTABLE, table, 0, f"emptying the table {name}", family),
        _message(_NEWTABLE, table, _CREATE, f"making the table {name}", family),
    ]
    for chain in chains:
        body = table + attribute(3, chain.name)
        if chain.hook:
            hook = nested(4, _number(1, _HOOKS[chain.hook]), attribute(2, struct.pack(">i", chain.priority)))
            body += hook + _number(5, _ACCEPT) + attribute(7, chain.kind)
        messages.append(_message(_NEWCHAIN, body, _CREATE, f"making the chain {chain.name}", family))
    for chain in chains:
        for rule in chain.rules:
            body = table + attribute(2, chain.name) + nested(4, *(nested(1, item) for part in rule for item in part))
            messages.append(_message(_NEWRULE, body, _CREATE | _APPEND, f"adding a rule to {chain.name}", family))
    _transact(netlink, messages)


def delete_table(netlink: NetlinkSocket, name: str, family: int = IPV4) -> None:
    """Delete a table; one that is not there is no error."""
    try:
        _transact(netlink, [_message(_DELTABLE, attribute(1, name), 0, f"deleting the table {name}", family)])
    except NetlinkError as error:
        if error.errno != errno.ENOENT:
            raise


def in_interface(name: str, *, equal: bool = True) -> Expressions:
    """Packets that came in through this interface (or did not)."""
    return _meta_is(_META_IIFNAME, name.encode().ljust(16, b"\0"), equal=equal)


def out_interface(name: str, *, equal: bool = True) -> Expressions:
    """Packets that go out through this interface (or do not)."""
    return _meta_is(_META_OIFNAME, name.encode().ljust(16, b"\0"), equal=equal)


def protocol(name: str) -> Expressions:
    """Packets of ``tcp`` or ``udp``."""
    return _meta_is(_META_L4PROTO, bytes([socket.IPPROTO_TCP if name == "tcp" else socket.IPPROTO_UDP]))


def source_network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Expressions:
    """Packets from these addresses."""
    return _in_network(12 if network.version == 4 else 8, network)


def destination_network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Expressions:
    """Packets to these addresses."""
    return _in_network(16 if network.version == 4 else 24, network)


def destination_port(port: int) -> Expressions:
    """Packets to this port; after ``protocol``."""
    return _payload(_TRANSPORT_HEADER, 2, 2), _compare(struct.pack(">H", port))


def destination_is_local(*, equal: bool = True) -> Expressions:
    """Packets to an address of this namespace itself (or not)."""
    fib = _expression("fib", _number(1, _REGISTER) + _number(2, _FIB_TYPE) + _number(3, _FIB_DADDR))
    return fib, _compare(struct.pack("=I", _RTN_LOCAL), equal=equal)


def accept() -> Expressions:
    """Let the packet go on."""
    return (_verdict(_ACCEPT),)


def drop() -> Expressions:
    """Drop the packet without a word."""
    return (_verdict(_DROP),)


def jump(chain: str) -> Expressions:
    """Go through another chain."""
    return (_verdict(_JUMP, attribute(2, chain)),)


def masquerade() -> Expressions:
    """Send the packet out under the address of the interface that it leaves by."""
    return (_expression("masq", b""),)


def redirect(port: int, last: int = 0) -> Expressions:
    """Send the packet to a port of this namespace, or to one between ``port`` and ``last`` that is free for it."""
    ends = [_expression("immediate", _number(1, _REGISTER) + nested(2, attribute(1, struct.pack(">H", port))))]
    target = _number(1, _REGISTER)
    if last:
        ends.append(
            _expression("immediate", _number(1, _REGISTER + 1) + nested(2, attribute(1, struct.pack(">H", last))))
        )
        target += _number(2, _REGISTER + 1)
    return *ends, _expression("redir", target)


def destination_address(address: str) -> Expressions:
    """Packets to this address."""
    return _payload(_NETWORK_HEADER, 16, 4), _compare(socket.inet_aton(address))


def translate_destination(address: str, port: int) -> Expressions:
    """Send the packet to another address and port (DNAT)."""

    def immediate(register: int, value: bytes) -> bytes:
        return _expression("immediate", _number(1, register) + nested(2, attribute(1, value)))

    nat = _number(1, _NAT_DESTINATION) + _number(2, IPV4) + _number(3, _REGISTER) + _number(5, _REGISTER + 1)
    return (
        immediate(_REGISTER, socket.inet_aton(address)),
        immediate(_REGISTER + 1, struct.pack(">H", port)),
        _expression("nat", nat),
    )


def _transact(netlink: NetlinkSocket, messages: Sequence[Message]) -> None:
    marker = struct.pack(">BBH", 0, 0, 10)
    begin = Message(_BATCH_BEGIN, _REQUEST, marker, "beginning a transaction of nf_tables")
    end = Message(_BATCH_END, _REQUEST, marker, "ending a transaction of nf_tables")
    netlink.send([begin, *messages, end])


def _message(kind: int, body: bytes, flags: int, what: str, family: int = IPV4) -> Message:
    return Message(_SUBSYSTEM | kind, _REQUEST | _ACK | flags, struct.pack(">BBH", family, 0, 0) + body, what)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _expression(name: str, data: bytes) -> bytes:
    return attribute(1, name) + nested(2, data)


def _compare(value: bytes, *, equal: bool = True) -> bytes:
    operation = _EQUAL if equal else _NOT_EQUAL
    return _expression("cmp", _number(1, _REGISTER) + _number(2, operation) + nested(3, attribute(1, value)))


def _meta_is(key: int, value: bytes, *, equal: bool = True) -> Expressions:
    return _expression("meta", _number(1, _REGISTER) + _number(2, key)), _compare(value, equal=equal)


def _in_network(offset: int, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Expressions:
    length = network.max_prefixlen // 8
    bitwise = _number(1, _REGISTER) + _number(2, _REGISTER) + _number(3, length)
    bitwise += nested(4, attribute(1, network.netmask.packed)) + nested(5, attribute(1, bytes(length)))
    return (
        _payload(_NETWORK_HEADER, offset, length),
        _expression("bitwise", bitwise),
        _compare(network.network_address.packed),
    )


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", _number(1, _REGISTER) + _number(2, base) + _number(3, offset) + _number(4, length))


def _verdict(code: int, extra: bytes = b"") -> bytes:
    verdict = attribute(1, struct.pack(">i", code)) + extra
    return _expression("immediate", _number(1, _VERDICT) + nested(2, nested(2, verdict)))
