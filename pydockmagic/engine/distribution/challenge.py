"""What a registry wants to be shown: the ``WWW-Authenticate`` header, read as RFC 9110, section 11.6.1, writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Challenge", "challenges_of"]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - the grammar's word
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|\s*$|\s*(?=,))")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Challenge:
    """One scheme (in lower case) with its parameters."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def challenges_of(headers: Iterable[str]) -> list[Challenge]:
    """Read all challenges of an answer; what cannot be read is left out."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = 0
    while at < len(header):
        parameter = _PARAMETER.match(header, at)
        if parameter and found:
            quoted, plain = parameter[2], parameter[3]
            value = plain if quoted is None else _ESCAPE.sub(r"\1", quoted)
            found[-1].parameters.setdefault(parameter[1].lower(), value)
            at = parameter.end()
        else:
            scheme = _SCHEME.match(header, at)
            if not scheme:
                return found
            found.append(Challenge(scheme[1].lower()))
            at = scheme.end()
        while at < len(header) and header[at] in ", \t":
            at += 1
    return found
