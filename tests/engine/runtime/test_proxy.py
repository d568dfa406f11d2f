import asyncio
import contextlib
import os
import socket

import pytest

from pydockmagic.engine.runtime.spec import Namespaces, PortForward

pytestmark = pytest.mark.root


def published(box, proto, target):
    """Start a container with a published port that leads to ``target``; give its spec and the port's address."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    if proto == "tcp":
        listener.listen(128)
    forward = PortForward(proto=proto, target_ip=target[0], target_port=target[1])
    spec = box.spec("sleep", "1000", namespaces=Namespaces(net="host"), ports=(forward,))
    box.start(spec, listeners=[listener])
    address = listener.getsockname()
    listener.close()
    return spec, address


@pytest.fixture
def echo(box):
    """A TCP server that sends back what it gets, once it has all of it; its address."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            writer.write(b"hello:" + await reader.read())
            await writer.drain()
        writer.close()

    server = box.do(asyncio.start_server(serve, "127.0.0.1", 0))
    yield server.sockets[0].getsockname()
    server.close()
    box.do(server.wait_closed())


async def exchange(address, data):
    """Send data and the half-close; read to the end."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    writer.write_eof()
    result = await reader.read()
    writer.close()
    await writer.wait_closed()
    return result


def test_bytes_pass_both_ways_and_each_end_of_a_connection_on_its_own(box, echo):
    spec, address = published(box, "tcp", echo)
    data = os.urandom(5 << 20)
    assert box.do(exchange(address, data)) == b"hello:" + data
    box.delete(spec)


def test_many_connections_at_once(box, echo):
    spec, address = published(box, "tcp", echo)

    async def all_of_them():
        return await asyncio.gather(*(exchange(address, b"%d" % number) for number in range(100)))

    assert box.do(all_of_them()) == [b"hello:%d" % number for number in range(100)]
    box.delete(spec)


def test_a_client_that_resets_disturbs_nobody(box, echo):
    spec, address = published(box, "tcp", echo)
    rude = socket.create_connection(address)
    rude.send(b"x")
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    rude.close()
    assert box.do(exchange(address, b"polite")) == b"hello:polite"
    box.delete(spec)


def test_the_port_is_closed_when_the_container_has_ended(box, echo):
    spec, address = published(box, "tcp", echo)
    box.do(box.driver.signal(spec.id, 9))
    box.wait(spec)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    box.delete(spec)


def test_the_port_outlives_the_engine(box, echo):
    spec, address = published(box, "tcp", echo)
    box.do(box.driver.close())
    assert box.do(exchange(address, b"alone")) == b"hello:alone"
    box.driver = box.new_driver()
    box.do(box.driver.open())
    box.delete(spec)


def test_with_nobody_behind_it_a_connection_ends_at_once(box):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = free.getsockname()
    spec, address = published(box, "tcp", target)
    with contextlib.suppress(ConnectionError):  # a reset is an end too
        assert box.do(exchange(address, b"")) == b""
    box.delete(spec)


def test_datagrams_are_answered_to_their_sender(box):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        spec, address = published(box, "udp", server.getsockname())
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.sendto(b"from %d" % number, address)
        for _ in clients:
            data, peer = server.recvfrom(100)
            server.sendto(b"echo " + data, peer)
        for number, client in enumerate(clients):
            client.settimeout(10)
            assert client.recv(100) == b"echo from %d" % number
            client.close()
        box.delete(spec)
