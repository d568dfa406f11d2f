"""The texts of ``/etc/hosts`` and ``/etc/resolv.conf`` as dockerd writes them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .records import Endpoint, SandboxRequest

__all__ = [
    "HostEntry",
    "host_entries",
    "host_file",
    "host_resolv_conf",
    "hosts_text",
    "loopback",
    "nameservers",
    "own_entries",
    "resolv_conf_text",
]

HostEntry = tuple[str, str]
"""An address and the names for it, separated by blanks."""

_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_PUBLIC_NAMESERVERS = ("8.8.8.8", "8.8.4.4")
"""What dockerd falls back on when the host names only itself."""

_STUB = "127.0.0.53"
_STUB_UPSTREAM = Path("/run/systemd/resolve/resolv.conf")


def hosts_text(entries: Iterable[HostEntry], *, base: str | None = None) -> str:
    """Give the text of /etc/hosts: Docker's head (or ``base``, the host's own), then ``entries`` in their order."""
    head = _HOSTS if base is None else base
    if head and not head.endswith("\n"):
        head += "\n"
    return head + "".join(f"{address}\t{names}\n" for address, names in entries)


def host_entries(
    request: SandboxRequest, endpoints: Iterable[Endpoint], *, gateway: str, linked: Mapping[str, str]
) -> list[HostEntry]:
    """Give the lines of /etc/hosts after Docker's head: extra hosts, links, then the container's own addresses.

    ``gateway`` stands for ``host-gateway``; ``linked`` gives the addresses of linked containers by their ids.
    """
    entries = []
    for extra in request.extra_hosts:
        name, _, address = extra.partition(":")
        entries.append((gateway if address == "host-gateway" else address, name))
    entries += [
        (linked[link.container_id].partition("/")[0], link.names)
        for link in request.links
        if link.container_id in linked
    ]
    return entries + own_entries(request.hostname, request.domainname, endpoints)


def own_entries(hostname: str, domainname: str, endpoints: Iterable[Endpoint]) -> list[HostEntry]:
    """Give the lines with a container's own addresses: its name, with and without its domain."""
    host, dot, rest = hostname.partition(".")
    name = f"{hostname}.{domainname} {hostname}" if domainname else f"{hostname} {host}" if dot and rest else hostname
    addresses = (text for endpoint in endpoints for text in (endpoint.address, endpoint.address6) if text)
    return [(address.partition("/")[0], name) for address in addresses]


def host_resolv_conf(path: Path = Path("/etc/resolv.conf")) -> str:
    """Read the host's resolver; where that is only systemd's stub, the servers behind it, as dockerd does."""
    text = host_file(path)
    if nameservers(text) == [_STUB]:
        return host_file(_STUB_UPSTREAM) or text
    return text


def nameservers(text: str) -> list[str]:
    """List the nameservers of a resolv.conf."""
    return [words[1] for words in _lines(text) if words[0] == "nameserver" and len(words) > 1]


def resolv_conf_text(
    host: str,
    *,
    dns: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    nameserver: str = "",
) -> str:
    """Give the text of /etc/resolv.conf for a container.

    ``host`` is the host's own; ``dns``, ``search`` and ``options`` take its place where given (``search`` ``.`` means
    none). Resolvers on the host's loopback are left out, because a container has a loopback of its own.
    ``nameserver`` is the network's own name server, the only one then.
    """
    servers = [nameserver] if nameserver else list(dns) or [s for s in nameservers(host) if not loopback(s)]
    lines = []
    searched = list(search) or _last(host, ("search", "domain"))
    if searched and searched != ["."]:
        lines.append(f"search {' '.join(searched)}")
    lines += [f"nameserver {server}" for server in servers or _PUBLIC_NAMESERVERS]
    chosen = list(options) or _last(host, ("options",))
    if nameserver and not any(option.startswith("ndots:") for option in chosen):
        chosen.append("ndots:0")
    if chosen:
        lines.append(f"options {' '.join(chosen)}")
    return "\n".join(lines) + "\n"


def host_file(path: str | Path) -> str:
    """Read a file of the host; a missing one is empty."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _lines(text: str) -> list[list[str]]:
    found = (line.split() for line in text.splitlines())
    return [words for words in found if words and words[0][0] not in "#;"]


def _last(text: str, keywords: Sequence[str]) -> list[str]:
    """Give the words of the last line with one of the keywords: resolvers read it that way."""
    found: list[str] = []
    for words in _lines(text):
        if words[0] in keywords:
            found = words[1:]
    return found


def loopback(server: str) -> bool:
    """Tell whether a resolver's address is on the loopback."""
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
