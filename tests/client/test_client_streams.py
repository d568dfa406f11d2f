# ruff: noqa: SIM117 - a daemon, its client and their stream are three things, one inside the other
from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.daemon import FakeDaemon, frame, socket_daemon

from pydockmagic.client import Client, Demultiplexer, Frame, NotFound, StreamInterrupted, parse_address

UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)


def pieces(data, cuts):
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    start = 0
    for end in ends:
        yield data[start:end]
        start = end


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_frames_come_out_whole_however_the_wire_cuts_them(sent, cuts):
    data = b"".join(frame(stream, payload) for stream, payload in sent)
    frames = Demultiplexer()
    got = {"stdout": b"", "stderr": b""}
    for piece in pieces(data, cuts):
        for each in frames.feed(piece):
            got[each.stream] += each.data
    assert got["stdout"] == b"".join(payload for stream, payload in sent if stream == 1)
    assert got["stderr"] == b"".join(payload for stream, payload in sent if stream == 2)


def test_a_header_that_is_none_is_refused():
    with pytest.raises(StreamInterrupted, match="Unrecognized input header"):
        list(Demultiplexer().feed(b"plain text"))


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), max_size=6))
def test_json_streams_need_no_line_ends(objects):
    raw = "".join(json.dumps(each, ensure_ascii=False) for each in objects).encode()
    daemon = FakeDaemon().on("GET", "/events", raw=raw)
    assert list(daemon.client().events()) == objects


def test_a_json_stream_cut_off_is_told():
    daemon = FakeDaemon().on("GET", "/events", raw=b'{"a": 1}\n{"b"')
    events = iter(daemon.client().events())
    assert next(events) == {"a": 1}
    with pytest.raises(StreamInterrupted):
        next(events)


def test_a_log_of_a_terminal_has_no_frames():
    daemon = FakeDaemon().on("GET", "/containers/x/logs", raw=b"raw \x01 text")
    assert list(daemon.client().container_logs("x", tty=True)) == [Frame("stdout", b"raw \x01 text")]


def attach_daemon(path, talk):
    def handler(request, connection, rest):
        if "/attach" in request:
            connection.sendall(UPGRADED)
            talk(connection)
        elif "/wait" in request:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        else:
            connection.sendall(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n" + b'{"message":"not there"}'[:22]
            )

    return socket_daemon(path, handler)


def test_input_and_output_share_a_hijacked_connection(tmp_path):
    def talk(connection):
        heard = b""
        while data := connection.recv(100):  # until our half of it is closed
            heard += data
        connection.sendall(frame(1, b"heard " + heard) + frame(2, b"done"))

    with attach_daemon(tmp_path / "s", talk) as daemon, Client(parse_address(daemon.address)) as client:
        with client.container_attach("x", stdin=True) as stream:
            stream.write(b"one ")
            stream.write(b"two")
            stream.close_stdin()
            assert list(stream) == [Frame("stdout", b"heard one two"), Frame("stderr", b"done")]


def test_bytes_that_come_with_the_upgrade_are_not_lost(tmp_path):
    def handler(_request, connection, _rest):
        connection.sendall(UPGRADED + frame(1, b"early"))

    with socket_daemon(tmp_path / "s", handler) as daemon, Client(parse_address(daemon.address)) as client:
        with client.container_attach("x") as stream:
            assert list(stream) == [Frame("stdout", b"early")]


def test_closing_from_another_thread_wakes_the_reader(tmp_path):
    reading = threading.Event()
    with attach_daemon(tmp_path / "s", lambda connection: connection.recv(1)) as daemon:
        with Client(parse_address(daemon.address)) as client:
            stream = client.container_attach("x")

            def close():
                reading.wait()
                stream.close()

            closer = threading.Thread(target=close)
            closer.start()
            reading.set()
            assert stream.read() == b""
            closer.join()
            assert stream.closed


def test_events_can_be_closed_from_another_thread(tmp_path):
    def handler(_request, connection, _rest):
        connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"a": 1}\n\r\n')
        connection.recv(1)

    with socket_daemon(tmp_path / "s", handler) as daemon, Client(parse_address(daemon.address)) as client:
        events = client.events()
        got = []
        for event in events:
            got.append(event)
            threading.Thread(target=events.close).start()
        assert got == [{"a": 1}]


def test_a_silent_stream_times_out_and_can_be_read_on(tmp_path):
    go_on = threading.Event()

    def talk(connection):
        go_on.wait()
        connection.sendall(frame(1, b"late"))

    with attach_daemon(tmp_path / "s", talk) as daemon, Client(parse_address(daemon.address)) as client:
        with client.container_attach("x") as stream:
            with pytest.raises(TimeoutError):
                stream.read(timeout=0.01)
            go_on.set()
            assert list(stream) == [Frame("stdout", b"late")]


def test_a_refused_attach_is_an_ordinary_refusal(tmp_path):
    def handler(_request, connection, _rest):
        body = b'{"message":"No such container: x"}'
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with socket_daemon(tmp_path / "s", handler) as daemon, Client(parse_address(daemon.address)) as client:
        with pytest.raises(NotFound, match="No such container: x"):
            client.container_attach("x")


def test_a_wait_returns_as_soon_as_it_is_registered(tmp_path):
    ended = threading.Event()

    def handler(_request, connection, _rest):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        ended.wait()
        body = b'{"StatusCode": 3}'
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    with socket_daemon(tmp_path / "s", handler) as daemon, Client(parse_address(daemon.address)) as client:
        with client.container_wait_begin("x") as pending:
            ended.set()
            assert pending.result() == {"StatusCode": 3}
