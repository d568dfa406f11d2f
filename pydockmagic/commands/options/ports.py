"""``-p`` and ``--expose``: port specifications (docker/go-connections, package nat).

``[IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]``, and the long form ``target=80,published=8080``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from pydockmagic.commands.grammar.kinds import ValueProblem

__all__ = ["PortMapping", "expose", "parse_port", "parse_port_range", "parse_spec", "parse_specs", "standard_notation"]

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_MAX = 65535


class PortMapping(NamedTuple):
    """One container port (``80/tcp``) and where it is published; empty strings leave the choice to the daemon."""

    port: str
    host_ip: str
    host_port: str


def parse_port(text: str) -> int:
    """Read a port number; nothing is 0.

    Raises ``ValueProblem``.
    """
    if not text:
        return 0
    problem = _number_problem(text)
    if problem:
        raise ValueProblem(f"invalid port '{text}': {problem}")
    return int(text)


def _number_problem(text: str) -> str:
    if not text:
        return "value is empty"
    digits = text[1:] if text[0] in "+-" else text
    if not digits.isascii() or not digits.isdigit():
        return "invalid syntax"
    return "" if 0 <= int(text) <= _MAX else "value out of range (0–65535)"  # noqa: RUF001 - docker's own dash


def parse_port_range(text: str) -> tuple[int, int]:
    """Read a port or a range of ports, both ends included.

    Raises ``ValueProblem``.
    """
    if not text:
        raise ValueProblem("empty string specified for ports")
    first, dash, last = text.partition("-")
    for name, end in (("start", first), ("end", last if dash else first)):
        problem = _number_problem(end)
        if problem:
            raise ValueProblem(f"invalid {name} port '{end}': {problem}")
    start, stop = int(first), int(last if dash else first)
    if stop < start:
        raise ValueProblem(f"invalid port range: {text}")
    return start, stop


def split_protocol(text: str) -> tuple[str, str]:
    """Split ``80/tcp`` into protocol and port; tcp where none is named."""
    port, _, protocol = text.partition("/")
    if not port:
        return "", ""
    return protocol or "tcp", port


def _split_parts(text: str) -> tuple[str, str, str]:
    """Split a specification into address, host port and container port."""
    parts = text.split(":")
    container = parts[-1]
    if len(parts) == 1:
        return "", "", container
    if len(parts) == 2:
        return "", parts[0], container
    return ":".join(parts[:-2]), parts[-2], container


def _address(text: str) -> str:
    """Check an address, with or without the brackets of IPv6."""
    if not text:
        return ""
    inner = text
    if text.startswith("["):
        if not text.endswith("]"):
            raise ValueProblem(f"invalid IP address: {text}")
        inner = text[1:-1]
    try:
        ipaddress.ip_address(inner.partition("%")[0])
    except ValueError:
        raise ValueProblem(f"invalid IP address: {text}") from None
    return inner


def parse_spec(text: str) -> list[PortMapping]:
    """Read one specification; a range gives several mappings.

    Raises ``ValueProblem``.
    """
    address, host, container = _split_parts(text)
    protocol, port = split_protocol(container)
    host_ip = _address(address)
    if not port:
        raise ValueProblem(f"no port specified: {text}<empty>")
    try:
        start, end = parse_port_range(port)
    except ValueProblem:
        raise ValueProblem(f"invalid containerPort: {port}") from None
    host_start = host_end = 0
    if host:
        try:
            host_start, host_end = parse_port_range(host)
        except ValueProblem:
            raise ValueProblem(f"invalid hostPort: {host}") from None
        # A range on the host for one port in the container lets the daemon choose from the range.
        if end - start != host_end - host_start and start != end:
            raise ValueProblem(f"invalid ranges specified for container and host Ports: {port} and {host}")
    if protocol.lower() not in _PROTOCOLS:
        raise ValueProblem(f"invalid proto: {protocol}")
    mappings = []
    for number in range(start, end + 1):
        host_port = ""
        if host:
            host_port = str(host_start + number - start)
            if start == end and host_start != host_end:
                host_port = f"{host_start}-{host_end}"
        mappings.append(PortMapping(f"{number}/{protocol.lower()}", host_ip, host_port))
    return mappings


def parse_specs(texts: Iterable[str]) -> tuple[dict[str, dict[str, str]], dict[str, list[dict[str, str]]]]:
    """Read specifications into the API's ``ExposedPorts`` and ``PortBindings``."""
    exposed: dict[str, dict[str, str]] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for text in texts:
        for mapping in parse_spec(text):
            exposed.setdefault(mapping.port, {})
            bindings.setdefault(mapping.port, []).append({"HostIp": mapping.host_ip, "HostPort": mapping.host_port})
    return exposed, bindings


def standard_notation(texts: Iterable[str]) -> list[str]:
    """Turn the long form ``target=80,published=8080`` into the short one, leaving the short one alone."""
    found = []
    for text in texts:
        if "=" not in text:
            found.append(text)
            continue
        fields = {"protocol": "tcp", "published": "", "target": ""}
        for field in text.split(","):
            name, equals, value = field.partition("=")
            if not equals:
                raise ValueProblem(f"invalid publish opts format (should be name=value but got '{field}')")
            fields[name] = value
        found.append(f"{fields['published']}:{fields['target']}/{fields['protocol']}")
    return found


def expose(texts: Iterable[str], exposed: dict[str, dict[str, str]]) -> None:
    """Add the ports of ``--expose`` to ``ExposedPorts``."""
    for text in texts:
        if ":" in text:
            raise ValueProblem(f"invalid port format for --expose: {text}")
        protocol, port = split_protocol(text)
        try:
            start, end = _exposed_range(port)
        except ValueProblem as problem:
            raise ValueProblem(f"invalid range format for --expose: {text}, error: {problem}") from None
        for number in range(start, end + 1):
            exposed.setdefault(f"{number}/{protocol}", {})


def _exposed_range(text: str) -> tuple[int, int]:
    """Read a range with the words of Go's strconv, which ``--expose`` still shows."""
    if not text:
        raise ValueProblem("empty string specified for ports")
    first, dash, last = text.partition("-")
    ends = []
    for end in (first, last if dash else first):
        if not end.isascii() or not end.isdigit():
            raise ValueProblem(f'strconv.ParseUint: parsing "{end}": invalid syntax')
        if int(end) > _MAX:
            raise ValueProblem(f'strconv.ParseUint: parsing "{end}": value out of range')
        ends.append(int(end))
    if ends[1] < ends[0]:
        raise ValueProblem(f"invalid range specified for port: {text}")
    return ends[0], ends[1]
