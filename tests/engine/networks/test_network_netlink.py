import errno
import ipaddress
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.networks import inside, new_network

from pydockmagic.engine.networks import netlink, nftables
from pydockmagic.engine.networks.nftables import Chain

pytestmark = pytest.mark.root
MAC = bytes.fromhex("0242ac110001")
GATEWAY = ipaddress.IPv4Interface("10.9.0.1/24")


@pytest.fixture
def namespace():
    descriptor = new_network()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def kernel(namespace):
    with inside(namespace, netlink.NetlinkSocket) as connection:
        yield connection


@pytest.fixture
def bridge(kernel):
    kernel.send([netlink.add_bridge("br0", MAC)])
    index = netlink.find_link(kernel, "br0").index
    kernel.send([netlink.set_link(index, up=True), netlink.add_address(index, GATEWAY)])
    return index


def test_a_new_namespace_has_only_its_loopback(kernel):
    assert [(link.name, link.up) for link in netlink.links(kernel)] == [("lo", False)]
    assert netlink.routes(kernel) == []


def test_a_bridge_is_up_and_routed(kernel, bridge):
    kernel.send([netlink.set_link(bridge, alias="mine")])
    link = netlink.find_link(kernel, "br0")
    assert (link.kind, link.alias, link.up) == ("bridge", "mine", True)
    assert [(str(route.destination), route.interface) for route in netlink.routes(kernel)] == [("10.9.0.0/24", bridge)]


def test_several_requests_go_in_one_message_and_the_first_refusal_is_raised(kernel, bridge):
    with pytest.raises(netlink.NetlinkError, match="making the bridge br0: File exists") as refused:
        kernel.send([netlink.add_bridge("br0", MAC), netlink.add_bridge("br1", MAC), netlink.delete_link(999)])
    assert refused.value.errno == errno.EEXIST
    link = netlink.find_link(kernel, "br1")
    assert (link.kind, link.up) == ("bridge", False)


def test_a_missing_link_is_an_error_that_names_it(kernel):
    with pytest.raises(netlink.NetlinkError, match="looking for the link nope: No such device"):
        netlink.find_link(kernel, "nope")


def test_a_pipe_joins_two_namespaces(namespace, kernel, bridge):
    other = new_network()
    try:
        kernel.send([netlink.add_veth("veth0", bridge, "eth0", other)])
        with inside(other, netlink.NetlinkSocket) as there:
            end = netlink.find_link(there, "eth0")
            there.send(
                [
                    netlink.set_link(end.index, mac=bytes.fromhex("0242ac110002")),
                    netlink.add_address(end.index, ipaddress.IPv4Interface("10.9.0.2/24")),
                    netlink.set_link(end.index, up=True),
                    netlink.add_default_route(end.index, "10.9.0.1"),
                ]
            )
            default = next(route for route in netlink.routes(there) if route.gateway)
        assert (default.gateway, default.destination.prefixlen) == ("10.9.0.1", 0)
        assert netlink.find_link(kernel, "veth0").master == bridge
        listener = inside(other, lambda: socket.create_server(("10.9.0.2", 80)))
        with listener, inside(namespace, lambda: socket.create_connection(("10.9.0.2", 80), 5)):
            listener.accept()[0].close()
    finally:
        os.close(other)


@given(st.integers(0, 0x3FFF), st.binary(max_size=40))
def test_attributes_are_read_as_they_were_written(kind, value):
    data = netlink.attribute(kind, value) + netlink.attribute(1, b"next")
    assert len(data) % 4 == 0
    assert list(netlink.attributes(data)) == [(kind, value), (1, b"next")]


@given(st.binary(max_size=64))
def test_any_bytes_can_be_read_as_attributes(data):
    list(netlink.attributes(data))


@pytest.fixture
def rules(namespace):
    with inside(namespace, lambda: netlink.NetlinkSocket(12)) as connection:
        yield connection


def connect(namespace, address, port):
    def attempt():
        try:
            socket.create_connection((address, port), 0.3).close()
        except OSError as error:
            return type(error).__name__
        return "connected"

    return inside(namespace, attempt)


def test_a_redirect_sends_connections_to_another_port(namespace, kernel, rules):
    kernel.send([netlink.set_link(1, up=True), netlink.add_default_route(1)])
    with inside(namespace, lambda: socket.create_server(("127.0.0.1", 0))) as listener:
        away = (nftables.protocol("tcp"), nftables.destination_port(4242), nftables.redirect(listener.getsockname()[1]))
        chain = Chain("own", [away], hook="output", kind="nat", priority=-100)
        nftables.replace_table(rules, "test", [chain])
        assert connect(namespace, "192.0.2.99", 4242) == "connected"


def test_a_table_is_replaced_whole_or_not_at_all(namespace, kernel, rules):
    kernel.send([netlink.set_link(1, up=True)])
    dropping = Chain("own", [(nftables.protocol("tcp"), nftables.drop())], hook="output")
    with inside(namespace, lambda: socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        nftables.replace_table(rules, "test", [dropping])
        assert connect(namespace, "127.0.0.1", port) == "TimeoutError"
        with pytest.raises(netlink.NetlinkError, match="adding a rule to own"):
            nftables.replace_table(rules, "test", [Chain("own", [(nftables.jump("missing"),)], hook="output")])
        assert connect(namespace, "127.0.0.1", port) == "TimeoutError"
        nftables.replace_table(rules, "test", [Chain("own", [], hook="output")])
        assert connect(namespace, "127.0.0.1", port) == "connected"
        nftables.replace_table(rules, "test", [dropping])
        nftables.delete_table(rules, "test")
        assert connect(namespace, "127.0.0.1", port) == "connected"
        nftables.delete_table(rules, "test")
