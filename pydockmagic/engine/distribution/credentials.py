"""Who asks: the credentials that a client sends along in ``X-Registry-Auth`` and ``POST /auth``.

Engine API v1.50, "Authentication": a JSON object in URL-safe base64. What cannot be read counts as nothing, as in
dockerd: a pull of a public image needs none.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["ANONYMOUS", "Credentials", "credentials_of", "decode_header"]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A user's name and password, or an identity token that stands for both, or a ready token for the registry."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def basic(self) -> bool:
        """Whether there are a name and a password."""
        return bool(self.username and self.password)


ANONYMOUS = Credentials()


def decode_header(text: str) -> dict[str, Any]:
    """Read ``X-Registry-Auth`` or ``X-Registry-Config``; an empty object for what cannot be read."""
    padded = text + "=" * (-len(text) % 4)
    try:
        document = msgspec.json.decode(urlsafe_b64decode(padded.encode("ascii", "replace")))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return {}
    return document if isinstance(document, dict) else {}


def credentials_of(document: Mapping[str, Any] | None) -> Credentials:
    """Take the credentials out of a decoded header or body."""

    def text(name: str) -> str:
        value = (document or {}).get(name)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if not username and not password and text("auth"):
        username, password = _split(text("auth"))
    return Credentials(
        username=username,
        password=password,
        identity_token=text("identitytoken"),
        registry_token=text("registrytoken"),
    )


def _split(auth: str) -> tuple[str, str]:
    try:
        name, _, password = b64decode(auth).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password.rstrip("\0")
