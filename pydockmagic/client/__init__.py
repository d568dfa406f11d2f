"""A typed client of the Docker Engine API over httpx, its transports, and finding or starting the engine.

Knows nothing of the engine's inside: it starts it as a program and speaks HTTP with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydockmagic.loading import load_httpx

from .address import EMBEDDED, EngineAddress, choose, parse_address
from .core import API_VERSION, MINIMUM_API_VERSION
from .errors import (
    ApiError,
    BadAddress,
    ClientError,
    Conflict,
    ConnectionFailed,
    ConnectionLost,
    EngineStartFailed,
    Forbidden,
    InvalidParameter,
    NotFound,
    NotImplementedByServer,
    PermissionRefused,
    ServerError,
    StreamInterrupted,
    Unauthorized,
    Unavailable,
)
from .frames import Demultiplexer, Frame
from .layers import LayerCalls
from .streams import ByteStream, FrameStream, Hijacked, JsonStream, PendingAnswer
from .system import SystemCalls
from .tls import TlsFiles

if TYPE_CHECKING:
    from . import embedded

__all__ = [
    "API_VERSION",
    "EMBEDDED",
    "MINIMUM_API_VERSION",
    "ApiError",
    "BadAddress",
    "ByteStream",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "ConnectionLost",
    "Demultiplexer",
    "EngineAddress",
    "EngineStartFailed",
    "Forbidden",
    "Frame",
    "FrameStream",
    "Hijacked",
    "InvalidParameter",
    "JsonStream",
    "NotFound",
    "NotImplementedByServer",
    "PendingAnswer",
    "PermissionRefused",
    "ServerError",
    "StreamInterrupted",
    "TlsFiles",
    "Unauthorized",
    "Unavailable",
    "choose",
    "connect",
    "embedded",
    "parse_address",
]


class Client(LayerCalls, SystemCalls):
    """A Docker daemon, seen from outside: one method per operation of the Engine API.

    ``Client(EngineAddress("unix:///var/run/docker.sock"))``; usually made by ``connect``. A context manager. May be
    used from several threads; streams are read by one thread and may be closed by any.
    """


def connect(target: str | None = None, *, environ: Mapping[str, str] | None = None) -> Client:
    """Return a client of the daemon that is meant: ``target``, ``PYDOCK_HOST``, ``DOCKER_HOST`` or the embedded engine.

    ``target`` is ``embedded``, the name of a docker context, or a URL. The embedded engine is started if need be; other
    daemons are not asked before the first call. Raises ``BadAddress``, ``EngineStartFailed``.
    """
    environ = os.environ if environ is None else environ
    address = choose(target, environ)
    if address is None:
        from . import embedded  # noqa: PLC0415 - it starts programs, which most clients never do

        address = embedded.ensure(environ, meanwhile=load_httpx)
    return Client(address)


def __getattr__(name: str) -> Any:
    """Load ``embedded`` when somebody asks for it."""
    if name == "embedded":
        import importlib  # noqa: PLC0415

        return importlib.import_module(".embedded", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
