"""Where a Docker daemon listens, and which one is meant.

The order of choice: what is named (``embedded``, a docker context or a URL), else ``PYDOCK_HOST``, else
``DOCKER_HOST``, else ``DOCKER_CONTEXT``, else the embedded engine. The context that ``docker context use`` made current
is not followed: a notebook means the engine that it brings along until it says otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .errors import BadAddress, ConnectionLost
from .tls import TlsFiles

__all__ = ["EMBEDDED", "EngineAddress", "choose", "parse_address"]

EMBEDDED = "embedded"
_HOST_NAME = re.compile(r"[\w.:%-]+")


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """One daemon's address: ``url`` as Docker writes it, and how the choice was made (``source``)."""

    url: str
    source: str = ""
    tls: TlsFiles | None = None

    @property
    def scheme(self) -> str:
        """``unix``, ``tcp``, ``http``, ``https`` or ``ssh``."""
        return self.url.partition("://")[0]

    @property
    def path(self) -> Path:
        """The socket's path (for ``unix`` only)."""
        return Path(self.url.partition("://")[2])

    @property
    def is_local(self) -> bool:
        """Whether a unix socket of this machine is meant."""
        return self.scheme == "unix"

    @property
    def is_embedded(self) -> bool:
        """Whether our own engine is meant, which starts by itself."""
        return self.source == EMBEDDED

    def lost(self, reason: str = "") -> ConnectionLost:
        """Return the error of a connection to there that broke; ``reason`` is one for people, where there is one."""
        daemon = "the embedded engine" if self.is_embedded else f"the Docker daemon at {self.url}"
        return ConnectionLost(daemon, reason, embedded=self.is_embedded)

    def __str__(self) -> str:
        return self.url


def parse_address(url: str, *, source: str = "", tls: TlsFiles | None = None) -> EngineAddress:
    """Check and complete an address as docker's ``-H`` takes it.

    Raises ``BadAddress`` for what cannot be used.
    """
    text = url.strip() or "unix://"
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme == "unix":
        return EngineAddress(f"unix://{rest or '/var/run/docker.sock'}", source, None)
    if scheme == "ssh":
        from .ssh import parse_ssh  # noqa: PLC0415 - it starts programs, which most clients never do

        parse_ssh(text)
        return EngineAddress(text, source, None)
    if scheme not in {"tcp", "http", "https"}:
        raise BadAddress(f'unable to parse docker host "{url}"')
    try:
        parts = urlsplit(f"tcp://{rest}")
        port = parts.port
    except ValueError:
        raise BadAddress(f'unable to parse docker host "{url}"') from None
    name = parts.hostname or "localhost"
    if not _HOST_NAME.fullmatch(name):
        raise BadAddress(f'unable to parse docker host "{url}"')
    if port is None:
        port = 2376 if tls is not None or scheme == "https" else 2375
    host = f"[{name}]" if ":" in name else name
    return EngineAddress(f"{scheme}://{host}:{port}{parts.path.rstrip('/')}", source, tls)


def choose(target: str | None = None, environ: Mapping[str, str] | None = None) -> EngineAddress | None:
    """Say which daemon is meant; ``None`` stands for the embedded engine, wherever it may listen."""
    environ = os.environ if environ is None else environ
    if target:
        return _named(target, environ, source=target)
    if environ.get("PYDOCK_HOST"):
        return _named(environ["PYDOCK_HOST"], environ, source="PYDOCK_HOST")
    if environ.get("DOCKER_HOST"):
        return parse_address(environ["DOCKER_HOST"], source="DOCKER_HOST", tls=_tls_from_environment(environ))
    if environ.get("DOCKER_CONTEXT"):
        return _named(environ["DOCKER_CONTEXT"], environ, source="DOCKER_CONTEXT")
    return None


def _named(target: str, environ: Mapping[str, str], source: str) -> EngineAddress | None:
    if target == EMBEDDED:
        return None
    if "://" in target:
        return parse_address(target, source=source, tls=_tls_from_environment(environ))
    if target.startswith("/"):
        return parse_address(f"unix://{target}", source=source)
    return _from_context(target, environ)


def _tls_from_environment(environ: Mapping[str, str]) -> TlsFiles | None:
    """Docker's own rule: ``DOCKER_TLS_VERIFY`` turns TLS on, ``DOCKER_CERT_PATH`` says where the files are."""
    if not environ.get("DOCKER_TLS_VERIFY"):
        return None
    from .contexts import docker_config_dir  # noqa: PLC0415

    return TlsFiles.inside(Path(environ.get("DOCKER_CERT_PATH") or docker_config_dir(environ)))


def _from_context(name: str, environ: Mapping[str, str]) -> EngineAddress:
    from .contexts import ContextStore  # noqa: PLC0415 - only contexts need it

    found = ContextStore.of(environ).get(name)
    return parse_address(found.host, source=f"context {name}", tls=found.tls)
