"""Links: what they are written as, the variables they bring, the lines they leave. Recorded from dockerd 20.10.24."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.containers import links
from pydockmagic.engine.errors import Conflict, InvalidParameter


@pytest.mark.parametrize(
    ("text", "found"),
    [("web", ("web", "web")), ("web:db", ("web", "db")), ("/web:/parent/db", ("web", "db")), (":db", ("", "db"))],
)
def test_a_link_is_a_name_and_an_alias(text, found):
    assert links.parse(text) == found


def test_a_link_with_two_aliases_is_refused():
    with pytest.raises(InvalidParameter, match="bad format for links: web:x:y"):
        links.parse("web:x:y")


def test_variables_are_those_of_docker():
    exposed = ["8080/tcp", "53/udp", "90/tcp", "91/tcp"]
    assert links.variables("/ln/my-al", "172.17.0.3", exposed, ["A=1", "PATH=/bin", "HOME=/", "NONE"]) == [
        "MY_AL_PORT=udp://172.17.0.3:53",
        "MY_AL_PORT_53_UDP=udp://172.17.0.3:53",
        "MY_AL_PORT_53_UDP_ADDR=172.17.0.3",
        "MY_AL_PORT_53_UDP_PORT=53",
        "MY_AL_PORT_53_UDP_PROTO=udp",
        "MY_AL_PORT_90_TCP=tcp://172.17.0.3:90",
        "MY_AL_PORT_90_TCP_ADDR=172.17.0.3",
        "MY_AL_PORT_90_TCP_PORT=90",
        "MY_AL_PORT_90_TCP_PROTO=tcp",
        "MY_AL_PORT_91_TCP=tcp://172.17.0.3:91",
        "MY_AL_PORT_91_TCP_ADDR=172.17.0.3",
        "MY_AL_PORT_91_TCP_PORT=91",
        "MY_AL_PORT_91_TCP_PROTO=tcp",
        "MY_AL_PORT_8080_TCP=tcp://172.17.0.3:8080",
        "MY_AL_PORT_8080_TCP_ADDR=172.17.0.3",
        "MY_AL_PORT_8080_TCP_PORT=8080",
        "MY_AL_PORT_8080_TCP_PROTO=tcp",
        "MY_AL_NAME=/ln/my-al",
        "MY_AL_ENV_A=1",
    ]


def test_three_ports_in_a_row_are_named_as_a_range_too():
    found = links.variables("/ln/db", "10.0.0.2", ["7001/tcp", "7000/tcp", "7002/tcp"], [])
    assert found[:7] == [
        "DB_PORT=tcp://10.0.0.2:7000",
        "DB_PORT_7000_TCP_START=tcp://10.0.0.2:7000",
        "DB_PORT_7000_TCP_ADDR=10.0.0.2",
        "DB_PORT_7000_TCP_PROTO=tcp",
        "DB_PORT_7000_TCP_PORT_START=7000",
        "DB_PORT_7002_TCP_END=tcp://10.0.0.2:7002",
        "DB_PORT_7000_TCP_PORT_END=7002",
    ]


@given(st.lists(st.integers(1, 65535), unique=True, max_size=8))
def test_every_exposed_port_is_told(numbers):
    found = links.variables("/a/b", "10.0.0.2", [f"{number}/tcp" for number in numbers], [])
    assert {f"B_PORT_{number}_TCP_PORT={number}" for number in numbers} <= set(found)
    assert len({entry.partition("=")[0] for entry in found}) >= 4 * len(numbers) + 1


HOSTS = "127.0.0.1\tlocalhost\n172.17.0.2\tal d1ed00480537 web\n172.17.0.4\t0d4c92c525c7\n"


def test_the_line_of_a_link_follows_its_container():
    moved = HOSTS.replace("172.17.0.2", "172.17.0.5")
    assert links.with_address(HOSTS, "al", "172.17.0.5") == moved
    assert links.with_address(HOSTS, "web", "172.17.0.5") == HOSTS


def test_the_line_of_a_link_goes_with_it():
    assert links.with_address(HOSTS, "al", "") == "127.0.0.1\tlocalhost\n172.17.0.4\t0d4c92c525c7\n"


def test_only_links_can_be_removed_as_links():
    assert links.link_path("/ln/al") == ("ln", "al")
    with pytest.raises(Conflict, match="Conflict, cannot remove the default link name of the container"):
        links.link_path("/ln")
