"""Which registries there are and how each is spoken to, as the engine was told: dockerd's own options.

``--registry-mirror``, ``--insecure-registry`` and ``certs.d`` mean what they mean for dockerd. ``--hub`` is ours: the
address that stands for Docker Hub, or ``off`` where it is not to be asked at all (a class room without a network).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pydockmagic.engine.errors import InvalidParameter

__all__ = ["HUB", "INDEX", "RegistryOptions", "registry_options"]

HUB = "https://registry-1.docker.io"
INDEX = "https://index.docker.io"
"""Where Docker Hub is searched and logged in to."""
_LOOPBACK = ("127.0.0.0/8", "::1/128")


class RegistryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of one engine. Addresses have no slash at their end."""

    hub: str = HUB
    """Docker Hub's registry, or another that stands for it; empty where it must not be asked."""
    index: str = INDEX
    mirrors: tuple[str, ...] = ()
    """Asked for the names of Docker Hub before Docker Hub itself."""
    insecure: tuple[str, ...] = ()
    """Hosts (``host:port``) and networks (``10.0.0.0/8``) that may do without a certificate and without TLS."""
    certificates: tuple[Path, ...] = ()
    """Folders like ``/etc/docker/certs.d``."""

    @property
    def insecure_hosts(self) -> frozenset[str]:
        """The hosts among the insecure."""
        return frozenset(text for text in self.insecure if "/" not in text)

    @property
    def insecure_networks(self) -> tuple[str, ...]:
        """The networks among the insecure; loopback always is one."""
        return tuple(dict.fromkeys((*_LOOPBACK, *(text for text in self.insecure if "/" in text))))

    def document(self) -> dict[str, Any]:
        """Describe the choices as ``GET /info`` does (``RegistryConfig``)."""
        mirrors = [f"{mirror}/" for mirror in self.mirrors]
        hub = {"Mirrors": mirrors, "Name": "docker.io", "Official": True, "Secure": True}
        others = {
            host: {"Mirrors": [], "Name": host, "Official": False, "Secure": False}
            for host in sorted(self.insecure_hosts)
        }
        return {
            "InsecureRegistryCIDRs": sorted(self.insecure_networks),
            "IndexConfigs": {"docker.io": hub, **others},
            "Mirrors": mirrors or None,
        }


def registry_options(
    environ: Mapping[str, str], *, hub: str | None = None, mirrors: tuple[str, ...] = (), insecure: tuple[str, ...] = ()
) -> RegistryOptions:
    """Put together what the command line and the environment say.

    ``PYDOCK_HUB``, ``PYDOCK_REGISTRY_MIRRORS``, ``PYDOCK_INSECURE_REGISTRIES`` (lists with commas) and
    ``PYDOCK_CERTS_D``. Raises ``InvalidParameter`` in dockerd's words.
    """
    chosen = hub if hub is not None else environ.get("PYDOCK_HUB", "")
    mirrors = mirrors or _list(environ.get("PYDOCK_REGISTRY_MIRRORS", ""))
    insecure = insecure or _list(environ.get("PYDOCK_INSECURE_REGISTRIES", ""))
    folders = _list(environ.get("PYDOCK_CERTS_D", "")) or _certificate_folders(environ)
    off = chosen.lower() in ("off", "none")
    own = _url(chosen, "hub") if chosen and not off else ""
    return RegistryOptions(
        hub="" if off else own or HUB,
        index="" if off else own or INDEX,
        mirrors=() if off else tuple(_url(text, "mirror") for text in mirrors),
        insecure=tuple(_insecure(text) for text in insecure),
        certificates=tuple(Path(folder) for folder in folders),
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _certificate_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    folders = ["/etc/docker/certs.d"]
    if os.geteuid() != 0:
        config = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        folders.insert(0, f"{config}/docker/certs.d")
    return tuple(folders)


def _url(text: str, what: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        raise InvalidParameter(f'invalid {what}: unsupported scheme "{parts.scheme}" in "{text}"')
    if parts.query or parts.fragment or parts.path not in ("", "/"):
        raise InvalidParameter(f'invalid {what}: path, query, or fragment at end of the URI "{text}"')
    if parts.username or parts.password or not parts.hostname:
        raise InvalidParameter(f'invalid {what}: username/password not allowed in URI "{text}"')
    return text.rstrip("/")


def _insecure(text: str) -> str:
    for scheme in ("http://", "https://"):
        if text.lower().startswith(scheme):
            text = text[len(scheme) :]
    if "/" in text:
        try:
            return str(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise InvalidParameter(f"insecure registry {text} should not contain '/'") from None
    if text.startswith("-"):
        raise InvalidParameter(f'insecure registry {text} is not valid: invalid host "{text}"')
    return text
