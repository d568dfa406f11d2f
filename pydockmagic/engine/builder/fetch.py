"""ADD of an URL: downloading one file over http or https, in a thread."""

from __future__ import annotations

import hashlib
import posixpath
import socket
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus

from pydockmagic.engine.errors import EngineError

from .sources import Source, text_source

__all__ = ["fetch"]

_TIMEOUT = 30.0
_LARGEST = 1 << 30


def fetch(url: str, destination: str, checksum: str) -> Source:
    """Download a file. Blocks. Raises EngineError in Docker's words."""
    name = posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    if not name and destination.endswith("/"):
        raise EngineError(f"cannot determine filename from url: {url}")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - http and https only, see is_url
            content = answer.read(_LARGEST + 1)
    except urllib.error.HTTPError as error:
        phrase = HTTPStatus(error.code).phrase if error.code in HTTPStatus._value2member_map_ else ""
        raise EngineError(f"failed to GET {url} with status {error.code} {phrase}".rstrip()) from None
    except (OSError, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        raise EngineError(f'Get "{url}": {_cause(cause, url)}') from None
    if len(content) > _LARGEST:
        raise EngineError(f'Get "{url}": the file is larger than {_LARGEST} bytes')
    if checksum and checksum != f"sha256:{hashlib.sha256(content).hexdigest()}":
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        raise EngineError(f"digest mismatch {found}: {checksum}")
    return text_source(name or "file", content, url=True)


def _cause(cause: object, url: str) -> str:
    """Say why there was no answer, the way Go does."""
    host = urllib.parse.urlsplit(url).hostname or ""
    if isinstance(cause, socket.gaierror):
        return f"dial tcp: lookup {host}: no such host"
    if isinstance(cause, TimeoutError):
        return f"dial tcp {host}: i/o timeout"
    if isinstance(cause, OSError) and cause.strerror:
        return f"dial tcp {host}: connect: {cause.strerror.lower()}"
    return str(cause)
