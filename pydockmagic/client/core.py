"""Requests to a Docker daemon: versions, parameters, errors. The calls themselves are in the modules beside this one.

The API version is negotiated as the docker command does it: ``HEAD /_ping`` tells the newest version that the server
speaks in its ``Api-Version`` header, and the lower of that and ours goes into every path.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from pydockmagic.loading import load_httpx

from .address import EngineAddress
from .errors import ApiError, ClientError, ConnectionFailed, StreamInterrupted, api_error
from .streams import ByteStream, FrameStream, Hijacked, JsonStream, PendingAnswer, lost
from .transport import base_url, open_transport

if TYPE_CHECKING:
    import httpx

__all__ = ["API_VERSION", "MINIMUM_API_VERSION", "Core", "Filters", "Parameters", "encode_filters", "path_part"]

API_VERSION = "1.50"
MINIMUM_API_VERSION = "1.24"
_NO_NEGOTIATION = "1.24"  # what a server that names no version speaks
_CONNECTING = 30.0
PATIENCE = 15.0

Parameter = str | int | bool | None | Sequence[str]
Parameters = Mapping[str, Parameter]
Filters = Mapping[str, Iterable[str]]
Body = bytes | Iterable[bytes] | None


def path_part(text: str, kind: str = "") -> str:
    """Quote a name for use in a path, keeping the slashes and colons that image names have.

    A name of dots would be taken for a way through the path, to something else than what was asked for; so would an
    empty one, for which ``ClientError`` is raised in the docker command's words, where the ``kind`` of thing is given.
    """
    if kind and not text.strip():
        raise ClientError(f"invalid {kind} name or ID: value is empty")
    parts = quote(text, safe="/:@").split("/")
    return "/".join(part.replace(".", "%2E") if part in (".", "..") else part for part in parts)


def container_path(container: str, action: str = "") -> str:
    """Return the path of a container, or of what is asked of it. Raises ``ClientError`` for an empty name."""
    path = f"/containers/{path_part(container, 'container')}"
    return f"{path}/{action}" if action else path


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _query(parameters: Parameters | None) -> str:
    """Write parameters in Docker's way: absent when false or empty, 1 when true, repeated for lists, JSON filters."""
    if not parameters:
        return ""
    pairs: list[tuple[str, str]] = []
    for key in sorted(parameters):
        value = parameters[key]
        if value is None or value is False or value == "":
            continue
        if value is True:
            pairs.append((key, "1"))
        elif isinstance(value, (str, int)):
            pairs.append((key, str(value)))
        else:
            pairs.extend((key, item) for item in value)
    return "?" + urlencode(pairs) if pairs else ""


def encode_filters(filters: Filters | None) -> str | None:
    """Write filters as the API takes them: ``{"name": {"value": true}}``."""
    if not filters:
        return None
    return json.dumps({key: dict.fromkeys(values, True) for key, values in filters.items()}, separators=(",", ":"))


class Core:
    """The connection to one daemon: negotiates once, then requests, streams and hijacks.

    ``transport`` replaces the network (``httpx.MockTransport`` in tests).
    """

    def __init__(
        self,
        address: EngineAddress,
        *,
        transport: httpx.BaseTransport | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address
        self._transport = transport
        # No compression: streams are read raw, and a socket on this machine has nothing to gain.
        self._headers = {"User-Agent": "pydockmagic", "Accept-Encoding": "identity", **(headers or {})}
        self._http: httpx.Client | None = None
        self._version: str | None = None
        self._features: frozenset[str] | None = None
        self._hurry = threading.local()
        self.patience = PATIENCE
        """Seconds of silence after which the daemon is asked whether it is still there; as many it has to answer."""
        self.server_headers: Mapping[str, str] = {}

    def close(self) -> None:
        """Close idle connections; streams that are still open are ended."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def wake(self, thread: int) -> None:
        """Break the connection that another thread waits at, if it does: its request ends with ``ConnectionLost``."""
        wake = getattr(getattr(self._http, "_transport", None), "wake", None)
        if wake is not None:
            wake(thread)

    @contextmanager
    def hurried(self, seconds: float) -> Iterator[None]:
        """Give the daemon no more than so many seconds for each answer, for what this thread asks inside."""
        self._hurry.seconds = seconds
        try:
            yield
        finally:
            self._hurry.seconds = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def api_version(self) -> str:
        """The negotiated version; asks the server the first time."""
        if self._version is None:
            self._version = self._negotiate()
        return self._version

    def at_least(self, version: str) -> bool:
        """Whether the negotiated version is this one or newer."""
        return _number(self.api_version) >= _number(version)

    def _negotiate(self) -> str:
        response = self._send("HEAD", "/_ping")
        self.server_headers = response.headers
        offered = response.headers.get("api-version", "")
        try:
            number = _number(offered)
        except ValueError:
            return _NO_NEGOTIATION
        if number < _number(MINIMUM_API_VERSION):
            raise ClientError(
                f"the daemon at {self.address} speaks API version {offered}; "
                f"{MINIMUM_API_VERSION} is the oldest that this client understands"
            )
        return offered if number < _number(API_VERSION) else API_VERSION

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        json_body: Any = None,
        content: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Make one request and return its JSON (``None`` where the answer has no body).

        ``path`` comes without the version. Raises an ``ApiError`` for an answer of 400 and above, ``ConnectionFailed``
        where nobody answers.
        """
        response = self._send(
            method, self._versioned(path, params), json_body=json_body, content=content, headers=headers
        )
        if not response.content:
            return None
        try:
            return json.loads(response.content)
        except ValueError as error:
            raise ClientError(f"the daemon's answer to {method} {path} is not JSON") from error

    def exchange(self, method: str, path: str, *, params: Parameters | None = None) -> httpx.Response:
        """Make one request and return the whole response: for answers that are not JSON, or whose headers matter."""
        return self._send(method, self._versioned(path, params))

    def unversioned(self, method: str, path: str, *, params: Parameters | None = None) -> Any:
        """Make a request to a path that has no version: our own extensions under ``/pydock``."""
        response = self._send(method, path + _query(params))
        return json.loads(response.content) if response.content else None

    def stream_bytes(
        self, method: str, path: str, *, params: Parameters | None = None, json_body: Any = None
    ) -> ByteStream:
        """Make a request and return the answer's bytes as they come."""
        return ByteStream(self._open(method, self._versioned(path, params), json_body=json_body), self.address)

    def stream_json(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        content: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> JsonStream:
        """Make a request and return the answer's JSON objects as they come."""
        response = self._open(method, self._versioned(path, params), content=content, headers=headers)
        return JsonStream(response, self.address)

    def stream_frames(
        self, method: str, path: str, *, params: Parameters | None = None, tty: bool = False
    ) -> FrameStream:
        """Make a request and return the answer's frames as they come."""
        return FrameStream(self._open(method, self._versioned(path, params)), self.address, tty=tty)

    def pending(self, method: str, path: str, *, params: Parameters | None = None) -> PendingAnswer:
        """Make a request and return as soon as the answer's header is there."""
        return PendingAnswer(self._open(method, self._versioned(path, params)), self.address)

    def hijack(
        self, method: str, path: str, *, params: Parameters | None = None, json_body: Any = None, tty: bool = False
    ) -> Hijacked:
        """Make a request whose connection becomes a raw stream in both directions (attach, exec)."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        if json_body is None:
            headers["Content-Type"] = "text/plain"
        response = self._open(method, self._versioned(path, params), json_body=json_body, headers=headers)
        if response.status_code != 101:
            response.close()
            raise StreamInterrupted(f"unable to upgrade to tcp, received {response.status_code}")
        return Hijacked(response, self.address, tty=tty)

    def _versioned(self, path: str, params: Parameters | None) -> str:
        return f"/v{self.api_version}{path}{_query(params)}"

    def _send(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        content: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        response = self._open(method, path, json_body=json_body, content=content, headers=headers)
        import httpx  # noqa: PLC0415

        try:
            response.read()
        except httpx.TransportError as error:
            raise lost(self.address, error) from error
        finally:
            response.close()
        return response

    def _open(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        content: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = dict(headers or {})
        if json_body is not None:
            content = json.dumps(json_body, ensure_ascii=False, separators=(",", ":")).encode()
            sent["Content-Type"] = "application/json"
        http = self._client()
        import httpx  # noqa: PLC0415 - loaded by now

        limit = getattr(self._hurry, "seconds", None)
        timeout = httpx.Timeout(limit, connect=limit or _CONNECTING)
        try:
            request = http.build_request(method, path, content=content, headers=sent, timeout=timeout)
        except httpx.InvalidURL as error:
            raise ClientError(f"a name of {len(path):,} characters does not fit into a request: {error}") from error
        try:
            response = http.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ConnectionFailed(str(self.address), str(error)) from error
        except httpx.TransportError as error:
            raise lost(self.address, error) from error
        if response.status_code >= 400:
            raise _refusal(response, method)
        return response

    def _client(self) -> httpx.Client:
        if self._http is None:
            httpx = load_httpx()
            self._http = httpx.Client(
                transport=self._transport or open_transport(self.address, lambda: self.patience),
                base_url=base_url(self.address),
                headers=self._headers,
                trust_env=False,
            )
        return self._http


def _refusal(response: httpx.Response, method: str) -> ApiError:
    """Turn an answer of 400 and above into the error it stands for."""
    import httpx  # noqa: PLC0415

    try:
        body = response.read()
    except httpx.TransportError:
        body = b""
    finally:
        response.close()
    message = ""
    try:
        message = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        message = body.decode(errors="replace").strip()
    if not message:
        message = f"{response.status_code} {response.reason_phrase}".strip()
        if method != "HEAD":
            message = f"request returned {message}"
    return api_error(response.status_code, message)
