"""The sockets of a container's name server, opened in the container's network namespace."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from . import nftables
from .firewall import NETFILTER
from .netlink import NetlinkSocket

__all__ = ["name_sockets"]

_DNS_PORT = 53


def name_sockets(address: str) -> list[socket.socket]:
    """Open the sockets (UDP, TCP) in the namespace of the calling thread. Raises OSError.

    Port 53 stays free for a server of the container's own: packet rules lead from there to a port that nobody minds.
    """
    sockets = _sockets(address, 0)
    try:
        with NetlinkSocket(NETFILTER) as rules:
            udp, tcp = (listener.getsockname()[1] for listener in sockets)
            nftables.replace_table(rules, "names", [_chain(address, {"udp": udp, "tcp": tcp})])
    except OSError:  # no packet rules here
        for listener in sockets:
            listener.close()
        return _sockets(address, _DNS_PORT)
    return sockets


def _sockets(address: str, port: int) -> list[socket.socket]:
    sockets = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            listener = socket.socket(socket.AF_INET, kind)
            sockets.append(listener)
            listener.bind((address, port))
        sockets[1].listen(64)
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _chain(address: str, ports: Mapping[str, int]) -> nftables.Chain:
    """Lead name requests to ``address`` on to the ports that serve them."""
    rules = [
        (
            nftables.destination_address(address),
            nftables.protocol(protocol),
            nftables.destination_port(_DNS_PORT),
            nftables.translate_destination(address, port),
        )
        for protocol, port in ports.items()
    ]
    return nftables.Chain("own", rules, hook="output", kind="nat", priority=-100)
