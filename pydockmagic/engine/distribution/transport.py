"""HTTP to one registry endpoint: a connection pool that lives as long as one pull or push.

httpx is loaded with the first request to a registry: an engine that never asks one does without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from pydockmagic.engine.errors import EngineError
from pydockmagic.loading import load_httpx
from pydockmagic.version import __version__

from .errors import Unreachable, unreachable

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["Endpoint", "Transport"]

_CONNECT = 15.0
_SILENCE = 60.0
"""Seconds without a byte after which a transfer counts as broken."""
_MAX_REDIRECTS = 10


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One address of a registry: ``base`` is scheme, host and port."""

    base: str
    insecure: bool = False
    """Whether any certificate will do."""
    patience: float = 10.0
    """Seconds that its first answer may take."""
    certificates: tuple[Path, ...] = ()
    """Folders with authorities (``*.crt``) and client certificates (``*.cert`` with ``*.key``) for this host."""
    direct: bool = False
    """Whether no proxy may stand between: on the loopback."""
    mirror: bool = False


def _quiet_httpx() -> ModuleType:
    """Give httpx, which does not log: it would write every address into the engine's log, with what it is signed by."""
    module = load_httpx()
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return module


class Transport:
    """Requests to one endpoint (and to where it sends them); an async context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: httpx.AsyncClient | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._client = await asyncio.to_thread(_client, self.endpoint)
        await self._stack.enter_async_context(self._client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def url(self, path: str) -> str:
        """Give the whole URL of a path; one that is whole already stays as it is."""
        return path if "://" in path else self.endpoint.base + path

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        data: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> httpx.Response:
        """Send a request, follow redirects and give the answer with its body unread: the caller closes it.

        Credentials go to the registry's own host only: a redirect elsewhere (a blob's) loses them. Raises
        ``Unreachable``.
        """
        import httpx  # noqa: PLC0415 - loaded by now

        assert self._client is not None, "the transport is entered first"
        try:
            request = self._client.build_request(method, url, headers=headers, content=content, data=data)
            async with asyncio.timeout(patience):
                return await self._client.send(request, stream=True)
        except TimeoutError:
            raise unreachable(method, url, httpx.ConnectTimeout("")) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise EngineError(f'{method.capitalize()} "{url}": {error}') from None
        except httpx.TooManyRedirects:
            raise EngineError(f'{method.capitalize()} "{url}": stopped after {_MAX_REDIRECTS} redirects') from None
        except httpx.HTTPError as error:
            raise unreachable(method, url, error) from error

    async def raw_chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Give the bytes of a body as they come. Raises ``Unreachable`` where it breaks off."""
        import httpx  # noqa: PLC0415 - loaded by now

        try:
            async for chunk in response.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            raise Unreachable("unexpected EOF") from error


def _client(endpoint: Endpoint) -> httpx.AsyncClient:
    module = _quiet_httpx()
    verify: Any = _tls(endpoint) if endpoint.base.startswith("https:") else False
    # Nothing is unpacked on the way: digests are those of what was sent.
    headers = {"User-Agent": f"pydockmagic/{__version__} (linux)", "Accept-Encoding": "identity"}
    client: httpx.AsyncClient = module.AsyncClient(
        verify=verify,
        headers=headers,
        timeout=module.Timeout(_SILENCE, connect=_CONNECT),
        follow_redirects=True,
        max_redirects=_MAX_REDIRECTS,
        trust_env=not endpoint.direct,
    )
    return client


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    """Make the TLS side of an endpoint: the machine's authorities, those of its ``certs.d``, client certificates."""
    import ssl  # noqa: PLC0415 - loading certificates takes as long as an exec

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if endpoint.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = _quiet_httpx().create_ssl_context()
        with contextlib.suppress(OSError, ssl.SSLError):
            context.load_default_certs()
    for folder in endpoint.certificates:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                if path.suffix == ".crt":
                    context.load_verify_locations(cafile=path)
                elif path.suffix == ".cert":
                    key = path.with_suffix(".key")
                    if not key.exists():
                        raise EngineError(
                            f"missing key {key.name} for client certificate {path.name}. "
                            "Note that CA certificates should use the extension .crt"
                        )
                    context.load_cert_chain(path, key)
            except (OSError, ssl.SSLError) as error:
                raise EngineError(f"error reading {path}: {error}") from None
    return context
