"""Ports and addresses of a create request."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.containers.addressing import check_endpoints, check_ports
from pydockmagic.engine.containers.config import EndpointSettings, PortBinding
from pydockmagic.engine.errors import InvalidParameter


@pytest.mark.parametrize(
    ("port", "binding", "sentence"),
    [
        ("x", {}, 'invalid port specification: "x"'),
        ("70000/tcp", {}, 'invalid port specification: "70000/tcp"'),
        ("80/xyz", {}, "invalid proto: xyz"),
        ("80/tcp", {"host_port": "x"}, 'invalid port specification: "x"'),
        ("80/tcp", {"host_port": "9-8"}, 'invalid port specification: "9-8"'),
        ("80/tcp", {"host_ip": "no address"}, "invalid IP address: no address"),
    ],
)
def test_what_names_no_port_is_refused_before_anything_is_made(port, binding, sentence):
    with pytest.raises(InvalidParameter) as caught:
        check_ports((), {port: [PortBinding(**binding)]})
    assert str(caught.value) == sentence


@given(st.integers(0, 65535), st.sampled_from(["", "/tcp", "/udp", "/sctp", "/TCP"]), st.ip_addresses())
def test_ports_and_addresses_pass(port, proto, address):
    check_ports([f"{port}{proto}"], {f"{port}{proto}": [PortBinding(host_port=str(port), host_ip=str(address))]})
    check_ports((), {"80": None, "81/udp": [PortBinding(host_port="8000-8010")]})


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_refused(text):
    try:
        check_ports((), {"80": [PortBinding(host_ip=text)]})
    except InvalidParameter:
        return
    assert not text or ipaddress.ip_address(text)


@pytest.mark.parametrize("mac", ["02:42:ac:11:00:0a", "02-42-AC-11-00-0A", "0242.ac11.000a", ""])
def test_hardware_addresses_come_in_gos_forms(mac):
    check_endpoints({"bridge": EndpointSettings(mac_address=mac)})


@pytest.mark.parametrize("mac", ["x", "02:42:ac:11:00", "02:42-ac:11:00:0a", "02:42:ac:11:00:0g", " "])
def test_other_hardware_addresses_are_refused(mac):
    with pytest.raises(InvalidParameter, match="invalid MAC address"):
        check_endpoints({"bridge": EndpointSettings(mac_address=mac)})
