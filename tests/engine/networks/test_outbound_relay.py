"""Rootless: the sandbox, the relay and the service as an ordinary user has them, in one program per test."""

import json

import pytest
from support.ordinary import OrdinaryUser

pytestmark = pytest.mark.rootless

ENGINE = """
import asyncio, json, os, pathlib, select, socket, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pydockmagic.engine.runtime import linux, sandbox, wire
run_dir = pathlib.Path(sys.argv[1]); run_dir.mkdir(exist_ok=True)
info = sandbox.enter(run_dir)
network = sandbox.open_network(info)
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.networks import outbound, relay
from pydockmagic.engine.networks.records import SandboxRequest
from pydockmagic.engine.networks.service import NetworkService
from pydockmagic.engine.state import State

def inside(descriptor, function):
    def enter():
        linux.setns(descriptor, linux.CLONE_NEWNET)
        return function()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result()

class Host:
    '''A server on the host, on an address that is not its loopback.'''
    def __init__(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9)); self.address = probe.getsockname()[0]
        self.listener = socket.create_server((self.address, 0)); self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data.upper())

def talk(address, port, text):
    with socket.create_connection((address, port), 10) as connection:
        connection.sendall(text); connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

async def with_service(scenario):
    state = State(run_dir / "state.db")
    service = NetworkService(state, EventBus(), "feedc0de-0000", namespace=f"/proc/self/fd/{network}", run_dir=run_dir)
    try:
        await service.open()
        return await scenario(service)
    finally:
        await service.close(); state.close()

async def start(service, name="1" * 64, **request):
    return await service.attach(SandboxRequest(container_id=name, name="c", hostname="h", **request))

def ended(pid):
    try: descriptor = os.pidfd_open(pid)
    except ProcessLookupError: return True
    return bool(select.select([descriptor], [], [], 20)[0])

def relay_pid():
    with wire.connect(str(run_dir), relay.SOCKET) as connection:
        return wire.Receiver(connection).receive()[0]["pid"]
"""


@pytest.fixture(scope="module")
def user():
    ordinary = OrdinaryUser()
    yield ordinary
    ordinary.close()


def run(user, program, name):
    return json.loads(user.run(ENGINE + program, user.home / name).splitlines()[-1])


def test_connections_go_out_through_the_relay(user):
    program = """
async def scenario(service):
    host, box = Host(), await start(service)
    def ask(where, text):
        return asyncio.to_thread(inside, where, lambda: talk(host.address, host.port, text))
    short, long, own = [await ask(where, text) for where, text in (
        (box.net_fd, b"hello"), (box.net_fd, b"x" * 3_000_000), (network, b"own"))]
    return [short, long == "X" * 3_000_000, own, list(service.warnings)]
print(json.dumps(asyncio.run(with_service(scenario))))
"""
    assert run(user, program, "out") == ["HELLO", True, "OWN", []]


def test_datagrams_go_out_through_the_relay_to_several_places_at_once(user):
    program = """
def echo():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9)); address = probe.getsockname()[0]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); server.bind((address, 0))
    def serve():
        while True:
            data, peer = server.recvfrom(65536); server.sendto(data.upper(), peer)
    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()
def ask(*servers):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        for number, server in enumerate(servers):
            client.sendto(b"hello %d" % number, server)
        answers = [client.recvfrom(100) for _ in servers]
        return sorted([text.decode(), servers[int(text[-1:])] == server] for text, server in answers)
async def scenario(service):
    box, servers = await start(service), [echo(), echo()]
    return [await asyncio.to_thread(inside, where, lambda: ask(*servers)) for where in (box.net_fd, network)]
print(json.dumps(asyncio.run(with_service(scenario))))
"""
    both = [["HELLO 0", True], ["HELLO 1", True]]
    assert run(user, program, "datagrams") == [both, both]


def test_neighbours_are_reached_without_the_relay(user):
    program = """
async def scenario(service):
    one, two = await start(service), await start(service, "2" * 64)
    address = one.networks["bridge"]["IPAddress"]
    listener = inside(one.net_fd, lambda: socket.create_server((address, 80)))
    talking = asyncio.create_task(asyncio.to_thread(inside, two.net_fd, lambda: talk(address, 80, b"hello")))
    connection, peer = await asyncio.to_thread(listener.accept)
    with connection, listener:
        while await asyncio.to_thread(connection.recv, 100): pass
        connection.sendall(b"hello yourself")
    return [await talking, peer[0] == two.networks["bridge"]["IPAddress"]]
print(json.dumps(asyncio.run(with_service(scenario))))
"""
    assert run(user, program, "near") == ["hello yourself", True]


def test_the_hosts_loopback_stays_out_of_reach(user):
    program = """
async def scenario(service):
    box = await start(service)
    with socket.create_server(("127.0.0.1", 0)) as private:
        port = private.getsockname()[1]
        redirects = service._wiring._plumbing.firewall.redirects
        gateway = box.networks["bridge"]["Gateway"]
        refused = []
        for address, number in (("127.0.0.1", port), (gateway, port), (gateway, redirects.tcp)):
            try:
                refused.append(await asyncio.to_thread(inside, box.net_fd, lambda: talk(address, number, b"x")))
            except OSError as error:
                refused.append("refused")
        private.setblocking(False)
        try: private.accept(); refused.append("reached")
        except BlockingIOError: pass
    return refused
print(json.dumps(asyncio.run(with_service(scenario))))
"""
    assert run(user, program, "loop") in (["refused", "refused", ""], ["refused", "refused", "refused"])


def test_name_requests_reach_the_hosts_resolver(user):
    """The relay's own idea of the resolver is told by a resolv.conf that names a server of the test."""
    program = """
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); server.bind(("127.0.0.53", 0))
def serve():
    while True:
        data, peer = server.recvfrom(512); server.sendto(b"answer to " + data, peer)
threading.Thread(target=serve, daemon=True).start()
(run_dir / "resolv.conf").write_text("nameserver 127.0.0.53\\n")
text = outbound._LAUNCH.read_text().replace("__file__", repr(str(outbound._LAUNCH)))
changed = f"relay._DNS, relay._RESOLV_CONF = {server.getsockname()[1]}, Path({str(run_dir / 'resolv.conf')!r})"
start_it = 'import_module("pydockmagic.engine.networks.relay").main'
assert start_it in text
text = text.replace(start_it, f'relay = import_module("pydockmagic.engine.networks.relay"); {changed}; relay.main')
outbound._LAUNCH = run_dir / "launch.py"
outbound._LAUNCH.write_text(text)

def ask():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10); client.sendto(b"name?", ("8.8.8.8", 53))
        data, peer = client.recvfrom(512); return [data.decode(), list(peer)]

async def scenario(service):
    box = await start(service)
    return [await asyncio.to_thread(inside, where, ask) for where in (box.net_fd, network)]
print(json.dumps(asyncio.run(with_service(scenario))))
"""
    assert run(user, program, "dns") == [["answer to name?", ["8.8.8.8", 53]]] * 2


def test_the_relay_goes_with_the_engine_when_no_zygote_lives(user):
    program = """
pids = []
async def scenario(service):
    box = await start(service)
    await service._wiring._starting
    pids.append(relay_pid())
asyncio.run(with_service(scenario))
print(json.dumps([ended(pids[0]), (run_dir / relay.SOCKET).exists()]))
"""
    gone, left = run(user, program, "ends")
    assert gone
    assert not left


def test_the_relay_outlives_the_engine_while_the_zygote_lives_and_serves_the_next(user):
    program = """
launch = pathlib.Path(sandbox.__file__).with_name("launch.py")
subprocess.run([sys.executable, "-I", "-S", launch, run_dir, str(network)], pass_fds=[network], check=True)
zygote = wire.connect(str(run_dir), f"{wire.zygote_name()}.sock")
wire.send(zygote, {"id": 1, "op": "hello"}); wire.Receiver(zygote).receive()
host, pids = Host(), []

async def first(service):
    box = await start(service)
    await service._wiring._starting
    pids.append(relay_pid())
    return box.net_fd
descriptor = asyncio.run(with_service(first))
# No engine is there now: the container still reaches the world.
alone = inside(descriptor, lambda: talk(host.address, host.port, b"alone"))

async def second(service):
    pids.append(relay_pid())
    await service.recover(["1" * 64])
    again = await asyncio.to_thread(inside, descriptor, lambda: talk(host.address, host.port, b"again"))
    await service.release("1" * 64)
    return again
again = asyncio.run(with_service(second))
os.close(descriptor); zygote.close()
print(json.dumps([alone, again, pids[0] == pids[1], ended(pids[0])]))
"""
    assert run(user, program, "lives") == ["ALONE", "AGAIN", True, True]
