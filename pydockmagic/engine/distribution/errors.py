"""What goes wrong with a registry, in Docker's words.

    EngineError
    ├── Unreachable        500   nobody answered, or the connection broke: worth another try
    ├── NoCredentials      500   the registry wants credentials and none were given
    └── RegistryRefusal    500   the registry answered with an error (its own status is ``http_status``)

The documents of errors are those of the distribution specification ("Error codes"); the sentences around them are
dockerd's (moby, distribution/errors.go; docker/distribution, registry/client/errors.go).
"""

from __future__ import annotations

import errno
import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from pydockmagic.engine.errors import EngineError, NotFound

from .challenge import challenges_of

if TYPE_CHECKING:
    import httpx

    from pydockmagic.oci.reference import Reference

__all__ = [
    "NoCredentials",
    "RegistryRefusal",
    "Unreachable",
    "pull_error",
    "read_limited",
    "refusal_of",
    "status_text",
    "unreachable",
    "worth_retrying",
]

_MAX_ERROR = 1 << 16
_BEARER_ERRORS = {
    "invalid_token": ("UNAUTHORIZED", "authentication required"),
    "insufficient_scope": ("DENIED", "requested access to the resource is denied"),
}


class Unreachable(EngineError):
    """Nobody answered, or the connection broke."""


class NoCredentials(EngineError):
    """The registry wants credentials; ``reason`` is the sentence without the request that it came of."""

    def __init__(self, method: str, url: str, reason: str = "no basic auth credentials") -> None:
        super().__init__(f'{method.capitalize()} "{url}": {reason}')
        self.reason = reason


class RegistryRefusal(EngineError):
    """The registry's answer was an error; ``code`` is the first of its error codes (``MANIFEST_UNKNOWN``)."""

    def __init__(self, message: str, http_status: int, code: str = "", first: str = "") -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.first = first or message


def worth_retrying(error: EngineError) -> bool:
    """Tell whether the same request may well succeed in a moment."""
    if isinstance(error, RegistryRefusal):
        return error.http_status >= 500 or error.http_status in (408, 429)
    return isinstance(error, Unreachable)


def pull_error(error: EngineError, reference: Reference) -> EngineError:
    """Give the error that dockerd makes of a registry's refusal of a pull."""
    if not isinstance(error, RegistryRefusal):
        return error
    if error.code == "DENIED":
        return NotFound(
            f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
            f"'docker login': {error.first}"
        )
    if error.code == "MANIFEST_UNKNOWN":
        return NotFound(f"manifest for {reference.familiar} not found: {error.first}")
    if error.code == "NAME_UNKNOWN":
        return NotFound(f"repository {reference.familiar_name} not found: {error.first}")
    return error


async def read_limited(response: httpx.Response, limit: int) -> bytes:
    """Read a whole body of at most ``limit`` bytes; raises ``EngineError`` for a longer one."""
    parts: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > limit:
            raise EngineError(f"the answer of {response.request.url} is too long: more than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


async def refusal_of(response: httpx.Response) -> RegistryRefusal:
    """Read what a registry complains of, and close its answer."""
    status = response.status_code
    try:
        if not 400 <= status < 500:
            return RegistryRefusal(f"received unexpected HTTP status: {status_text(status)}", status)
        try:
            body = await read_limited(response, _MAX_ERROR)
        except EngineError:
            body = b""
    finally:
        await response.aclose()
    found = _errors_in(body, status)
    for challenge in challenges_of(response.headers.get_list("www-authenticate")):
        known = _BEARER_ERRORS.get(challenge.parameters.get("error", ""))
        if challenge.scheme == "bearer" and known:
            code, text = known
            found = [(code, challenge.parameters.get("error_description") or text), *(found or [])]
            break
    if not found:
        return _unparsed(status, body)
    texts = [_sentence(code, message) for code, message in found]
    message = texts[0] if len(texts) == 1 else "errors:\n" + "\n".join(texts) + "\n"
    return RegistryRefusal(message, status, found[0][0], texts[0])


def _errors_in(body: bytes, status: int) -> list[tuple[str, str]]:
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        return []
    if not isinstance(document, dict):
        return []
    if details := document.get("details"):
        # Docker Hub's token server answers so
        return [({401: "UNAUTHORIZED", 429: "TOOMANYREQUESTS"}.get(status, "UNKNOWN"), str(details))]
    errors = document.get("errors")
    if not isinstance(errors, list):
        return []
    return [(str(e.get("code", "UNKNOWN")), str(e.get("message", ""))) for e in errors if isinstance(e, dict)]


def _unparsed(status: int, body: bytes) -> RegistryRefusal:
    if status == 401:
        return RegistryRefusal("unauthorized: authentication required", status, "UNAUTHORIZED")
    text = body.decode(errors="replace")
    if not text.startswith("{"):
        shown = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        first = (
            "unexpected end of JSON input"
            if not text
            else f"invalid character '{text[0]}' looking for beginning of value"
        )
        return RegistryRefusal(f'error parsing HTTP {status} response body: {first}: "{shown}"', status)
    shown = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return RegistryRefusal(
        f'error parsing HTTP {status} response body: no error details found in HTTP response body: "{shown}"', status
    )


def _sentence(code: str, message: str) -> str:
    words = code.lower().replace("_", " ")
    return f"{words}: {message}" if message else words


def status_text(status: int) -> str:
    """Give a status with its phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def unreachable(method: str, url: str, error: BaseException) -> Unreachable:
    """Say why nobody answered, as Go's HTTP client does."""
    return Unreachable(f'{method.capitalize()} "{url}": {_reason(url, error)}')


def _reason(url: str, error: BaseException) -> str:
    host, port = _place(url)
    for cause in _causes(error):
        name = type(cause).__name__
        if name == "gaierror":
            return f"dial tcp: lookup {host}: no such host"
        if name == "SSLCertVerificationError":
            return f"tls: failed to verify certificate: x509: {_certificate(cause)}"
        if name == "SSLError":
            if any(word in str(cause) for word in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")):
                return "http: server gave HTTP response to HTTPS client"
            return f"remote error: tls: {str(cause).partition(']')[2].partition('(')[0].strip() or cause}"
        if name in ("ConnectTimeout", "PoolTimeout"):
            return f"dial tcp {_bracketed(host)}:{port}: i/o timeout"
        if name in ("ReadTimeout", "WriteTimeout"):
            return "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
        if name in ("RemoteProtocolError", "ReadError", "WriteError"):
            return "EOF"
        if isinstance(cause, OSError) and cause.errno:
            text = "connection refused" if cause.errno == errno.ECONNREFUSED else os.strerror(cause.errno).lower()
            return f"dial tcp {_bracketed(host)}:{port}: connect: {text}"
    return str(error) or type(error).__name__


def _causes(error: BaseException) -> list[BaseException]:
    """List an error's causes, the deepest first: they say most."""
    found: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        one = queue.pop(0)
        if one is None or one in found:
            continue
        found.append(one)
        queue += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            queue += list(one.exceptions)
    return list(reversed(found))


def _certificate(error: BaseException) -> str:
    text = str(getattr(error, "verify_message", "") or error)
    if "self-signed" in text or "self signed" in text or "unable to get local issuer" in text:
        return "certificate signed by unknown authority"
    if "expired" in text:
        return "certificate has expired or is not yet valid"
    return text


def _place(url: str) -> tuple[str, int]:
    from urllib.parse import urlsplit  # noqa: PLC0415 - only for a sentence that is seldom needed

    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
