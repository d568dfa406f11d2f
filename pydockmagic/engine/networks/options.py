"""What ``docker network create`` may ask of a bridge network, checked in dockerd's words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from pydockmagic.engine.errors import EngineError, InvalidParameter

from .records import Network

__all__ = ["NAME", "check_options", "host_address", "mtu_of", "neighbours_meet", "translated"]

_BRIDGE = "com.docker.network.bridge."
NAME = f"{_BRIDGE}name"
ICC = f"{_BRIDGE}enable_icc"
MASQUERADE = f"{_BRIDGE}enable_ip_masquerade"
HOST_ADDRESS = f"{_BRIDGE}host_binding_ipv4"
MTU = "com.docker.network.driver.mtu"

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_LONGEST_NAME = 15
_MAX_MTU = 65_535


def check_options(options: Mapping[str, str]) -> None:
    """Raise what dockerd says of values that it cannot use; options that it does not know are kept and mean nothing."""
    for name in (ICC, MASQUERADE):
        value = options.get(name, "true")
        if value not in (*_TRUE, *_FALSE):
            reason = f'strconv.ParseBool: parsing "{value}": invalid syntax'
            raise InvalidParameter(f"failed to parse {name} value: {value} ({reason})")
    mtu = options.get(MTU, "0")
    if not re.fullmatch(r"[+-]?\d+", mtu):
        reason = f'strconv.Atoi: parsing "{mtu}": invalid syntax'
        raise InvalidParameter(f"failed to parse {MTU} value: {mtu} ({reason})")
    if not 0 <= int(mtu) <= _MAX_MTU:
        raise InvalidParameter(f"invalid MTU number: {mtu}")
    address = options.get(HOST_ADDRESS, "0.0.0.0")  # noqa: S104 - dockerd's default
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise InvalidParameter(f"failed to parse {HOST_ADDRESS} value: {address} (nil ip)") from None
    if len(options.get(NAME, "")) > _LONGEST_NAME:
        raise EngineError("failed to check bridge interface existence: numerical result out of range")


def neighbours_meet(network: Network) -> bool:
    """Tell whether containers on this network may talk to each other (``enable_icc``)."""
    return network.options.get(ICC, "true") in _TRUE


def translated(network: Network) -> bool:
    """Tell whether containers go out under the host's address (``enable_ip_masquerade``)."""
    return network.options.get(MASQUERADE, "true") in _TRUE


def mtu_of(network: Network) -> int:
    """Give the size of the largest packet; 0 for the kernel's own choice."""
    return int(network.options.get(MTU, "0") or 0)


def host_address(network: Network) -> str:
    """Give the host's address where ports are published that name none; empty for all of them."""
    address = network.options.get(HOST_ADDRESS, "")
    return "" if address == "0.0.0.0" else address  # noqa: S104 - compared
