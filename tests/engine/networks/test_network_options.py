"""What a network may be asked for, and what its containers find inside: in namespaces of the test's own."""

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import pytest
from support.networks import NetworkWorld, inside, link_names, serve_once

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.networks.netlink import NetlinkSocket, find_link, routes
from pydockmagic.engine.networks.records import ConnectRequest

pytestmark = pytest.mark.root
ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
BRIDGE = "com.docker.network.bridge."


@pytest.fixture
def world(tmp_path):
    made = NetworkWorld(tmp_path, run_dir=tmp_path)
    yield made
    made.close()


def reaches(descriptor, address, port=80):
    def connect():
        try:
            with socket.create_connection((address, port), 1) as connection:
                return connection.recv(100)
        except TimeoutError:
            return None
        except OSError as error:
            return os.strerror(error.errno or 0)

    return inside(descriptor, connect)


def six(name="six", **more):
    return {"Name": name, "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "fd01:77::/64"}]}, **more}


def test_a_network_of_both_families_gives_an_address_of_each(world):
    async def scenario(service):
        await service.create(six())
        one = await world.start(service, ONE, name="one", mode="six")
        two = await world.start(service, TWO, name="two", mode="six")
        endpoint = two.networks["six"]
        assert (endpoint["GlobalIPv6Address"], endpoint["GlobalIPv6PrefixLen"]) == ("fd01:77::3", 64)
        assert endpoint["IPv6Gateway"] == "fd01:77::1"
        assert "fd01:77::3\t222222222222\n" in two.hosts
        server = inside(one.net_fd, lambda: socket.create_server(("fd01:77::2", 80), family=socket.AF_INET6))
        with server:
            with inside(two.net_fd, lambda: socket.create_connection(("fd01:77::2", 80), 5)):
                connection, peer = server.accept()
                connection.close()
            assert peer[0] == "fd01:77::3"
        containers = service.inspect("six")["Containers"]
        assert containers[ONE]["IPv6Address"] == "fd01:77::2/64"

    world.run(scenario)


def test_ipv6_without_a_subnet_gets_one_of_its_own(world):
    async def scenario(service):
        await service.create({"Name": "any", "EnableIPv6": True})
        four, found = service.inspect("any")["IPAM"]["Config"]
        assert four["Gateway"].endswith(".0.1")
        assert found["Subnet"].startswith("fd")
        assert found["Subnet"].endswith("/64")

    world.run(scenario)


def test_without_ipv6_a_container_has_none(world):
    async def scenario(service):
        await service.create({"Name": "four"})
        one = await world.start(service, ONE, mode="four")
        setting = Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
        assert inside(one.net_fd, lambda: setting.read_text().strip() if setting.exists() else "1") == "1"

    world.run(scenario)


def test_names_have_addresses_of_both_families(world, tmp_path):
    async def scenario(service):
        await service.create(six())
        await world.start(service, ONE, name="one", mode="six")
        await world.start(service, TWO, name="two", mode="six", endpoints={"six": {"Links": ["one:uno"]}})
        return (tmp_path / "names" / f"{TWO}.json").read_text(), (tmp_path / "names" / f"{ONE}.json").read_text()

    of_two, of_one = world.run(scenario)
    assert '"one": ["172.' in of_two
    assert '"fd01:77::2": "one.six"' in of_two
    assert '"uno.six"' in of_two
    assert '"uno' not in of_one


def test_packets_are_no_larger_than_asked_for(world):
    async def scenario(service):
        await service.create({"Name": "small", "Options": {"com.docker.network.driver.mtu": "1280"}})
        one = await world.start(service, ONE, mode="small")

        def size():
            with NetlinkSocket() as netlink:
                return find_link(netlink, "eth0").mtu

        return inside(one.net_fd, size)

    assert world.run(scenario) == 1280


def test_neighbours_that_may_not_talk_reach_only_their_gateway(world):
    async def scenario(service):
        await service.create({"Name": "apart", "Options": {f"{BRIDGE}enable_icc": "false"}})
        one = await world.start(service, ONE, mode="apart")
        two = await world.start(service, TWO, mode="apart")
        serve_once(one.net_fd, b"hello")
        neighbour = await asyncio.to_thread(reaches, two.net_fd, one.networks["apart"]["IPAddress"])
        gateway = await asyncio.to_thread(reaches, two.net_fd, one.networks["apart"]["Gateway"])
        return neighbour, gateway

    neighbour, gateway = world.run(scenario)
    assert neighbour in (None, "No route to host")  # nobody answers, not even to say no
    assert gateway == "Connection refused"


def test_ports_are_published_where_the_network_says(world):
    async def scenario(service):
        await service.create({"Name": "local", "Options": {f"{BRIDGE}host_binding_ipv4": "127.0.0.1"}})
        ports = {"80/tcp": [{"HostIp": "", "HostPort": ""}]}
        one = await world.start(service, ONE, mode="local", port_bindings=ports)
        return [end["HostIp"] for end in one.ports["80/tcp"]]

    assert world.run(scenario) == ["127.0.0.1"]


def test_an_interface_has_the_link_local_addresses_it_asked_for(world):
    async def scenario(service):
        asked = {"mine": {"IPAMConfig": {"LinkLocalIPs": ["169.254.3.3"]}}}
        await service.create({"Name": "mine"})
        one = await world.start(service, ONE, mode="mine", endpoints=asked)

        def destinations():
            with NetlinkSocket() as netlink:
                return {str(route.destination) for route in routes(netlink)}

        return inside(one.net_fd, destinations)

    assert "169.254.0.0/16" in world.run(scenario)


def default_route(descriptor):
    def gateway():
        with NetlinkSocket() as netlink:
            return [route.gateway for route in routes(netlink) if route.destination.prefixlen == 0]

    return inside(descriptor, gateway)


def test_the_first_name_leads_out_and_another_one_when_that_is_gone(world):
    async def scenario(service):
        for name in ("aaa", "zzz"):
            await service.create({"Name": name})
        box = await world.start(service, ONE, name="one", mode="zzz", endpoints={"zzz": {}, "aaa": {}})
        gateways = {name: service.inspect(name)["IPAM"]["Config"][0]["Gateway"] for name in ("aaa", "zzz")}
        assert default_route(box.net_fd) == [gateways["aaa"]]
        with await asyncio.to_thread(sleeper, box.net_fd) as process:
            await service.disconnect("aaa", ONE, pid=process.pid)
            assert default_route(box.net_fd) == [gateways["zzz"]]
            await service.connect("aaa", ConnectRequest(container_id=ONE, name="one", pid=process.pid))
            assert default_route(box.net_fd) == [gateways["aaa"]]
            process.kill()

    world.run(scenario)


def sleeper(descriptor):
    return inside(descriptor, lambda: subprocess.Popen(["sleep", "60"]))


def test_a_container_that_joins_its_first_named_network_gets_a_name_server(world, tmp_path):
    async def scenario(service):
        await service.create({"Name": "mine"})
        box = await world.start(service, ONE, name="one")
        assert not (tmp_path / "names" / f"{ONE}.json").exists()
        with await asyncio.to_thread(sleeper, box.net_fd) as process:
            request = ConnectRequest(container_id=ONE, name="one", hostname="h", pid=process.pid)
            joined = await service.connect("mine", request)
            process.kill()
        for listener in joined.listeners:
            world.descriptors.append(listener.detach())
        assert "nameserver 127.0.0.11\noptions ndots:0\n" in joined.resolv_conf
        assert [forward.proto for forward in joined.forwards] == ["dns", "dns"]
        assert joined.hosts == ((joined.endpoint["IPAddress"], "h"),)
        assert (tmp_path / "names" / f"{ONE}.json").exists()

    world.run(scenario)


def test_a_container_off_all_its_networks_starts_with_its_loopback(world):
    async def scenario(service):
        box = await world.start(service, ONE, endpoints={})
        assert box.networks == {}
        return link_names(box.net_fd)

    assert world.run(scenario) == {"lo"}


# Recorded from dockerd 20.10.24 with the docker command 28.2.2
REFUSALS = [
    ({"Options": {f"{BRIDGE}enable_icc": "nonsense"}},
     f'failed to parse {BRIDGE}enable_icc value: nonsense (strconv.ParseBool: parsing "nonsense": invalid syntax)'),
    ({"Options": {"com.docker.network.driver.mtu": "nonsense"}},
     'value: nonsense (strconv.Atoi: parsing "nonsense": invalid syntax)'),
    ({"Options": {"com.docker.network.driver.mtu": "-4"}}, "invalid MTU number: -4"),
    ({"Options": {f"{BRIDGE}host_binding_ipv4": "nonsense"}},
     f"failed to parse {BRIDGE}host_binding_ipv4 value: nonsense (nil ip)"),
    ({"Options": {f"{BRIDGE}name": "waytoolongnameforalink"}},
     "failed to check bridge interface existence: numerical result out of range"),
    ({"Options": {f"{BRIDGE}name": "lo"}}, "existing interface lo is not a bridge"),
    ({"IPAM": {"Config": [{"Subnet": "10.99.0.0/33"}]}},
     "Invalid subnet 10.99.0.0/33 : invalid CIDR address: 10.99.0.0/33"),
    ({"IPAM": {"Config": [{"Subnet": "10.55.0.0/32"}]}},
     "failed to allocate gateway (): No available addresses on this pool"),
    ({"IPAM": {"Driver": "nosuch"}}, 'plugin "nosuch" not found'),
    ({"Driver": "overlay"},
     "connect this node to swarm and try again."),
    ({"Scope": "swarm"}, "cannot create a swarm scoped network when swarm is not active"),
    ({"Ingress": True}, "Ingress network can only be global scope network"),
    ({"Driver": "null"}, 'only one instance of "null" network is allowed'),
    ({"Driver": "none"}, 'plugin "none" not found'),
]  # fmt: skip


def test_what_cannot_be_is_refused_in_dockers_words(world):
    async def scenario(service):
        heard = []
        for request, _ in REFUSALS:
            with pytest.raises(EngineError) as refusal:
                await service.create({"Name": "x1", **request})
            heard.append(str(refusal.value))
        assert [network["Name"] for network in service.list()] == ["bridge", "host", "none"]
        return heard

    heard = world.run(scenario)
    for (_, expected), sentence in zip(REFUSALS, heard, strict=True):
        assert sentence.endswith(expected)


def test_a_network_is_made_from_a_configuration(world):
    async def scenario(service):
        pool = {"Config": [{"Subnet": "10.66.0.0/24"}]}
        await service.create({"Name": "plan", "ConfigOnly": True, "IPAM": pool, "Labels": {"a": "b"}})
        await service.create({"Name": "real", "ConfigFrom": {"Network": "plan"}})
        made = service.inspect("real")
        assert made["ConfigFrom"] == {"Network": "plan"}
        assert made["IPAM"]["Config"] == [{"Subnet": "10.66.0.0/24"}]
        assert service.inspect("plan")["Driver"] == "null"
        with pytest.raises(EngineError, match='configuration network "plan" is in use'):
            await service.remove("plan")
        with pytest.raises(EngineError, match="configuration only"):
            await world.start(service, ONE, mode="plan")
        assert await service.prune() == ["real"]

    world.run(scenario)


def test_inspect_shows_the_subnet_as_it_was_asked_for(world):
    async def scenario(service):
        asked = {"Subnet": "10.44.0.0/24", "IPRange": "10.44.0.128/25", "AuxiliaryAddresses": {"r": "10.44.0.129"}}
        await service.create({"Name": "mine", "IPAM": {"Config": [asked]}})
        box = await world.start(service, ONE, mode="mine")
        assert box.networks["mine"]["IPAddress"] == "10.44.0.128"
        two = await world.start(service, TWO, mode="mine")
        assert two.networks["mine"]["IPAddress"] == "10.44.0.130"
        return service.inspect("mine")["IPAM"]["Config"]

    assert world.run(scenario) == [
        {"Subnet": "10.44.0.0/24", "IPRange": "10.44.0.128/25", "AuxiliaryAddresses": {"r": "10.44.0.129"}}
    ]


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"type": ["wrong"]}, "invalid filter: 'type'='wrong'"),
        ({"nonsense": ["1"]}, "Invalid filter 'nonsense'"),
        (
            {"dangling": ["maybe"]},
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
        ),
    ],
)
def test_filters_without_meaning_are_refused(world, filters, sentence):
    async def scenario(service):
        with pytest.raises(EngineError) as refusal:
            service.list(filters)
        return str(refusal.value)

    assert world.run(scenario) == sentence
