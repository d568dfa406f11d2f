"""``docker system dial-stdio``: standard input and output become a connection to the daemon, as ssh needs it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.client import EngineAddress
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed
    from pydockmagic.commands.results import Result

__all__ = ["stdio"]

_CHUNK = 65536


def stdio(parsed: Parsed, context: Context) -> Result:
    """Carry bytes both ways until the daemon ends the connection."""
    del parsed
    sink = Sink(context)
    if context.binary is None or context.stdin is None:
        raise sink.failure("dial-stdio is for programs: its output is a connection to the daemon")
    with _connect(context.client.address) as connection:

        def send() -> None:
            with suppress(OSError):
                for data in context.chunks(_CHUNK):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=send, daemon=True).start()
        with suppress(ConnectionResetError):
            while data := connection.recv(_CHUNK):
                context.binary.write(data)
                context.binary.flush()
    return sink.result()


def _connect(address: EngineAddress) -> socket.socket:
    if address.is_local:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(address.path))
        return connection
    parts = urlsplit(address.url)
    plain = socket.create_connection((parts.hostname, parts.port))
    if address.tls is None:
        return plain
    return address.tls.ssl_context().wrap_socket(plain, server_hostname=parts.hostname)
