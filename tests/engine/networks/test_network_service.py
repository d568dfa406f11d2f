import asyncio
import json
import os
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest
from support.networks import NetworkWorld, inside, link_names, new_network, serve_once, wait_for_pipes

from pydockmagic.engine.errors import Conflict, EngineError, Forbidden, InvalidParameter, NoSuchNetwork, NotFound
from pydockmagic.engine.networks.files import host_file, nameservers
from pydockmagic.engine.networks.netlink import NetlinkSocket, find_link, links, routes
from pydockmagic.engine.networks.records import ConnectRequest, LinkTarget

pytestmark = pytest.mark.root
ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


@pytest.fixture
def world(tmp_path):
    made = NetworkWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def rooted(tmp_path):
    """The service as root has it: in the machine's own network."""
    before = machine()
    made = NetworkWorld(tmp_path, sandboxed=False)
    yield made
    made.close()
    assert machine() == before


def machine():
    """The traces that this engine could leave on the machine."""
    rules = "".join(
        subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for command in (["iptables-save"], ["nft", "list", "tables"])
    )
    ours = [line for line in rules.splitlines() if NetworkWorld.engine_id.replace("-", "") in line]
    with NetlinkSocket() as netlink:
        return ours, [link.name for link in links(netlink) if link.alias.startswith("pydock:feedc0de0000:")]


def address_of(sandbox, network="bridge"):
    return sandbox.networks[network]["IPAddress"]


def fetch(descriptor, address, port=80, seconds=5):
    def connect():
        with socket.create_connection((address, port), seconds) as connection:
            return connection.recv(100)

    return inside(descriptor, connect)


def test_the_three_predefined_networks_are_there_and_stay_the_same(world):
    async def scenario(service):
        return [(n["Name"], n["Driver"], n["Scope"], n["Id"]) for n in service.list()]

    first = world.run(scenario)
    assert [row[:3] for row in first] == [
        ("bridge", "bridge", "local"),
        ("host", "host", "local"),
        ("none", "null", "local"),
    ]
    assert world.run(scenario) == first


def test_the_default_bridge_is_inspected_as_docker_shows_it(world):
    async def scenario(service):
        await world.start(service, ONE, name="web")
        return service.inspect("bridge")

    shown = world.run(scenario)
    assert shown["IPAM"]["Driver"] == "default"
    assert shown["IPAM"]["Options"] is None
    assert shown["IPAM"]["Config"] == [
        {"Subnet": shown["IPAM"]["Config"][0]["Subnet"], "Gateway": shown["IPAM"]["Config"][0]["Gateway"]}
    ]
    container = shown["Containers"][ONE]
    assert container["Name"] == "web"
    assert container["IPv4Address"].endswith(".0.2/16")
    assert container["MacAddress"].startswith("02:42:")
    assert shown["Options"]["com.docker.network.bridge.default_bridge"] == "true"


def test_a_container_gets_an_address_a_route_and_its_files(world):
    async def scenario(service):
        return await world.start(
            service, ONE, hostname="h", domainname="d", extra_hosts=("a:1.2.3.4", "g:host-gateway")
        )

    sandbox = world.run(scenario)
    endpoint = sandbox.networks["bridge"]
    gateway = endpoint["Gateway"]
    assert sandbox.net == "given"
    assert endpoint["IPPrefixLen"] == 16
    assert endpoint["IPAMConfig"] is endpoint["Aliases"] is endpoint["DNSNames"] is None
    with inside(sandbox.net_fd, NetlinkSocket) as netlink:
        assert find_link(netlink, "eth0").mtu == 1500
        assert [route.gateway for route in routes(netlink) if route.gateway] == [gateway]
    assert sandbox.hosts.splitlines()[6:] == ["1.2.3.4\ta", f"{gateway}\tg", f"{endpoint['IPAddress']}\th.d h"]
    assert sandbox.resolv_conf.startswith(("nameserver", "search"))
    settings = inside(
        sandbox.net_fd,
        lambda: {
            name: Path("/proc/sys/net", name).read_text().strip()
            for name in ("ipv6/conf/all/disable_ipv6", "ipv4/ip_unprivileged_port_start")
        },
    )
    assert list(settings.values()) == ["1", "0"]


def test_containers_reach_each_other_over_the_bridge(world):
    async def scenario(service):
        one, two = await world.start(service, ONE), await world.start(service, TWO)
        assert address_of(one) != address_of(two)
        serve_once(one.net_fd, b"hello")
        assert await asyncio.to_thread(fetch, two.net_fd, address_of(one)) == b"hello"

    world.run(scenario)


def test_addresses_are_given_lowest_first_and_again_after_release(world):
    async def scenario(service):
        given = [address_of(await world.start(service, name)).rpartition(".")[2] for name in (ONE, TWO, THREE)]
        await service.release(ONE)
        await service.release(ONE)
        return given, address_of(await world.start(service, "4" * 64)).rpartition(".")[2]

    assert world.run(scenario) == (["2", "3", "4"], "2")


def test_a_running_container_keeps_its_address_over_a_restart_of_the_engine(world):
    async def before(service):
        return [address_of(await world.start(service, name)) for name in (ONE, TWO)], service.inspect("bridge")["Id"]

    addresses, network = world.run(before)
    assert "pydock0" in link_names(world.namespace)

    async def after(service):
        await service.recover([TWO])
        assert list(service.inspect("bridge")["Containers"]) == [TWO]
        assert service.networks_of(TWO)["bridge"]["IPAddress"] == addresses[1]
        three = await world.start(service, THREE)
        assert address_of(three) == addresses[0]
        return service.inspect("bridge")["Id"]

    assert world.run(after) == network


def test_nothing_is_left_when_no_container_is(world):
    async def scenario(service):
        await world.start(service, ONE)
        assert "pydock0" in link_names(world.namespace)
        os.close(world.descriptors.pop())
        await service.release(ONE)

    world.run(scenario)
    assert not {name for name in link_names(world.namespace) if name.startswith(("pydock", "br-"))}


def test_a_bridge_of_a_forgotten_network_is_removed_at_the_next_start(world, tmp_path):
    async def scenario(service):
        await world.start(service, ONE)
        await service.create({"Name": "mine"})

    world.run(scenario)
    stale = next(name for name in link_names(world.namespace) if name.startswith("br-"))
    (tmp_path / "state.db").unlink()

    async def again(service):
        assert stale not in link_names(world.namespace)

    world.run(again)


def test_what_a_dead_engine_left_is_swept_by_any_other(world, tmp_path):
    """A killed engine whose data root is gone never comes back to clean up."""
    folders = [tmp_path / name for name in ("dead", "living", "used")]
    for folder in folders:
        folder.mkdir()

    async def leave(service):
        await service.create({"Name": "mine"})

    async def leave_used(service):
        await world.start(service, ONE)
        await leave(service)

    def engine(folder, mark):
        other = NetworkWorld(folder, sandboxed=False)
        other.namespace, other.engine_id = world.namespace, mark
        return other

    def owners():
        with NetlinkSocket() as netlink:
            return sorted(link.alias.split(":")[1] for link in links(netlink) if link.alias)

    engine(folders[2], "used").killed(leave_used)
    engine(folders[0], "dead").killed(leave)
    assert inside(world.namespace, owners) == ["dead", "dead", "used", "used"]
    wait_for_pipes(world.namespace, 1)

    async def living(service):
        await leave(service)
        await asyncio.to_thread(world.run, own)

    async def own(service):
        assert inside(world.namespace, owners) == ["feedc0de0000", "living", "living", "used", "used"]

    engine(folders[1], "living").run(living)


def test_none_has_only_a_loopback_that_is_up(world):
    async def scenario(service):
        return await world.start(service, ONE, mode="none")

    sandbox = world.run(scenario)
    assert link_names(sandbox.net_fd) == {"lo"}
    assert sandbox.networks["none"]["EndpointID"]
    assert sandbox.networks["none"]["IPAddress"] == ""
    assert sandbox.ports == {}
    listener = inside(sandbox.net_fd, lambda: socket.create_server(("127.0.0.1", 0)))
    with listener, inside(sandbox.net_fd, lambda: socket.create_connection(listener.getsockname(), 5)):
        pass


def test_host_shares_the_machines_network_and_files(world):
    async def scenario(service):
        return await world.start(service, ONE, mode="host")

    sandbox = world.run(scenario)
    assert (sandbox.net, sandbox.net_fd) == ("host", None)
    assert sandbox.hosts == Path("/etc/hosts").read_text()
    assert sandbox.resolv_conf == Path("/etc/resolv.conf").read_text()


def test_container_mode_joins_the_others_namespace(world):
    async def scenario(service):
        return await world.start(service, ONE, mode=f"container:{TWO}", container_pid=4321)

    sandbox = world.run(scenario)
    assert sandbox.net == "/proc/4321/ns/net"
    assert sandbox.networks == {}


def test_links_are_lines_of_the_hosts_file(world):
    async def scenario(service):
        one = await world.start(service, ONE, name="web")
        two = await world.start(service, TWO, links=(LinkTarget(ONE, f"db {ONE[:12]} web"),))
        assert f"{address_of(one)}\tdb {ONE[:12]} web\n" in two.hosts

    world.run(scenario)


def test_a_port_clash_is_an_error_at_once_and_frees_the_address(world):
    async def scenario(service):
        bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
        one = await world.start(service, ONE, port_bindings=bindings, exposed=("80/tcp", "90/tcp"))
        port = int(one.ports["80/tcp"][0]["HostPort"])
        assert one.ports["90/tcp"] is None
        assert [(item.proto, item.target_port, item.target_ip) for item in one.forwards] == [
            ("tcp", 80, address_of(one))
        ]
        clash = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        with pytest.raises(EngineError) as refused:
            await world.start(service, TWO, name="two", port_bindings=clash)
        assert TWO not in service.inspect("bridge")["Containers"]
        three = await world.start(service, THREE)
        assert address_of(three).endswith(".3")
        return str(refused.value), port

    sentence, port = world.run(scenario)
    # Recorded from dockerd 20.10.24
    start = "driver failed programming external connectivity on endpoint two ("
    assert sentence.startswith(start)
    assert sentence.endswith(f"): Bind for 127.0.0.1:{port} failed: port is already allocated")
    assert len(sentence.removeprefix(start).partition(")")[0]) == 64


def test_events_are_dockers(world):
    async def scenario(service):
        await world.start(service, ONE)
        await service.release(ONE)

    world.run(scenario)
    told = [(event.type, event.action, dict(event.attributes)) for event in world.events.past()]
    attributes = {"container": ONE, "name": "bridge", "type": "bridge"}
    assert told == [("network", "connect", attributes), ("network", "disconnect", attributes)]


def test_a_network_of_ones_own_is_apart_from_the_others(world):
    async def scenario(service):
        created = await service.create({"Name": "mine", "Labels": {"a": "b"}})
        assert created["Warning"] == ""
        one = await world.start(service, ONE)
        two = await world.start(service, TWO, name="two", mode="mine", endpoints={"mine": {"Aliases": ["al"]}})
        endpoint = two.networks["mine"]
        assert endpoint["NetworkID"] == created["Id"]
        assert endpoint["Aliases"] == ["al"]
        assert endpoint["DNSNames"] == ["two", "al", TWO[:12]]
        assert endpoint["Gateway"] != one.networks["bridge"]["Gateway"]
        serve_once(one.net_fd, b"hello")
        with pytest.raises(OSError):
            await asyncio.to_thread(fetch, two.net_fd, address_of(one), 80, 0.3)
        with pytest.raises(Forbidden, match=f"network mine id {created['Id']} has active endpoints"):
            await service.remove("mine")
        await service.release(TWO)
        await service.remove("mine")
        assert not {name for name in link_names(world.namespace) if name.startswith("br-")}

    world.run(scenario)


def test_containers_on_a_network_of_their_own_have_a_name_server(rooted, tmp_path):
    rooted.run_dir = tmp_path

    def known(sandbox):
        (path,) = {forward.path for forward in sandbox.forwards if forward.proto == "dns"}
        return json.loads(Path(path).read_text())

    async def scenario(service):
        created = await service.create({"Name": "mine"})
        plain = await rooted.start(service, ONE)
        assert not plain.forwards
        assert "127.0.0.11" not in plain.resolv_conf
        web = await rooted.start(service, TWO, name="web", mode="mine", endpoints={"mine": {"Aliases": ["DB"]}})
        client = await rooted.start(service, THREE, name="client", mode="mine", dns=("9.9.9.9",))
        # Recorded from dockerd 20.10.24: docker run --net my_net busybox cat /etc/resolv.conf
        assert web.resolv_conf == "nameserver 127.0.0.11\noptions ndots:0\n"
        address = address_of(web, "mine")
        for names in (known(web), known(client)):
            for name in ("web", "db", TWO[:12], "web.mine", "db.mine"):
                assert names["names"][name] == [address]
            assert names["names"]["client"] == [address_of(client, "mine")]
            assert names["reverse"][address] == "web.mine"
            assert set(names["reverse"]) == {address, address_of(client, "mine")}
        assert known(client)["upstream"] == ["9.9.9.9"]
        assert known(web)["upstream"] == nameservers(host_file("/etc/resolv.conf"))
        # What is sent to port 53 comes to the sockets that the supervisor is given.
        udp, tcp = (socket.socket(fileno=os.dup(number)) for number in rooted.descriptors[-2:])
        with udp, tcp:
            udp.settimeout(5)
            question = inside(client.net_fd, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with question:
                question.settimeout(5)
                question.connect(("127.0.0.11", 53))
                question.send(b"who?")
                data, peer = udp.recvfrom(100)
                udp.sendto(data.upper(), peer)
                assert question.recv(100) == b"WHO?"
            with inside(client.net_fd, lambda: socket.create_connection(("127.0.0.11", 53), 5)):
                tcp.accept()[0].close()
        await service.release(TWO)
        assert "web" not in known(client)["names"]
        for name in (ONE, THREE):
            await service.release(name)
        assert list((tmp_path / "names").iterdir()) == []
        for descriptor in rooted.descriptors:
            os.close(descriptor)
        rooted.descriptors.clear()
        await service.remove(created["Id"])

    rooted.run(scenario)


def test_connect_and_disconnect_plug_a_running_container(world):
    async def scenario(service):
        await service.create({"Name": "mine"})
        one = await world.start(service, ONE, name="one")
        two = await world.start(service, TWO, name="two", mode="mine")
        serve_once(two.net_fd, b"hello")
        with await asyncio.to_thread(process_inside, one.net_fd) as container:
            request = ConnectRequest(container_id=ONE, name="one", pid=container.pid)
            joined = await service.connect("mine", request)
            assert joined.endpoint["IPAddress"].endswith(".3")
            assert [address for address, _ in joined.hosts] == [joined.endpoint["IPAddress"]]
            assert await asyncio.to_thread(fetch, one.net_fd, address_of(two, "mine")) == b"hello"
            assert set(service.networks_of(ONE)) == {"bridge", "mine"}
            with pytest.raises(Forbidden, match="endpoint with name one already exists in network mine"):
                await service.connect("mine", request)
            left = await service.disconnect("mine", ONE, pid=container.pid)
            assert left.lost == (joined.endpoint["IPAddress"],)
            assert link_names(one.net_fd) == {"lo", "eth0"}
            container.kill()
        with pytest.raises(Forbidden, match=f"container {ONE} is not connected to network mine"):
            await service.disconnect("mine", ONE)

    world.run(scenario)


def process_inside(descriptor):
    """Start a process inside a namespace, there when this returns."""
    return inside(descriptor, lambda: subprocess.Popen(["sleep", "60"]))


def test_what_cannot_be_connected_is_refused_in_dockers_words(world):
    async def scenario(service):
        request = ConnectRequest(container_id=ONE, name="one")
        refused = {}
        for name in ("host", "none", "nosuch"):
            with pytest.raises(EngineError) as error:
                await service.connect(name, request)
            refused[name] = str(error.value)
        return refused

    # Recorded from dockerd 20.10.24
    assert world.run(scenario) == {
        "host": "container cannot be disconnected from host network or connected to host network",
        "none": "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        "nosuch": "network nosuch not found",
    }


def test_networks_that_cannot_be_made_are_refused_in_dockers_words(world):
    async def scenario(service):
        await service.create({"Name": "sub", "IPAM": {"Config": [{"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.1"}]}})
        refused = []
        for request in (
            {"Name": "bridge"},
            {"Name": "x", "Driver": "nosuchdriver"},
            {"Name": "sub2", "IPAM": {"Config": [{"Subnet": "10.77.0.0/16"}]}},
            {"Name": "x", "IPAM": {"Config": [{"Subnet": "abc"}]}},
            {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.3.0.0/24", "Gateway": "10.4.0.1"}]}},
            {"Name": "sub"},
            {"Name": ""},
        ):
            with pytest.raises(EngineError) as error:
                await service.create(request)
            refused.append((type(error.value), str(error.value)))
        assert len(service.list()) == 4
        return refused

    # The first four: recorded from dockerd 20.10.24
    assert world.run(scenario) == [
        (Forbidden, "operation is not permitted on predefined bridge network"),
        (NotFound, 'plugin "nosuchdriver" not found'),
        (Forbidden, "Pool overlaps with other one on this address space"),
        (InvalidParameter, "Invalid subnet abc : invalid CIDR address: abc"),
        (InvalidParameter, "no matching subnet for gateway 10.4.0.1"),
        (Conflict, "network with name sub already exists"),
        (InvalidParameter, "invalid name: name is empty"),
    ]


def test_an_address_may_be_asked_for_only_in_a_subnet_of_ones_own(world):
    async def scenario(service):
        await service.create({"Name": "sub", "IPAM": {"Config": [{"Subnet": "10.77.0.0/24"}]}})
        await service.create({"Name": "auto"})

        async def ask(name, mode):
            settings = {mode: {"IPAMConfig": {"IPv4Address": "10.77.0.50"}}}
            return await world.start(service, name, mode=mode, endpoints=settings)

        assert address_of(await ask(ONE, "sub"), "sub") == "10.77.0.50"
        with pytest.raises(InvalidParameter, match="supported on user defined networks only"):
            await ask(TWO, "bridge")
        with pytest.raises(InvalidParameter, match="only when connecting to networks with user configured subnets"):
            await ask(TWO, "auto")
        with pytest.raises(Forbidden, match="Address already in use"):
            await ask(TWO, "sub")

    world.run(scenario)


def test_networks_are_found_by_name_id_and_prefix(world):
    async def scenario(service):
        id_ = (await service.create({"Name": "mine"}))["Id"]
        assert service.inspect("mine")["Id"] == service.inspect(id_)["Id"] == service.inspect(id_[:10])["Id"] == id_
        with pytest.raises(NoSuchNetwork, match="network nosuch not found"):
            service.inspect("nosuch")
        with pytest.raises(InvalidParameter, match="is ambiguous"):
            _ambiguous(service)

    world.run(scenario)


def _ambiguous(service):
    """Look up a prefix that two networks share, which are put there by hand: real ids hardly ever do."""
    network = service._catalogue.get("none")
    service._catalogue.put(msgspec.structs.replace(network, id=f"{network.id[:63]}x", name="twin"))
    service.inspect(network.id[:63])


def test_filters_choose_networks(world):
    async def scenario(service):
        await service.create({"Name": "mine", "Labels": {"a": "b"}})

        def names(**filters):
            return [network["Name"] for network in service.list({key: [value] for key, value in filters.items()})]

        assert names(driver="bridge") == ["bridge", "mine"]
        assert names(name="in") == ["mine"]
        assert names(type="custom") == ["mine"]
        assert names(type="builtin") == ["bridge", "host", "none"]
        assert names(label="a") == names(label="a=b") == ["mine"]
        assert names(label="a=c") == []
        assert names(dangling="true") == ["mine"]
        with pytest.raises(InvalidParameter, match="Invalid filter 'nonsense'"):
            names(nonsense="x")
        assert list(await service.prune({"until": ["24h"]})) == []
        assert list(await service.prune({"label!": ["a"]})) == []
        assert list(await service.prune({"until": ["2999-01-01"]})) == ["mine"]
        with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be removed"):
            await service.remove("bridge")

    world.run(scenario)


def test_several_networks_at_the_start_become_several_interfaces(world):
    async def scenario(service):
        await service.create({"Name": "mine"})
        sandbox = await world.start(service, ONE, endpoints={"bridge": {}, "mine": {"MacAddress": "02:00:00:00:00:09"}})
        assert link_names(sandbox.net_fd) == {"lo", "eth0", "eth1"}
        assert sandbox.networks["mine"]["MacAddress"] == "02:00:00:00:00:09"

    world.run(scenario)


def test_two_engines_live_side_by_side(world, tmp_path):
    other = NetworkWorld(tmp_path / "other", sandboxed=False)
    other.folder.mkdir()
    other.engine_id = "0ther000-0000"
    other.namespace, kept = world.namespace, other.namespace

    async def inner(service):
        return service.inspect("bridge")

    async def outer(service):
        return service.inspect("bridge"), await asyncio.to_thread(other.run, inner)

    first, second = world.run(outer)
    other.namespace = kept
    name = "com.docker.network.bridge.name"
    assert {first["Options"][name], second["Options"][name]} == {"pydock0", "pydock1"}
    assert first["IPAM"]["Config"][0]["Subnet"] != second["IPAM"]["Config"][0]["Subnet"]


def test_as_root_containers_reach_other_machines(rooted, tmp_path):
    """Another namespace, routed through this machine, plays the other machine."""
    outside = new_network()
    name = f"pdt{os.getpid()}"[:15]
    run = subprocess.run
    try:
        run(["ip", "link", "add", name, "type", "veth", "peer", "eth9", "netns", f"/proc/self/fd/{outside}"],
            check=True, pass_fds=[outside])  # fmt: skip
        run(["ip", "addr", "add", "198.51.100.1/30", "dev", name], check=True)
        run(["ip", "link", "set", name, "up"], check=True)

        async def scenario(service):
            assert service.warnings == ()
            sandbox = await rooted.start(service, ONE)
            serve_once(outside, b"from far", 80, "198.51.100.2")
            answer = await asyncio.to_thread(fetch, sandbox.net_fd, "198.51.100.2")
            os.close(rooted.descriptors.pop())
            await service.release(ONE)
            return answer

        inside(
            outside, lambda: run("ip addr add 198.51.100.2/30 dev eth9; ip link set eth9 up", shell=True, check=True)
        )
        # No route leads back to the container: only masquerading lets the answer come.
        assert rooted.run(scenario) == b"from far"
    finally:
        run(["ip", "link", "del", name], check=False)
        os.close(outside)


def test_where_bridges_are_refused_containers_keep_their_loopback_and_are_told(world, monkeypatch):
    from pydockmagic.engine.networks import wiring

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(wiring, "Plumbing", refuse)

    async def scenario(service):
        sandbox = await world.start(service, ONE)
        assert sandbox.net == "private"
        with pytest.raises(EngineError, match="ports cannot be published: bridge networking is not available here"):
            await world.start(service, TWO, port_bindings={"80/tcp": [{}]})
        assert (await world.start(service, THREE, mode="none")).net == "private"
        return sandbox.warnings

    assert world.run(scenario) == (
        "bridge networking is not available here (Operation not permitted): the container has only its loopback",
    )
