"""From the domain of a name to the addresses to try, in dockerd's order, and what is remembered of them.

Docker Hub: its mirrors, then itself. Any other registry: https, then http where it may do without TLS (the loopback,
and what ``--insecure-registry`` names).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from pydockmagic.engine.errors import EngineError, Unavailable
from pydockmagic.oci.reference import DEFAULT_DOMAIN

from .challenge import Challenge, challenges_of
from .errors import Unreachable
from .options import RegistryOptions
from .transport import Endpoint, Transport

__all__ = ["Endpoints", "Session"]

_HUB_PATIENCE = 3.0
_LOOKUP = 3.0
_MEMORY = 30.0
"""Seconds for which a Docker Hub that could not be reached is not asked again."""


class Session:
    """An endpoint that answered, with what it wants to be shown."""

    def __init__(self, transport: Transport, challenges: list[Challenge]) -> None:
        self.transport = transport
        self.challenges = challenges

    @property
    def base(self) -> str:
        """Its address."""
        return self.transport.endpoint.base


class Endpoints:
    """The addresses of all registries; one for an engine."""

    def __init__(self, options: RegistryOptions) -> None:
        self._options = options
        self._down: dict[str, tuple[float, str]] = {}
        self._confirmed_tls: set[str] = set()

    async def of(self, domain: str, *, push: bool = False) -> list[Endpoint]:
        """List the endpoints of a domain. Raises ``Unavailable`` where Docker Hub is not to be asked."""
        options = self._options
        if domain == DEFAULT_DOMAIN:
            if not options.hub:
                raise Unavailable("Docker Hub is not asked by this engine")
            mirrors = () if push else options.mirrors
            found = [await self._endpoint(mirror, mirror=True) for mirror in mirrors]
            return [*found, await self._endpoint(options.hub)]
        insecure = await self._is_insecure(domain)
        schemes = ("https", "http") if insecure and domain not in self._confirmed_tls else ("https",)
        return [await self._endpoint(f"{scheme}://{domain}", insecure=insecure) for scheme in schemes]

    async def index(self, domain: str) -> list[Endpoint]:
        """List the endpoints that a domain is searched and logged in to."""
        if domain != DEFAULT_DOMAIN:
            return await self.of(domain)
        if not self._options.index:
            raise Unavailable("Docker Hub is not asked by this engine")
        return [await self._endpoint(self._options.index)]

    async def _endpoint(self, base: str, *, insecure: bool | None = None, mirror: bool = False) -> Endpoint:
        host = urlsplit(base).netloc
        ours = base in (self._options.hub, self._options.index) or mirror
        return Endpoint(
            base=base,
            insecure=await self._is_insecure(host) if insecure is None else insecure,
            patience=_HUB_PATIENCE if ours else 10.0,
            certificates=tuple(folder / host for folder in self._options.certificates),
            direct=_is_loopback(host),
            mirror=mirror,
        )

    async def _is_insecure(self, host: str) -> bool:
        """Tell whether a host may do without a certificate: named so, or with an address in a network named so."""
        if host in self._options.insecure_hosts:
            return True
        name = urlsplit(f"//{host}").hostname or ""
        if _is_loopback(host):
            return True
        networks = [ipaddress.ip_network(text) for text in self._options.insecure_networks]
        return any(address in network for address in await _addresses(name) for network in networks)

    @contextlib.asynccontextmanager
    async def open(self, endpoint: Endpoint) -> AsyncIterator[Session]:
        """Greet an endpoint (``GET /v2/``) and give what comes of it. Raises ``Unreachable``."""
        self._check_down(endpoint)
        async with Transport(endpoint) as transport:
            url = transport.url("/v2/")
            try:
                response = await transport.send("GET", url, patience=endpoint.patience)
            except Unreachable as error:
                if endpoint.base == self._options.hub:
                    self._down[endpoint.base] = (time.monotonic() + _MEMORY, str(error))
                raise
            self._down.pop(endpoint.base, None)
            if endpoint.base.startswith("https:"):
                self._confirmed_tls.add(endpoint.base.removeprefix("https://"))
            challenges = challenges_of(response.headers.get_list("www-authenticate"))
            wants = challenges if response.status_code == 401 else []
            await response.aclose()
            yield Session(transport, wants)

    def _check_down(self, endpoint: Endpoint) -> None:
        until, reason = self._down.get(endpoint.base, (0.0, ""))
        if until > time.monotonic():
            raise Unreachable(reason)

    @contextlib.asynccontextmanager
    async def connect(self, domain: str, *, push: bool = False) -> AsyncIterator[Session]:
        """Give a session with the first endpoint of a domain that answers; the last one's error if none does."""
        failure: EngineError | None = None
        for endpoint in await self.of(domain, push=push):
            async with contextlib.AsyncExitStack() as stack:
                try:
                    session = await stack.enter_async_context(self.open(endpoint))
                except Unreachable as error:
                    failure = error
                    continue
                yield session
                return
        assert failure is not None
        raise failure


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _addresses(name: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [ipaddress.ip_address(name)]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(_LOOKUP):
            found = await asyncio.get_running_loop().getaddrinfo(name, None)
    except (OSError, TimeoutError):
        return []
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
