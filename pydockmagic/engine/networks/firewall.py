"""The packet rules of one engine: outbound access, bridges kept apart, and peace with other firewalls.

Rules are written by nf_tables where the kernel has it (no program needed), by the iptables program otherwise.
Either way they are described whole each time, and what is there is made equal to it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from . import nftables
from .netlink import NetlinkSocket
from .nftables import Chain, Rule

__all__ = ["NETFILTER", "BridgeRules", "Firewall", "Redirects"]

NETFILTER = 12
"""The netlink protocol of packet rules."""


@dataclass(frozen=True)
class BridgeRules:
    """What the rules need to know of a bridge."""

    name: str
    network: ipaddress.IPv4Network
    internal: bool = False
    masquerade: bool = True
    network6: ipaddress.IPv6Network | None = None


@dataclass(frozen=True)
class Redirects:
    """The ports in the sandbox at which a relay takes outbound connections and name requests.

    Those of processes in the sandbox itself (``--network host``) go to ``own_dns``, on its loopback: the answer must
    come from the address that the request was redirected to.
    """

    tcp: int
    dns: int
    own_dns: int
    udp: tuple[int, int] = (0, 0)
    """The first and the last port for other datagrams; zeros where the relay takes none."""


class Firewall:
    """The rules in one network namespace, that of the thread that calls."""

    def __init__(self, table: str, *, sandboxed: bool) -> None:
        self._table = table
        self._sandboxed = sandboxed
        self._refusal = ""
        self._touched = self._touched6 = True
        self.redirects: Redirects | None = None

    def apply(self, bridges: Sequence[BridgeRules]) -> list[str]:
        """Make our own rules those of these bridges; give sentences on what could not be had."""
        try:
            with NetlinkSocket(NETFILTER) as netlink:
                nftables.replace_table(netlink, self._table, self._chains(bridges))
        except OSError as error:
            self._refusal = f"nf_tables is refused here ({error.strerror})"
            return [f"containers cannot reach other machines: {self._refusal}"] if self._sandboxed else []
        self._refusal = ""
        return self._apply6(bridges)

    def _apply6(self, bridges: Sequence[BridgeRules]) -> list[str]:
        wanted = any(bridge.network6 for bridge in bridges)
        try:
            with NetlinkSocket(NETFILTER) as netlink:
                if wanted:
                    nftables.replace_table(netlink, self._table, self._chains6(bridges), nftables.IPV6)
                elif self._touched6:
                    nftables.delete_table(netlink, self._table, nftables.IPV6)
        except OSError as error:
            return [f"IPv6 bridges are not kept apart: nf_tables refuses it ({error.strerror})"] if wanted else []
        self._touched6 = wanted
        return []

    def make_peace(self, bridges: Sequence[BridgeRules]) -> list[str]:
        """Let the containers' packets through the filters of others (dockerd's drops what it does not know).

        Starts programs, so it takes its time; may run on any thread of the same network namespace.
        """
        if self._sandboxed:
            return []
        if self._refusal:
            return self._iptables([*_iptables_forward(bridges), *_iptables_nat(bridges)], self._refusal)
        return self._iptables(_iptables_forward(bridges) if _others_drop() else [], "")

    def remove(self) -> None:
        """Take every rule away."""
        for family in (nftables.IPV4, nftables.IPV6):
            with contextlib.suppress(OSError), NetlinkSocket(NETFILTER) as netlink:
                nftables.delete_table(netlink, self._table, family)
        if not self._sandboxed and self._touched:
            self._iptables([], "")

    def _chains(self, bridges: Sequence[BridgeRules]) -> list[Chain]:
        if self._sandboxed:
            return [*_apart(bridges), *self._redirecting(bridges)]
        return [*_apart(bridges), _outward([(bridge, bridge.network) for bridge in bridges])]

    def _chains6(self, bridges: Sequence[BridgeRules]) -> list[Chain]:
        """Give the rules of IPv6. Out of the sandbox leads no IPv6."""
        if self._sandboxed:
            return _apart(bridges)
        return [*_apart(bridges), _outward([(bridge, bridge.network6) for bridge in bridges if bridge.network6])]

    def _redirecting(self, bridges: Sequence[BridgeRules]) -> list[Chain]:
        """In the sandbox nothing is routed outward: connections are handed to the relay, which makes them outside."""
        if self.redirects is None:
            return []
        dns = nftables.redirect(self.redirects.dns)
        tcp = nftables.redirect(self.redirects.tcp)
        # Where br_netfilter is loaded, even packets from one container to its neighbour come through here.
        rules: list[Rule] = [
            (nftables.destination_is_local(), nftables.accept()),
            *((nftables.destination_network(bridge.network), nftables.accept()) for bridge in bridges),
        ]
        for bridge in bridges:
            if not bridge.internal:
                come = nftables.in_interface(bridge.name)
                rules.append((come, nftables.protocol("udp"), nftables.destination_port(53), dns))
                rules.append((come, nftables.protocol("tcp"), tcp))
                rules += [(come, *udp) for udp in self._datagrams()]
        local: list[Rule] = [
            (nftables.destination_is_local(), nftables.accept()),
            *((nftables.out_interface(bridge.name), nftables.accept()) for bridge in bridges),
            (nftables.protocol("udp"), nftables.destination_port(53), nftables.redirect(self.redirects.own_dns)),
            (nftables.protocol("tcp"), tcp),
            *self._datagrams(),
        ]
        return [
            Chain("arriving", rules, hook="prerouting", kind="nat", priority=-100),
            Chain("own", local, hook="output", kind="nat", priority=-100),
        ]

    def _datagrams(self) -> list[Rule]:
        if self.redirects is None or not self.redirects.udp[0]:
            return []
        return [(nftables.protocol("udp"), nftables.redirect(*self.redirects.udp))]

    def _iptables(self, wanted: Sequence[str], without: str) -> list[str]:
        """Make the iptables rules that carry our comment equal to ``wanted`` (``TABLE -A CHAIN ...``)."""
        if shutil.which("iptables") is None:
            return [f"containers cannot reach other machines: {without}, iptables is missing"] if without else []
        mark = f"-m comment --comment {self._table}"
        chain = "FORWARD"
        if wanted and _run_iptables("filter -S DOCKER-USER") is not None:
            chain = "DOCKER-USER"
        rules = [rule.replace(" -A FORWARD ", f" -A {chain} ", 1).replace(" -j ", f" {mark} -j ", 1) for rule in wanted]
        there = [rule for rule in _iptables_rules() if self._table in shlex.split(rule)]
        self._touched = bool(wanted)
        if sorted(there) == sorted(rules):
            return []  # nothing to do: whoever watches the rules is not told of a change that is none
        for rule in there:
            _run_iptables(rule.replace(" -A ", " -D ", 1))
        inserted = [rule.replace(f" -A {chain} ", f" -I {chain} ", 1) for rule in rules]
        refused = [rule for rule in inserted if _run_iptables(rule) is None]
        return [f"containers may not reach other machines: iptables refused {refused[0]!r}"] if refused else []


def _apart(bridges: Sequence[BridgeRules]) -> list[Chain]:
    """Keep the bridges apart from each other, and internal ones from everything."""
    apart: list[Rule] = []
    between: list[Rule] = [(nftables.out_interface(bridge.name), nftables.drop()) for bridge in bridges]
    for bridge in bridges:
        other = nftables.out_interface(bridge.name, equal=False)
        come = nftables.in_interface(bridge.name)
        apart.append((come, other, nftables.drop() if bridge.internal else nftables.jump("between")))
        if bridge.internal:
            elsewhere = nftables.in_interface(bridge.name, equal=False)
            apart.append((elsewhere, nftables.out_interface(bridge.name), nftables.drop()))
    return [Chain("between", between), Chain("forward", apart, hook="forward")]


def _outward(networks: Sequence[tuple[BridgeRules, ipaddress.IPv4Network | ipaddress.IPv6Network]]) -> Chain:
    """Send what leaves a bridge out under the host's address."""
    rules = [
        (nftables.source_network(network), nftables.out_interface(bridge.name, equal=False), nftables.masquerade())
        for bridge, network in networks
        if bridge.masquerade and not bridge.internal
    ]
    return Chain("outward", rules, hook="postrouting", kind="nat", priority=100)


def _iptables_forward(bridges: Sequence[BridgeRules]) -> list[str]:
    rules = []
    for bridge in bridges:
        rules.append(f"filter -A FORWARD -i {bridge.name} -j ACCEPT")
        rules.append(f"filter -A FORWARD -o {bridge.name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    return rules


def _iptables_nat(bridges: Sequence[BridgeRules]) -> list[str]:
    return [
        f"nat -A POSTROUTING -s {bridge.network} ! -o {bridge.name} -j MASQUERADE"
        for bridge in bridges
        if bridge.masquerade and not bridge.internal
    ]


def _others_drop() -> bool:
    """Tell whether somebody else's filter (dockerd's, a firewall's) drops what it does not know."""
    if shutil.which("iptables") is None:
        return False
    return "-P FORWARD DROP" in (_run_iptables("filter -S FORWARD") or "")


def _iptables_rules() -> list[str]:
    """List the rules that may be ours, as ``TABLE -A CHAIN ...``."""
    return [
        f"{table} {line}"
        for table in ("filter", "nat")
        for line in (_run_iptables(f"{table} -S") or "").splitlines()
        if line.startswith("-A ")
    ]


def _run_iptables(rule: str) -> str | None:
    table, *arguments = shlex.split(rule)
    run = subprocess.run(["iptables", "-w", "-t", table, *arguments], capture_output=True, text=True, check=False)
    return run.stdout if run.returncode == 0 else None
