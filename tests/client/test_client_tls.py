"""TLS, both ways: the daemon's certificate is checked, and ours is shown."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from support.certificates import make_certificates
from support.daemon import frame

from pydockmagic.client import Client, ConnectionFailed, Frame, choose

UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)


def serve(listener, context):
    """Answer one connection: pings, then one attach whose input comes back."""
    connection, _ = listener.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            while request := secure.recv(65536):
                if b"/_ping" in request:
                    secure.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nContent-Length: 0\r\n\r\n")
                    continue
                secure.sendall(UPGRADED)
                secure.sendall(frame(1, b"heard " + secure.recv(100)))
                return
    except OSError:
        return


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def daemon(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, context), daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def test_a_connection_over_tls_can_be_hijacked(daemon, certificates):
    environ = {"DOCKER_HOST": daemon, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
    with Client(choose(None, environ)) as client, client.container_attach("x", stdin=True) as stream:
        stream.write(b"hello")
        assert list(stream) == [Frame("stdout", b"heard hello")]


def test_a_daemon_that_nobody_vouches_for_is_not_talked_to(daemon, tmp_path):
    environ = {"DOCKER_HOST": daemon, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    with Client(choose(None, environ)) as client, pytest.raises(ConnectionFailed):
        client.ping()
