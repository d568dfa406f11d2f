"""What a request carries so that the registry lets it pass: nothing, a name and password, or a token.

Docker Registry v2 authentication ("Token Authentication Specification", "OAuth2 Token Authentication"). A token is for
certain scopes and runs out: it is renewed before, and once more where the registry refuses it all the same.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from pydockmagic.engine.errors import EngineError

from .challenge import Challenge
from .credentials import Credentials
from .endpoints import Session
from .errors import NoCredentials, read_limited, refusal_of

__all__ = ["Authorizer", "Token", "basic_header"]

_MAX_TOKEN = 1 << 18
_SHORTEST = 60
_EARLY = 10.0
"""Seconds before its end at which a token is renewed."""
_CLIENT_ID = "docker"


class Token(msgspec.Struct, frozen=True):
    """What a token server gave, and when (monotonic seconds) it has to be asked again."""

    text: str
    until: float
    refresh: str = ""


class Authorizer:
    """The authorization of one client at one registry, for some scopes."""

    def __init__(self, session: Session, credentials: Credentials, scopes: Sequence[str] = ()) -> None:
        self._session = session
        self._credentials = credentials
        self._scopes = tuple(scopes)
        self._token: Token | None = None

    def widen(self, scope: str) -> None:
        """Ask for one more scope from now on."""
        if scope not in self._scopes:
            self._scopes = (*self._scopes, scope)
            self._token = None

    async def headers(self, method: str, url: str) -> dict[str, str]:
        """Give the headers for a request. Raises ``NoCredentials``, or the token server's refusal."""
        if urlsplit(url).netloc != urlsplit(self._session.base).netloc:
            return {}  # an upload that goes on elsewhere is none of the registry's
        if self._credentials.registry_token:
            return {"Authorization": f"Bearer {self._credentials.registry_token}"}
        for challenge in self._session.challenges:
            if challenge.scheme == "bearer":
                return {"Authorization": f"Bearer {await self._bearer(challenge)}"}
            if challenge.scheme == "basic":
                if not self._credentials.basic:
                    raise NoCredentials(method, url)
                return {"Authorization": basic_header(self._credentials)}
        return {}

    def forget(self, refused: str) -> bool:
        """Drop the token of an ``Authorization`` that was refused; tell whether another try may do better.

        Another request, refused at the same time, may have dropped or renewed it already.
        """
        if self._credentials.registry_token or not refused.startswith("Bearer "):
            return False
        if self._token is not None and refused == f"Bearer {self._token.text}":
            self._token = None
        return True

    async def _bearer(self, challenge: Challenge) -> str:
        if self._token is None or self._token.until <= time.monotonic():
            self._token = await self.fetch(challenge)
        return self._token.text

    async def identity(self, challenge: Challenge) -> str:
        """Get a token now, and an identity token besides, which is given."""
        self._token = await self.fetch(challenge, offline=True)
        return self._token.refresh

    async def fetch(self, challenge: Challenge, *, offline: bool = False) -> Token:
        """Ask the token server; ``offline`` for an identity token besides."""
        realm = challenge.parameters.get("realm", "")
        service = challenge.parameters.get("service", "")
        if urlsplit(realm).scheme not in ("http", "https"):
            raise EngineError(f'no supported scheme in the token server\'s address "{realm}"')
        if realm.startswith("http:") and self._session.base.startswith("https:") and not self._insecure:
            raise EngineError(f'the token server "{realm}" would be sent credentials in the clear')
        if self._credentials.identity_token:
            return await self._by_refresh(realm, service)
        pairs = [("service", service)] if service else []
        pairs += [("scope", scope) for scope in self._scopes]
        headers = {}
        if self._credentials.basic:
            pairs.append(("account", self._credentials.username))
            headers["Authorization"] = basic_header(self._credentials)
        if offline:
            pairs += [("offline_token", "true"), ("client_id", _CLIENT_ID)]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(sorted(pairs))}" if pairs else realm
        response = await self._session.transport.send("GET", url, headers=headers)
        return await _token_in(response)

    @property
    def _insecure(self) -> bool:
        return self._session.transport.endpoint.insecure

    async def _by_refresh(self, realm: str, service: str) -> Token:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self._credentials.identity_token,
            "service": service,
            "client_id": _CLIENT_ID,
            "scope": " ".join(self._scopes),
        }
        response = await self._session.transport.send("POST", realm, data=form)
        return await _token_in(response)


async def _token_in(response: Any) -> Token:
    if response.status_code != 200:
        raise await refusal_of(response)
    try:
        body = await read_limited(response, _MAX_TOKEN)
    finally:
        await response.aclose()
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise EngineError(f"unable to decode token response: {error}") from None
    text = document.get("token") or document.get("access_token")
    if not isinstance(text, str) or not text:
        raise EngineError("authorization server did not include a token in the response")
    lasts = document.get("expires_in")
    seconds = max(lasts if isinstance(lasts, (int, float)) else 0, _SHORTEST)
    refresh = document.get("refresh_token")
    return Token(text, time.monotonic() + seconds - _EARLY, refresh if isinstance(refresh, str) else "")


def basic_header(credentials: Credentials) -> str:
    """Give the header's value for a name and password (RFC 7617)."""
    return "Basic " + b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
