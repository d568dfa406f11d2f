"""The seam between client and daemon: an httpx transport for each kind of address (unix, tcp, tcp with TLS, ssh)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydockmagic.loading import load_httpx

from .address import EngineAddress
from .errors import ConnectionFailed, PermissionRefused, SshFailed
from .tls import TlsFiles

if TYPE_CHECKING:
    import httpx

__all__ = ["base_url", "open_transport"]


def base_url(address: EngineAddress) -> str:
    """Return the URL that requests are joined to; over a unix socket or ssh the host is only a name."""
    if address.scheme in {"unix", "ssh"}:
        return "http://api.moby.localhost"
    rest = address.url.partition("://")[2]
    return f"{'https' if address.tls is not None or address.scheme == 'https' else 'http'}://{rest}"


def open_transport(address: EngineAddress, patience: Callable[[], float]) -> httpx.BaseTransport:
    """Make the transport for this address; connecting happens with the first request.

    After ``patience`` seconds of silence the daemon is asked whether it is still there (``line.py``).
    """
    load_httpx()
    from .line import LineTransport  # noqa: PLC0415 - loads httpx, as the first connection does

    options: dict[str, Any] = {"patience": patience, "url": base_url(address)}
    if address.scheme == "ssh":
        return _through_ssh(address, options)
    if address.scheme == "unix":
        _knock(address)
        options["uds"] = str(address.path)
    elif address.tls is not None or address.scheme == "https":
        options["tls"] = (address.tls or TlsFiles()).ssl_context()
    return LineTransport(**options)


def _through_ssh(address: EngineAddress, options: dict[str, Any]) -> httpx.BaseTransport:
    """Make a transport that talks through ssh, and says what ssh complained of where the connection fails."""
    import httpx  # noqa: PLC0415 - loaded by now

    from .line import LineTransport  # noqa: PLC0415
    from .ssh import Tunnel, parse_ssh  # noqa: PLC0415 - it starts programs, which most clients never do

    tunnel = Tunnel(parse_ssh(address.url))

    class ThroughSsh(LineTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            try:
                return super().handle_request(request)
            except httpx.TransportError as error:
                if complaint := tunnel.complaint:
                    raise SshFailed(str(address), complaint) from error
                raise

        def close(self) -> None:
            super().close()
            tunnel.close()

    return ThroughSsh(uds=str(tunnel.path), **options)


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
