"""A tar from a web address, for ``docker import URL``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from pydockmagic.engine.errors import EngineError, InvalidParameter

from .transport import Endpoint, Transport

__all__ = ["fetch"]


@contextlib.asynccontextmanager
async def fetch(url: str) -> AsyncIterator[tuple[AsyncIterator[bytes], int]]:
    """Open what lies at a URL; gives its bytes, and how many there are (0: not known). Raises ``EngineError``."""
    if "://" not in url:
        url = f"http://{url}"  # as dockerd reads it
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidParameter(f'unsupported protocol scheme "{parts.scheme}": {url}')
    async with Transport(Endpoint(base=f"{parts.scheme}://{parts.netloc}")) as transport:
        response = await transport.send("GET", url)
        try:
            if response.status_code >= 400:
                raise EngineError(f"Got HTTP status code >= 400: {response.status_code} {response.reason_phrase}")
            length = response.headers.get("content-length", "")
            yield transport.raw_chunks(response), int(length) if length.isdigit() else 0
        finally:
            await response.aclose()
