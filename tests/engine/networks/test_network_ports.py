import socket

import pytest

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.networks.ports import PortTable, Published, ports_json, requested_ports


@pytest.fixture
def table():
    made = PortTable()
    held = []
    bind = made.bind

    def remember(*arguments):
        bound = bind(*arguments)
        held.extend(bound)
        return bound

    made.bind = remember
    yield made
    for item in held:
        item.listener.close()


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def want(host_port="", key="80/tcp", host_ip="", **options):
    bindings = {key: [{"HostIp": host_ip, "HostPort": str(host_port)}]}
    return requested_ports(bindings, options.get("exposed", ()), publish_all=options.get("publish_all", False))


def test_a_port_is_bound_on_both_families(table, free_port):
    bound = table.bind("one", want(free_port))
    assert [(item.published.host_ip, item.published.host_port) for item in bound] == [
        ("0.0.0.0", free_port),
        ("::", free_port),
    ]
    with socket.create_connection(("127.0.0.1", free_port)):
        assert bound[0].listener.accept()[0].close() is None


def test_a_clash_with_a_container_is_dockers_error(table, free_port):
    table.bind("one", want(free_port, host_ip="127.0.0.1"))
    with pytest.raises(EngineError) as refused:
        table.bind("two", want(free_port, host_ip="127.0.0.1"))
    assert str(refused.value) == f"Bind for 127.0.0.1:{free_port} failed: port is already allocated"


def test_a_clash_with_a_foreign_program_is_dockers_other_error(table):
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        with pytest.raises(EngineError) as refused:
            table.bind("one", want(port, host_ip="127.0.0.1"))
    # Recorded from dockerd 20.10.24
    assert str(refused.value) == (
        f"Error starting userland proxy: listen tcp4 127.0.0.1:{port}: bind: address already in use"
    )


def test_an_address_that_is_not_ours_cannot_be_bound(table):
    with pytest.raises(EngineError, match=r"listen tcp4 1.2.3.4:1: bind: cannot assign requested address"):
        table.bind("one", want(1, host_ip="1.2.3.4"))


def test_a_failed_request_keeps_nothing(table, free_port):
    with pytest.raises(EngineError):
        table.bind("one", [*want(free_port, host_ip="127.0.0.1"), *want(1, host_ip="1.2.3.4")])
    assert table.bind("two", want(free_port, host_ip="127.0.0.1"))


def test_a_released_port_can_be_taken_again(table, free_port):
    for item in table.bind("one", want(free_port, host_ip="127.0.0.1")):
        item.listener.close()
    table.release("one")
    assert table.bind("two", want(free_port, host_ip="127.0.0.1"))


def test_a_range_gives_the_first_free_port(table):
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        first = foreign.getsockname()[1]
        bound = table.bind("one", want(f"{first}-{first + 20}", host_ip="127.0.0.1"))
    assert first < bound[0].published.host_port <= first + 20


def test_any_port_counts_up_from_the_ephemeral_range(table):
    numbers = [table.bind(name, want(host_ip="127.0.0.1"))[0].published.host_port for name in ("one", "two")]
    assert 32768 <= numbers[0] < numbers[1]


def test_udp_ports_are_datagram_sockets(table, free_port):
    bound = table.bind("one", want(free_port, "53/udp", "127.0.0.1"))
    assert bound[0].listener.type == socket.SOCK_DGRAM
    assert bound[0].published.proto == "udp"


def test_ports_of_an_earlier_engine_stay_taken(table, free_port):
    table.remember("one", [Published("tcp", 80, "127.0.0.1", free_port)])
    with pytest.raises(EngineError, match="port is already allocated"):
        table.bind("two", want(free_port, host_ip="127.0.0.1"))


def test_publish_all_adds_the_exposed_ports_that_have_no_binding():
    wanted = requested_ports({"80/tcp": [{"HostPort": "8080"}]}, ["80/tcp", "90/udp"], publish_all=True)
    assert [(item.proto, item.port, item.first) for item in wanted] == [("tcp", 80, 8080), ("udp", 90, 0)]


@pytest.mark.parametrize(
    "bindings", [{"x/tcp": [{}]}, {"80/icmp": [{}]}, {"70000": [{}]}, {"80": [{"HostPort": "a"}]},
                 {"80": [{"HostPort": "9-8"}]}, {"80": [{"HostPort": "70000"}]}],
)  # fmt: skip
def test_nonsense_is_refused(bindings):
    with pytest.raises(InvalidParameter):
        requested_ports(bindings, (), publish_all=False)


def test_the_api_shows_published_and_exposed_ports():
    # Recorded from dockerd 20.10.24: -p 18080:80 --expose 90
    published = [Published("tcp", 80, "0.0.0.0", 18080), Published("tcp", 80, "::", 18080)]
    assert ports_json(published, ["80/tcp", "90/tcp"]) == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "18080"}, {"HostIp": "::", "HostPort": "18080"}],
        "90/tcp": None,
    }
