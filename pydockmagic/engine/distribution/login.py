"""``POST /auth``: whether a registry takes a name and password, and the identity token that it may give for them."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydockmagic.engine.errors import EngineError, Unauthorized
from pydockmagic.oci.reference import DEFAULT_DOMAIN

from .credentials import Credentials
from .endpoints import Endpoints, Session
from .errors import RegistryRefusal, status_text
from .tokens import Authorizer

__all__ = ["login", "registry_domain"]

_HUB_NAMES = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


def registry_domain(address: str) -> str:
    """Give the domain that a server's address means: Docker Hub for none."""
    host = urlsplit(address if "://" in address else f"//{address}").netloc
    return DEFAULT_DOMAIN if host in _HUB_NAMES else host


async def login(endpoints: Endpoints, address: str, credentials: Credentials) -> str:
    """Log in; gives the identity token, if the registry has one for us. Raises ``EngineError`` in dockerd's words."""
    failure: EngineError | None = None
    for endpoint in await endpoints.of(registry_domain(address), push=True):
        try:
            async with endpoints.open(endpoint) as session:
                return await _login(session, credentials)
        except Unauthorized:
            raise
        except EngineError as error:
            failure = error
    assert failure is not None
    raise failure


async def _login(session: Session, credentials: Credentials) -> str:
    url = session.transport.url("/v2/")
    authorizer = Authorizer(session, credentials)
    refresh = ""
    bearer = next((c for c in session.challenges if c.scheme == "bearer"), None)
    if bearer is not None:
        try:
            refresh = await authorizer.identity(bearer)
        except RegistryRefusal as error:
            sentence = f'Get "{url}": {error}'
            raise (Unauthorized if error.code == "UNAUTHORIZED" else EngineError)(sentence) from None
    headers = await authorizer.headers("GET", url)
    response = await session.transport.send("GET", url, headers=headers)
    await response.aclose()
    status = response.status_code
    if status != 200:
        raise Unauthorized(f"login attempt to {url} failed with status: {status_text(status)}")
    return refresh
