"""Where a Docker daemon listens, and which one is meant.

The order of choice is DESIGN section 3: what is named (``embedded``, a docker context or a URL), else ``PYDOCK_HOST``,
else ``DOCKER_HOST``, else the embedded engine. Docker contexts are read as the docker command stores them: a JSON file
in ``contexts/meta/<sha256 of the name>/`` under ``DOCKER_CONFIG`` or ``~/.docker``, certificates beside it in ``tls/``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .errors import BadAddress

__all__ = ["EMBEDDED", "EngineAddress", "TlsFiles", "choose", "parse_address"]

EMBEDDED = "embedded"
_HOST_NAME = re.compile(r"[\w.:%-]+")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates for a TLS connection; a missing path means that this piece is not used."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """One daemon's address: ``url`` as Docker writes it, and how the choice was made (``source``)."""

    url: str
    source: str = ""
    tls: TlsFiles | None = None

    @property
    def scheme(self) -> str:
        """``unix``, ``tcp``, ``http`` or ``https``."""
        return self.url.partition("://")[0]

    @property
    def path(self) -> Path:
        """The socket's path (for ``unix`` only)."""
        return Path(self.url.partition("://")[2])

    @property
    def is_local(self) -> bool:
        """Whether a unix socket of this machine is meant."""
        return self.scheme == "unix"

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
        raise BadAddress(f"{url}: connecting over ssh is not supported yet; forward the remote socket to a local one")
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
    folder = Path(environ.get("DOCKER_CERT_PATH") or docker_config_dir(environ))
    return _tls_in(folder, verify=True)


def _tls_in(folder: Path, *, verify: bool) -> TlsFiles:
    ca, cert, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    return TlsFiles(
        ca=ca if ca.exists() else None,
        cert=cert if cert.exists() else None,
        key=key if key.exists() else None,
        verify=verify,
    )


def docker_config_dir(environ: Mapping[str, str]) -> Path:
    """Where the docker command keeps its files: ``DOCKER_CONFIG`` or ``~/.docker``."""
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"])
    return Path(environ.get("HOME") or Path.home()) / ".docker"


def _from_context(name: str, environ: Mapping[str, str]) -> EngineAddress:
    import hashlib  # noqa: PLC0415 - only contexts need it
    import json  # noqa: PLC0415

    if name == "default":
        return parse_address("unix:///var/run/docker.sock", source="context default")
    key = hashlib.sha256(name.encode()).hexdigest()
    contexts = docker_config_dir(environ) / "contexts"
    try:
        meta = json.loads((contexts / "meta" / key / "meta.json").read_bytes())
        endpoint = meta["Endpoints"]["docker"]
        host = str(endpoint["Host"])
    except FileNotFoundError:
        raise BadAddress(f'context "{name}": context not found') from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise BadAddress(f'context "{name}": cannot be read: {error}') from None
    folder = contexts / "tls" / key / "docker"
    tls = _tls_in(folder, verify=not endpoint.get("SkipTLSVerify", False)) if folder.is_dir() else None
    return parse_address(host, source=f"context {name}", tls=tls)
