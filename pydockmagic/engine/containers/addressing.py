"""Ports and addresses that a create request names, checked before anything is made.

dockerd finds out about some of them only at the start; the sentences are its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

from pydockmagic.engine.errors import InvalidParameter

from .config import EndpointSettings, PortBinding

__all__ = ["check_endpoints", "check_ports"]

_CONTAINER_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(\w+))?")
_HOST_PORT = re.compile(r"(?:([0-9]{1,5})(?:-([0-9]{1,5}))?)?")
_PROTOCOLS = ("tcp", "udp", "sctp")
# what Go's net.ParseMAC reads: bytes with colons or dashes, or pairs of bytes with dots
_MAC = re.compile(r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE)


def check_ports(exposed: Iterable[str], bindings: Mapping[str, Sequence[PortBinding] | None]) -> None:
    """Check ports, their protocols and where they are published. Raises InvalidParameter."""
    for port in (*exposed, *bindings):
        match = _CONTAINER_PORT.fullmatch(port)
        if match is None or max(int(number) for number in (match[1], match[2] or "0")) > 65535:
            raise InvalidParameter(f'invalid port specification: "{port}"')
        if (match[3] or "tcp").lower() not in _PROTOCOLS:
            raise InvalidParameter(f"invalid proto: {match[3]}")
    for binding in (each for published in bindings.values() for each in published or ()):
        match = _HOST_PORT.fullmatch(binding.host_port)
        first, last = (int(number or 0) for number in match.groups()) if match else (0, 65536)
        if max(first, last) > 65535 or (last and last < first):
            raise InvalidParameter(f'invalid port specification: "{binding.host_port}"')
        if binding.host_ip and not _is_address(binding.host_ip):
            raise InvalidParameter(f"invalid IP address: {binding.host_ip}")


def check_endpoints(endpoints: Mapping[str, EndpointSettings]) -> None:
    """Check what is asked of networks. Raises InvalidParameter."""
    for settings in endpoints.values():
        if settings.mac_address and not _MAC.fullmatch(settings.mac_address):
            raise InvalidParameter(f"address {settings.mac_address}: invalid MAC address")


def _is_address(text: str) -> bool:
    try:
        return not getattr(ipaddress.ip_address(text), "scope_id", None)
    except ValueError:
        return False
