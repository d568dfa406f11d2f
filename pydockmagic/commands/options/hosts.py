"""``--add-host``, ``--dns``, ``--dns-search`` and ``-H``: names and addresses (docker/cli, opts/hosts.go, opts.go)."""

from __future__ import annotations

import ipaddress
import re

from pydockmagic.commands.grammar.kinds import ValueProblem

__all__ = ["check_dns", "check_dns_search", "check_extra_host"]

_ALPHABETIC = re.compile(r"[a-zA-Z]")
_DOMAIN = re.compile(
    r"^(:?(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9]))(:?\.(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])))*)\.?\s*$"
)
_LONGEST_DOMAIN = 255


def check_dns(text: str) -> str:
    """Check a ``--dns`` address and write it in the usual form."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise ValueProblem(f"IP address is not correctly formatted: {text}") from None


def check_dns_search(text: str) -> str:
    """Check a ``--dns-search`` domain; ``.`` alone means none."""
    domain = text.strip(" ")
    if domain == ".":
        return domain
    match = _DOMAIN.match(domain) if _ALPHABETIC.search(domain) else None
    if match and len(match[1]) < _LONGEST_DOMAIN:
        return match[1]
    raise ValueProblem(f"{domain} is not a valid domain")


def check_extra_host(text: str) -> str:
    """Check an ``--add-host`` value, ``HOST:IP`` or ``HOST=IP``, and write it as the API takes it."""
    name, equals, address = text.partition("=")
    if not equals:
        name, colon, address = text.partition(":")
        if not colon:
            raise ValueProblem(f'bad format for add-host: "{text}"')
    if not name or ":" in name:
        raise ValueProblem(f'bad format for add-host: "{text}"')
    bare = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    if bare != "host-gateway":
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise ValueProblem(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{bare}"
