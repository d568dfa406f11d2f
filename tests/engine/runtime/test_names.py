import json
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.runtime import names
from pydockmagic.engine.runtime.loop import Loop
from pydockmagic.engine.runtime.names import NameServer, answer, read_question

TABLE = {
    "names": {"web": ["172.18.0.2"], "web.my_net": ["172.18.0.2"], "all": ["172.18.0.2", "172.18.0.3"]},
    "reverse": {"172.18.0.2": "web.my_net"},
    "upstream": [],
}
A, PTR, MX, AAAA = 1, 12, 15, 28


def ask(name, kind=A, number=7, flags=0x0100):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) if name else b""
    return struct.pack("!HHHHHH", number, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def read(reply):
    """Give (number, flags, code, addresses or names) of a reply, read as a resolver reads it."""
    number, flags, questions, answers, _, _ = struct.unpack_from("!HHHHHH", reply)
    offset = reply.index(b"\0", 12) + 5
    found = []
    assert questions == 1
    for _ in range(answers):
        pointer, kind, class_, _, length = struct.unpack_from("!HHHIH", reply, offset)
        assert (pointer, class_) == (0xC00C, 1)
        data = reply[offset + 12 : offset + 12 + length]
        found.append(socket.inet_ntoa(data) if kind == A else data)
        offset += 12 + length
    assert offset == len(reply)
    return number, flags & ~15, flags & 15, found


def test_a_neighbour_is_known_by_name_and_with_its_network():
    for name in ("web", "WEB", "web.my_net"):
        assert read(answer(ask(name), TABLE)) == (7, 0x8180, 0, ["172.18.0.2"])


def test_a_shared_alias_gives_every_address():
    assert sorted(read(answer(ask("all"), TABLE))[3]) == ["172.18.0.2", "172.18.0.3"]


def test_a_known_name_without_such_a_record_exists_all_the_same():
    for kind in (AAAA, MX):
        assert read(answer(ask("web", kind), TABLE))[2:] == (0, [])


def test_an_address_leads_back_to_the_name():
    assert read(answer(ask("2.0.18.172.in-addr.arpa", PTR), TABLE))[3] == [b"\x03web\x06my_net\x00"]
    assert answer(ask("9.9.9.9.in-addr.arpa", PTR), TABLE) is None


def test_an_unknown_name_without_a_dot_does_not_exist():
    # Recorded from dockerd 20.10.24: docker run --net my_net busybox nslookup nosuch
    assert read(answer(ask("nosuch"), TABLE))[2:] == (3, [])


def test_all_else_is_for_the_hosts_resolvers():
    for request in (ask("example.com"), ask("nosuch", MX), ask(""), ask("web.other")):
        assert answer(request, TABLE) is None


@given(st.binary(max_size=80))
def test_any_bytes_can_come(data):
    read_question(data)
    answer(data, TABLE)


@given(st.lists(st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True), min_size=1, max_size=3), st.integers(0, 65535))
def test_questions_are_read_as_they_were_asked(labels, number):
    name = ".".join(labels)
    question = read_question(ask(name, number=number))
    assert (question.name, question.kind) == (name, A)


@pytest.mark.parametrize(
    "request_",
    [ask("web", flags=0x8100), ask("web")[:-1], ask("web")[:11], ask("web").replace(b"\x03web", b"\xc0\x0cwe")],
)
def test_what_is_no_question_is_not_answered(request_):
    assert answer(request_, TABLE) is None


class Server:
    """A name server in its loop, on a thread of its own."""

    def __init__(self, path, kind):
        self.loop = Loop()
        self.listener = socket.socket(socket.AF_INET, kind)
        self.listener.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            self.listener.listen()
        self.address = self.listener.getsockname()
        self.server = NameServer(self.loop, self.listener, str(path))
        self.inside, self.outside = socket.socketpair()
        self.loop.watch(self.inside.fileno(), 1, lambda _events: self.loop.stop())
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def close(self):
        self.outside.send(b"x")
        self.thread.join(10)
        self.server.close()
        self.loop.close()
        self.inside.close()
        self.outside.close()


@pytest.fixture
def start(tmp_path):
    started = []
    (tmp_path / "names.json").write_text(json.dumps(TABLE))

    def start_(kind):
        started.append(Server(tmp_path / "names.json", kind))
        return started[-1]

    yield start_
    for server in started:
        server.close()


@pytest.fixture
def resolver(monkeypatch):
    """One of the host's resolvers, on both protocols of one port."""
    datagrams, stream = one_port()
    for each in (datagrams, stream):
        each.settimeout(10)
    monkeypatch.setattr(names, "_PORT", datagrams.getsockname()[1])
    yield datagrams, stream
    datagrams.close()
    stream.close()


def one_port():
    """Give a socket of each protocol on a port that was free for both."""
    while True:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        try:
            return datagrams, socket.create_server(datagrams.getsockname())
        except OSError:  # somebody else has it for streams
            datagrams.close()


def change(tmp_path, **changes):
    new = tmp_path / "new"
    new.write_text(json.dumps({**TABLE, **changes}))
    new.replace(tmp_path / "names.json")


def client_of(server):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(10)
    client.connect(server.address)
    return client


def test_the_server_answers_from_its_file_as_it_stands_now(start, tmp_path):
    with client_of(start(socket.SOCK_DGRAM)) as client:
        client.send(ask("web"))
        assert read(client.recv(512))[3] == ["172.18.0.2"]
        change(tmp_path, names={"web": ["172.18.0.9"]})
        client.send(ask("web"))
        assert read(client.recv(512))[3] == ["172.18.0.9"]
        (tmp_path / "names.json").unlink()
        client.send(ask("web"))
        assert read(client.recv(512))[3] == ["172.18.0.9"]


def test_the_world_is_asked_through_the_hosts_resolver(start, tmp_path, resolver):
    change(tmp_path, upstream=["127.0.0.1"])
    with client_of(start(socket.SOCK_DGRAM)) as client:
        client.send(ask("example.com", number=99))
        request, server = resolver[0].recvfrom(512)
        assert request == ask("example.com", number=99)
        resolver[0].sendto(request[:2] + b"the answer", server)
        assert client.recv(512) == request[:2] + b"the answer"


def test_an_unreachable_resolver_is_passed_over(start, tmp_path, resolver):
    change(tmp_path, upstream=["127.0.0.2", "not an address", "127.0.0.1"])
    with client_of(start(socket.SOCK_DGRAM)) as client:
        client.send(ask("example.com"))
        request, server = resolver[0].recvfrom(512)
        resolver[0].sendto(request[:2] + b"!", server)
        assert client.recv(512) == request[:2] + b"!"


def test_without_any_resolver_the_server_has_failed(start):
    with client_of(start(socket.SOCK_DGRAM)) as client:
        client.send(b"short")
        client.send(ask("example.com"))
        assert read(client.recv(512))[2] == 2


def test_over_tcp_neighbours_are_answered_and_others_passed_on(start, tmp_path, resolver):
    change(tmp_path, upstream=["127.0.0.1"])
    with socket.create_connection(start(socket.SOCK_STREAM).address, 10) as client:
        own, other = ask("web"), ask("example.com")
        message = len(own).to_bytes(2, "big") + own
        client.sendall(message[:1])
        client.sendall(message[1:])
        length = int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
        assert read(client.recv(length, socket.MSG_WAITALL))[3] == ["172.18.0.2"]
        client.sendall(len(other).to_bytes(2, "big") + other)
        with resolver[1].accept()[0] as passed:
            assert passed.recv(512) == len(other).to_bytes(2, "big") + other
            passed.sendall(b"the answer")
            assert client.recv(512) == b"the answer"


def test_a_client_that_hangs_up_is_forgotten(start):
    server = start(socket.SOCK_STREAM)
    with socket.create_connection(server.address, 10) as client:
        client.sendall(b"\0")
    with socket.create_connection(server.address, 10) as client:
        own = ask("web")
        client.sendall(len(own).to_bytes(2, "big") + own)
        assert client.recv(2, socket.MSG_WAITALL)
