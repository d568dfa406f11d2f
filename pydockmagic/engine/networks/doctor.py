"""What the networks can do here, for ``doctor``: tried in a namespace of its own, with nothing left behind."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket

from pydockmagic.engine.runtime import linux
from pydockmagic.engine.runtime.doctor import Capability, refusal_of
from pydockmagic.engine.runtime.probing import has_capability

from . import nftables
from .firewall import NETFILTER
from .netlink import NetlinkSocket, add_address, add_bridge, add_veth, find_link
from .nftables import Chain
from .relay_udp import Conntrack

__all__ = ["probe"]

_MAC = bytes.fromhex("0242c0a8ff01")


def probe(*, private_net: bool) -> list[Capability]:
    """Examine; ``private_net`` when the bridges are in a sandbox's namespace (rootless). For one thread only."""
    bridges = refusal_of(_make_bridge)
    if bridges:
        follows = "containers have only their loopback; --network host still works"
        return [Capability("bridge networking", False, bridges, follows)]
    rules = refusal_of(_make_rules)
    program = None if private_net else shutil.which("iptables")
    datagrams = not private_net or not refusal_of(_ask_conntrack)
    return [
        Capability("bridge networking", True, "bridge and veth could be made", "containers reach each other"),
        _outbound(rules, program, private_net=private_net, datagrams=datagrams),
        Capability("published ports", True, "by sockets on the host", "TCP and UDP ports can be published"),
    ]


def _outbound(refusal: str, program: str | None, *, private_net: bool, datagrams: bool) -> Capability:
    if refusal and program is None:
        return Capability("outbound access", False, f"nf_tables: {refusal}", "containers cannot reach other machines")
    if private_net:
        return Capability(
            "outbound access",
            True,
            "nf_tables, and a relay in the host's network",
            "TCP, UDP and name requests go out through it; ping and IPv6 do not"
            if datagrams
            else "TCP and name requests go out through it; other UDP, ping and IPv6 do not",
        )
    how = f"iptables ({program}), nf_tables: {refusal}" if refusal else "nf_tables"
    return Capability("outbound access", True, how, "routed, under the host's address")


def _enter() -> None:
    """Go into an empty network namespace that we rule; in a child."""
    if not has_capability("SYS_ADMIN"):
        linux.unshare(linux.CLONE_NEWUSER)
    linux.unshare(linux.CLONE_NEWNET)


def _make_bridge() -> None:
    _enter()
    with NetlinkSocket() as netlink:
        netlink.send([add_bridge("probe0", _MAC)])
        bridge = find_link(netlink, "probe0").index
        netlink.send([add_address(bridge, ipaddress.IPv4Interface("192.168.255.1/24"))])
        here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        netlink.send([add_veth("probe1", bridge, "probe2", here)])


def _ask_conntrack() -> None:
    """Ask the connection tracking about a datagram, as the relay does; it may well know none."""
    _enter()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as netlink:
        Conntrack(netlink).meant_for(("192.168.255.2", 1), ("192.168.255.1", 1))


def _make_rules() -> None:
    _enter()
    come = nftables.in_interface("probe0")
    outward = (nftables.source_network(ipaddress.IPv4Network("192.168.255.0/24")), nftables.masquerade())
    inward = (nftables.destination_is_local(), nftables.accept())
    redirected = (come, nftables.protocol("tcp"), nftables.redirect(1))
    with NetlinkSocket(NETFILTER) as netlink:
        nftables.replace_table(
            netlink,
            "probe",
            [
                Chain("outward", [outward], hook="postrouting", kind="nat", priority=100),
                Chain("inward", [inward, redirected], hook="prerouting", kind="nat", priority=-100),
            ],
        )
