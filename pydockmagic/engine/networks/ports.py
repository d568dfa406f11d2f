"""Published ports: which host port goes where, and the listening sockets, made here and passed on to a supervisor.

The sockets are bound by the engine, so that a clash is an error at once, in dockerd's words. They live on in the
container's supervisor when the engine dies.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter

__all__ = ["Bound", "PortTable", "Published", "ports_json", "requested_ports"]

_PROTOCOLS = ("tcp", "udp")
_EPHEMERAL = (32768, 60999)
_BACKLOG = 4096


class Published(msgspec.Struct, frozen=True, order=True):
    """One host port that leads to one container port."""

    proto: str
    port: int
    host_ip: str
    host_port: int


class Wanted(msgspec.Struct, frozen=True):
    """One port binding as asked for: host ports ``first`` to ``last``, 0 for any."""

    proto: str
    port: int
    host_ip: str
    first: int
    last: int


class Bound(msgspec.Struct, frozen=True):
    """A bound host port: what is published, and the sockets that listen there (both families share one number)."""

    published: Published
    listener: socket.socket


def requested_ports(
    bindings: Mapping[str, Sequence[Mapping[str, str]] | None],
    exposed: Iterable[str],
    *,
    publish_all: bool,
    host_address: str = "",
) -> list[Wanted]:
    """Read the API's PortBindings; with ``publish_all`` every exposed port without one gets any free host port.

    ``host_address`` is where those are published that name no address; empty is everywhere. Raises InvalidParameter.
    """
    wanted = []
    for key, hosts in sorted(bindings.items(), key=lambda item: _container_port(item[0])):
        proto, port = _container_port(key)
        for binding in hosts or ():
            first, last = _host_range(str(binding.get("HostPort") or ""))
            wanted.append(Wanted(proto, port, str(binding.get("HostIp") or host_address), first, last))
    if publish_all:
        given = {(want.proto, want.port) for want in wanted}
        for key in sorted(exposed, key=_container_port):
            proto, port = _container_port(key)
            if (proto, port) not in given:
                wanted.append(Wanted(proto, port, host_address, 0, 0))
    return wanted


def ports_json(published: Iterable[Published], exposed: Iterable[str]) -> dict[str, list[dict[str, str]] | None]:
    """Give ``NetworkSettings.Ports``: each published port's host ends, and null for those only exposed."""
    found: dict[str, list[dict[str, str]] | None] = {}
    for item in published:
        ends = found.setdefault(f"{item.port}/{item.proto}", [])
        assert ends is not None
        ends.append({"HostIp": item.host_ip, "HostPort": str(item.host_port)})
    for key in exposed:
        proto, port = _container_port(key)
        found.setdefault(f"{port}/{proto}", None)
    return found


class PortTable:
    """Which host ports this engine has given away."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str, int], str] = {}
        self._next = _EPHEMERAL[0]

    def remember(self, container_id: str, published: Iterable[Published]) -> None:
        """Take over what an earlier engine gave away; its sockets are with the supervisor."""
        for item in published:
            self._taken[item.proto, item.host_ip, item.host_port] = container_id

    def release(self, container_id: str) -> None:
        """Forget every port of a container."""
        self._taken = {key: holder for key, holder in self._taken.items() if holder != container_id}

    def bind(self, container_id: str, wanted: Sequence[Wanted]) -> list[Bound]:
        """Bind every port that is asked for, or none. Raises EngineError in dockerd's words."""
        bound: list[Bound] = []
        try:
            for want in wanted:
                bound += self._bind_one(container_id, want)
        except BaseException:
            for item in bound:
                item.listener.close()
            self.release(container_id)
            raise
        return bound

    def _bind_one(self, container_id: str, want: Wanted) -> list[Bound]:
        addresses = [want.host_ip] if want.host_ip else ["0.0.0.0", *(["::"] if _has_ipv6() else [])]  # noqa: S104
        ephemeral = want.first == 0
        candidates = self._ephemeral() if ephemeral else iter(range(want.first, want.last + 1))
        refusal: EngineError | None = None
        for number in candidates:
            try:
                found = self._bind_number(want, addresses, number)
            except EngineError as error:
                refusal = refusal or error
                if isinstance(error, _HopelessError):
                    break
                continue
            for item in found:
                self._taken[want.proto, item.published.host_ip, number] = container_id
            if ephemeral:
                self._next = number + 1
            return found
        raise refusal or EngineError("all ports are allocated")

    def _bind_number(self, want: Wanted, addresses: Sequence[str], number: int) -> list[Bound]:
        for address in addresses:
            if self._clashes(want.proto, address, number):
                raise EngineError(f"Bind for {_joined(address, number)} failed: port is already allocated")
        found: list[Bound] = []
        for address in addresses:
            try:
                listener = _listen(want.proto, address, number)
            except OSError as error:
                if found and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue  # no IPv6 after all
                for item in found:
                    item.listener.close()
                raise _refused(want.proto, address, number, error) from error
            found.append(Bound(Published(want.proto, want.port, address, number), listener))
        return found

    def _clashes(self, proto: str, address: str, number: int) -> bool:
        family = ":" in address
        anywhere = ("0.0.0.0", "::")  # noqa: S104
        return any(
            kind == proto and port == number and (":" in other) == family
            and (other == address or other in anywhere)
            for kind, other, port in self._taken
        )  # fmt: skip

    def _ephemeral(self) -> Iterable[int]:
        first, last = _ephemeral_range()
        start = self._next if first <= self._next <= last else first
        return iter([*range(start, last + 1), *range(first, start)])


class _HopelessError(EngineError):
    """Another port of the range would be refused for the same reason."""


def _listen(proto: str, address: str, number: int) -> socket.socket:
    if proto not in _PROTOCOLS:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    listener = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if proto == "tcp":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, number))
        if proto == "tcp":
            listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _refused(proto: str, address: str, number: int, error: OSError) -> EngineError:
    if error.errno == errno.EPROTONOSUPPORT:  # what dockerd says of SCTP where the kernel has none
        return _HopelessError("Error starting userland proxy: protocol not supported")
    family = "6" if ":" in address else "4"
    reason = {errno.EADDRNOTAVAIL: "cannot assign requested address"}.get(
        error.errno or 0, os.strerror(error.errno or 0).lower()
    )
    sentence = f"Error starting userland proxy: listen {proto}{family} {_joined(address, number)}: bind: {reason}"
    if error.errno == errno.EACCES:
        start = _unprivileged_start()
        sentence += f" (an ordinary user may publish ports from {start} on: choose a host port of at least {start})"
        return _HopelessError(sentence)
    return (_HopelessError if error.errno == errno.EADDRNOTAVAIL else EngineError)(sentence)


def _joined(address: str, number: int) -> str:
    return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"


def _container_port(key: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\d+)(?:/(\w+))?", key)
    if match is None or not 0 < int(match[1]) < 65536:
        raise InvalidParameter(f"invalid port specification: {key!r}")
    proto = (match[2] or "tcp").lower()
    if proto not in _PROTOCOLS and proto != "sctp":
        raise InvalidParameter(f"invalid proto: {proto}")
    return proto, int(match[1])


def _host_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(?:(\d+)(?:-(\d+))?)?", text)
    if match is None:
        raise InvalidParameter(f"invalid port specification: {text!r}")
    first = int(match[1] or 0)
    last = int(match[2] or first)
    if last < first or last > 65535:
        raise InvalidParameter(f"invalid port specification: {text!r}")
    return first, last


def _has_ipv6() -> bool:
    return Path("/proc/net/if_inet6").exists()


def _ephemeral_range() -> tuple[int, int]:
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return _EPHEMERAL


def _unprivileged_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024
