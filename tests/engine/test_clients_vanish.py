"""Clients that break off, half-close or stop reading: the engine goes on serving, and holds nothing of theirs."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import websocket
from support import leaks
from support.api import Api, frames, read_all
from support.engine import engine

pytestmark = pytest.mark.root

_CHATTER = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"


class World(NamedTuple):
    api: Api
    estate: leaks.Estate


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("vanish")
    with engine(folder) as address:
        api = Api(address)
        api.pull("busybox")
        with _connected(api) as probe:
            pid = struct.unpack("iII", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        yield World(api, leaks.Estate(pid, api, (folder,)))
        api.clear()


@pytest.fixture(scope="module")
def chatter(world: World) -> Iterator[str]:
    """A container that prints for ever, and reads nothing."""
    container = world.api.create("sh", "-c", _CHATTER, OpenStdin=True)
    world.api.post(f"/containers/{container}/start")
    yield container
    world.api("DELETE", f"/containers/{container}", force="1")


@contextlib.contextmanager
def _connected(api: Api) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as taken:
        taken.settimeout(20)
        taken.connect(api.path)
        yield taken


def _supervisor(api: Api, container: str) -> int:
    return leaks.parent(api.state(container)["Pid"])


def _held(world: World, container: str) -> Counter[str]:
    """Name what could leak: descriptors and tasks of the engine, descriptors of the supervisor."""
    found = Counter({"tasks": world.api.get("/info")["NGoroutines"]})
    for who, pid in (("engine", world.estate.pid), ("supervisor", _supervisor(world.api, container))):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found[f"{who}: {re.sub('[0-9]+', 'N', str(descriptor.readlink()))}"] += 1
    return found


def _nothing_more(world: World, container: str, before: Counter[str]) -> None:
    """Wait until nothing is held that was not before."""
    deadline = time.monotonic() + 10
    while more := _held(world, container) - before:
        assert time.monotonic() < deadline, more
        time.sleep(0.02)


STREAMS = {
    "logs -f": ("GET", "/containers/{id}/logs?follow=1&stdout=1&stderr=1", ""),
    "stats": ("GET", "/containers/{id}/stats", ""),
    "attach": ("POST", "/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1", "tcp"),
    "attach with logs": ("POST", "/containers/{id}/attach?stream=1&logs=1&stdout=1", "tcp"),
    "attach, the old way": ("POST", "/containers/{id}/attach?stream=1&stdout=1", ""),
    "events": ("GET", "/events", ""),
    "export": ("GET", "/containers/{id}/export", ""),
    "archive": ("GET", "/containers/{id}/archive?path=/bin", ""),
    "wait": ("POST", "/containers/{id}/wait?condition=next-exit", ""),
    "wait for removal": ("POST", "/containers/{id}/wait?condition=removed", ""),
}


@pytest.mark.parametrize("what", STREAMS)
@pytest.mark.parametrize("how", ["close", "reset", "half-close then close"])
def test_a_client_that_vanishes_takes_everything_along(world, chatter, what, how):
    method, path, upgrade = STREAMS[what]
    head = f"{method} {path.format(id=chatter)} HTTP/1.1\r\nHost: d\r\n"
    head += f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n" if upgrade else ""
    leaks.until(lambda: "line" in world.api.logs(chatter), "nothing is printed")
    before = _held(world, chatter)
    for _ in range(5):
        with _connected(world.api) as taken:
            taken.sendall(head.encode() + b"\r\n")
            assert taken.recv(12).startswith(b"HTTP/1.1 ")
            if how == "reset":
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how.startswith("half"):
                taken.shutdown(socket.SHUT_WR)
    _nothing_more(world, chatter, before)
    assert world.api.state(chatter)["Running"]


@pytest.mark.parametrize("cut", [0, 3, 7, 8, 12])
def test_an_exec_whose_client_leaves_runs_on_and_holds_nothing(world, chatter, cut):
    before = _held(world, chatter)
    made = world.api.post(
        f"/containers/{chatter}/exec",
        {"Cmd": ["sh", "-c", "echo hello; read x; echo $x > /read"], "AttachStdin": True, "AttachStdout": True},
    )["Id"]
    taken, _ = world.api.upgrade(f"/exec/{made}/start", {})
    got = b""
    while len(got) < cut:
        got += taken.recv(cut - len(got))
    taken.close()
    leaks.until(lambda: not world.api.get(f"/exec/{made}/json")["Running"], "the exec does not notice its stdin's end")
    _nothing_more(world, chatter, before)


def test_a_client_that_reads_nothing_holds_up_neither_the_others_nor_the_engine(world, chatter):
    with _connected(world.api) as deaf, _connected(world.api) as hearing:
        for taken in (deaf, hearing):
            taken.sendall(
                f"POST /containers/{chatter}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
                "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()
            )
        data = b""
        while data.count(b"line") < 20:
            data += hearing.recv(4096)
    assert world.api.state(chatter)["Running"]


def test_several_clients_hear_the_same_and_one_that_leaves_disturbs_nobody(world):
    container = world.api.create("sh", "-c", "while read x; do echo got $x; done", OpenStdin=True)
    world.api.post(f"/containers/{container}/start")
    path = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1"
    first, second, third = (world.api.upgrade(path)[0] for _ in range(3))
    first.sendall(b"one\n")
    for taken in (first, second, third):
        assert taken.recv(100) == b"\1\0\0\0\0\0\0\x08got one\n"
    first.close()
    second.sendall(b"two\n")
    assert second.recv(100) == third.recv(100) == b"\1\0\0\0\0\0\0\x08got two\n"
    world.api("DELETE", f"/containers/{container}", force="1")
    assert read_all(second) == read_all(third) == b""


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"Detach": 1}', b'{"Detach": true'])
def test_a_broken_start_of_an_exec_is_a_400_and_leaves_it_startable(world, chatter, body):
    made = world.api.post(f"/containers/{chatter}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
    with _connected(world.api) as taken:
        taken.sendall(
            f"POST /exec/{made}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
            f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert taken.recv(65536).startswith(b"HTTP/1.1 400 ")
    taken, _ = world.api.upgrade(f"/exec/{made}/start", {})
    assert read_all(taken) == b""
    assert world.api.get(f"/exec/{made}/json")["ExitCode"] == 0


def test_a_hijack_that_breaks_off_before_its_body_is_whole_ends_quietly(world, chatter):
    before = _held(world, chatter)
    made = world.api.post(f"/containers/{chatter}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
    with _connected(world.api) as taken:
        taken.sendall(
            f"POST /exec/{made}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 100\r\n\r\n{".encode()
        )
    _nothing_more(world, chatter, before)
    assert not world.api.get(f"/exec/{made}/json")["Running"]


@pytest.mark.parametrize("half_close", [False, True])
def test_a_client_that_leaves_a_silent_container_is_noticed_all_the_same(world, chatter, half_close):
    silent = world.api.create("sleep", "600", OpenStdin=True, StdinOnce=True)
    waiting = world.api.create("true", OpenStdin=True)
    world.api.post(f"/containers/{silent}/start")
    before = _held(world, chatter)
    for container in (silent, waiting):
        taken, _ = world.api.upgrade(f"/containers/{container}/attach?stream=1&stdin=1&stdout=1")
        if half_close:
            taken.shutdown(socket.SHUT_WR)
        taken.close()
    _nothing_more(world, chatter, before)
    for container in (silent, waiting):
        world.api("DELETE", f"/containers/{container}", force="1")


# --- websockets --------------------------------------------------------------------------------------------------


def _websocket(api: Api, path: str, **options: object) -> websocket.WebSocket:
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    taken.connect(api.path)
    try:
        return websocket.create_connection(f"ws://localhost{path}", socket=taken, timeout=20, **options)
    except BaseException:
        taken.close()
        raise


def test_a_websocket_carries_both_ways_without_frames_of_dockers(world):
    container = world.api.create("sh", "-c", "while read x; do echo got $x; done; exit 3", OpenStdin=True)
    world.api.post(f"/containers/{container}/start")
    talk = _websocket(world.api, f"/v1.50/containers/{container}/attach/ws?stream=1&stdin=1&stdout=1")
    talk.send("one\n")
    assert talk.recv() == b"got one\n"
    talk.ping("still there?")
    assert talk.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"still there?")
    long = b"x" * 70_000
    talk.send_binary(long + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        data += talk.recv()
    assert data == b"got " + long + b"\n"
    world.api.post(f"/containers/{container}/kill")
    opcode, payload = talk.recv_data(control_frame=True)
    talk.shutdown()
    assert (opcode, payload) == (websocket.ABNF.OPCODE_CLOSE, struct.pack(">H", 1000))
    world.api("DELETE", f"/containers/{container}", force="1")


def test_a_websocket_of_another_origin_or_without_a_handshake_is_refused(world, chatter):
    path = f"/v1.50/containers/{chatter}/attach/ws?stream=1"
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        _websocket(world.api, path, origin="http://elsewhere.example")
    answer = world.api("GET", path)
    assert (answer.status, answer.message) == (400, "not websocket protocol")
    with pytest.raises(websocket.WebSocketBadStatusException, match="404"):
        _websocket(world.api, "/v1.50/containers/nosuch/attach/ws?stream=1")


@pytest.mark.parametrize(
    "bad",
    [b"\x82\x01x", b"\xf2\x80\0\0\0\0", b"\x83\x80\0\0\0\0", b"\x09\x80\0\0\0\0", b"\x89\xfe\0\x80\0\0\0\0", b"\x82"],
)
def test_a_websocket_that_breaks_the_protocol_is_closed_and_holds_nothing(world, chatter, bad):
    before = _held(world, chatter)
    talk = _websocket(world.api, f"/v1.50/containers/{chatter}/attach/ws?stream=1&stdin=1")
    talk.sock.sendall(bad)
    if len(bad) > 1:
        assert talk.recv_data(control_frame=True)[1] == struct.pack(">H", 1002)
    talk.shutdown()
    _nothing_more(world, chatter, before)


# --- detaching ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "typed"), [("", [b"\x10\x11"]), ("", [b"\x10", b"\x11"]), ("ctrl-a,x", [b"\x01", b"x"]), ("q,q", [b"qq"])]
)
def test_the_detach_keys_leave_a_terminal_that_runs_on(world, keys, typed):
    container = world.api.create("cat", Tty=True, OpenStdin=True)
    world.api.post(f"/containers/{container}/start")
    with world.api.events(filters={"container": [container]}) as found:
        taken, _ = world.api.upgrade(
            f"/containers/{container}/attach?stream=1&stdin=1&stdout=1" + (f"&detachKeys={keys}" if keys else "")
        )
        taken.sendall(b"hi\n")
        assert taken.recv(100)
        for piece in typed:
            taken.sendall(piece)
        read_all(taken)
        actions = [found.get(timeout=10)["Action"] for _ in range(2)]
    assert actions == ["attach", "detach"]
    assert world.api.state(container)["Running"]
    made = world.api.post(
        f"/containers/{container}/exec",
        {"Cmd": ["cat"], "Tty": True, "AttachStdin": True, "AttachStdout": True, "DetachKeys": keys},
    )["Id"]
    taken, _ = world.api.upgrade(f"/exec/{made}/start", {"Tty": True})
    for piece in typed:
        taken.sendall(piece)
    read_all(taken)
    assert world.api.get(f"/exec/{made}/json")["Running"]
    world.api("DELETE", f"/containers/{container}", force="1")


def test_detach_keys_that_do_not_exist_are_refused(world, chatter):
    for path, body in ((f"/containers/{chatter}/attach", None), (f"/containers/{chatter}/exec", {"Cmd": ["true"]})):
        fields = body and {**body, "DetachKeys": "ctrl-1,nonsense"}
        answer = world.api("POST", path, fields, **({} if body else {"detachKeys": "ctrl-1,nonsense"}))
        assert answer.status == 400
        assert b"Invalid detach keys (ctrl-1,nonsense) provided" in answer.body


# --- logs --------------------------------------------------------------------------------------------------------


def test_a_million_lines_arrive_whole_and_in_order(world):
    container = world.api.create("seq", "200000")
    taken, _ = world.api.upgrade(f"/containers/{container}/attach?stream=1&stdout=1")
    world.api.post(f"/containers/{container}/start")
    expected = "".join(f"{number}\n" for number in range(1, 200_001)).encode()
    assert b"".join(data for _, data in frames(read_all(taken))) == expected
    assert world.api.logs(container).encode() == expected
    world.api("DELETE", f"/containers/{container}", force="1")


def test_a_follower_hears_of_every_line_though_the_log_is_rotated(world):
    container = world.api.create(
        "sh", "-c", "seq 30000; sleep 0.1; seq 30000", HostConfig={"LogConfig": {
            "Type": "json-file", "Config": {"max-size": "200k", "max-file": "100", "compress": "true"}}},
    )  # fmt: skip
    world.api.post(f"/containers/{container}/start")
    raw = world.api("GET", f"/containers/{container}/logs", stdout="1", follow="1").body
    assert [int(data) for _, data in frames(raw)] == [*range(1, 30_001)] * 2
    path = Path(world.api.get(f"/containers/{container}/json")["LogPath"])
    assert (path.parent / f"{path.name}.2.gz").exists()
    with path.open() as file:
        assert json.loads(file.readline()).keys() == {"log", "stream", "time"}
    assert world.api.logs(container).split() == [str(n) for n in range(1, 30_001)] * 2
    started = time.time()
    assert world.api("GET", f"/containers/{container}/logs", stdout="1", since=str(started)).body == b""
    world.api("DELETE", f"/containers/{container}", force="1")
