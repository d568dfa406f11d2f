"""The seam between client and daemon: an httpx transport for each kind of address (unix, tcp, tcp with TLS)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .address import EngineAddress, TlsFiles
from .errors import BadAddress, ConnectionFailed, PermissionRefused
from .loading import load

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["base_url", "open_transport"]


def base_url(address: EngineAddress) -> str:
    """Return the URL that requests are joined to; over a unix socket the host is only a name for the Host header."""
    if address.scheme == "unix":
        return "http://api.moby.localhost"
    rest = address.url.partition("://")[2]
    return f"{'https' if address.tls is not None or address.scheme == 'https' else 'http'}://{rest}"


def open_transport(address: EngineAddress) -> httpx.BaseTransport:
    """Make the transport for this address; connecting happens with the first request."""
    loaded = load()
    limits = loaded.Limits(max_connections=None, max_keepalive_connections=8)
    options: dict[str, Any] = {"limits": limits, "verify": False}
    if address.scheme == "unix":
        _knock(address)
        options["uds"] = str(address.path)
    elif address.tls is not None or address.scheme == "https":
        options["verify"] = _ssl_context(address.tls or TlsFiles())
    transport: httpx.BaseTransport = loaded.HTTPTransport(**options)
    return transport


def _knock(address: EngineAddress) -> None:
    """Find out whether anybody is at the socket, and why not; httpcore would leave its own socket open."""
    import socket  # noqa: PLC0415

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(address.path))
        except PermissionError as error:
            raise PermissionRefused(str(address), str(error)) from error
        except OSError as error:
            raise ConnectionFailed(str(address), str(error)) from error


def _ssl_context(files: TlsFiles) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415

    try:
        context = ssl.create_default_context(cafile=str(files.ca) if files.ca else None)
        if not files.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if files.cert:
            context.load_cert_chain(str(files.cert), str(files.key) if files.key else None)
    except (OSError, ssl.SSLError) as error:
        raise BadAddress(f"could not read the TLS certificates: {error}") from error
    return context
