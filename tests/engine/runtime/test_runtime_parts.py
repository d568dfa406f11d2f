"""Parts of the driver by themselves: messages, streams, the log's encoding, users."""

import gzip
import json
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.runtime import bundle, container_init, identity, logs, refusal, rootfs, streams, wire
from pydockmagic.engine.runtime.loop import READ, Loop

# --- messages ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ends():
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield pair
    for end in pair:
        end.close()


@pytest.mark.parametrize("size", [0, 10, 95_000, 97_000, 3_000_000])
def test_messages_of_any_size_arrive(ends, size):
    wire.send(ends[0], {"text": "x" * size})
    assert wire.Receiver(ends[1]).receive() == ({"text": "x" * size}, [])


def test_more_descriptors_than_the_kernel_takes_at_once_arrive_in_order(ends):
    files = [os.memfd_create(f"f{number}") for number in range(600)]
    for number, descriptor in enumerate(files):
        os.write(descriptor, b"%d" % number)
    receiver = wire.Receiver(ends[1])
    wire.send(ends[0], {"big": "x" * 200_000}, files)
    message, received = receiver.receive()
    assert [os.pread(descriptor, 10, 0) for descriptor in received] == [b"%d" % number for number in range(600)]
    assert len(message["big"]) == 200_000
    assert not any(os.get_inheritable(descriptor) for descriptor in received)
    wire.close_all([*files, *received])


def test_the_end_of_a_connection_is_none(ends):
    ends[0].close()
    assert wire.Receiver(ends[1]).receive() is None


def test_sockets_with_long_paths_are_reached(tmp_path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    listener = wire.listen(str(folder), "s")
    assert (folder / "s").stat().st_mode & 0o777 == 0o600
    wire.connect(str(folder), "s").close()
    listener.close()


# --- streams -----------------------------------------------------------------------------------------------------


class Program:
    """The other side of the pipes, as a process would have it."""

    def __init__(self, loop):
        out, self.stdout = os.pipe()
        err, self.stderr = os.pipe()
        self.stdin, into = os.pipe()
        self.streams = streams.Streams(loop, {1: out, 2: err}, into, terminal=False, log=None)

    def end(self):
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.close(descriptor)


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def attach(program, **request):
    ours, theirs = socket.socketpair()
    program.streams.attach(theirs, {"stdin": False, "stdout": True, "stderr": True, **request})
    ours.settimeout(10)
    return ours


def test_a_client_that_never_reads_is_let_go(loop, monkeypatch):
    monkeypatch.setattr(streams, "BUFFER", 100_000)
    monkeypatch.setattr(streams, "PATIENCE", 0.05)
    program = Program(loop)
    stuck = attach(program)
    os.set_blocking(program.stdout, False)
    sent = 0

    def write(_events):
        nonlocal sent
        try:
            sent += os.write(program.stdout, b"x" * 60_000)
        except BlockingIOError:
            return
        if sent > 3_000_000:
            loop.forget(program.stdout)
            program.end()

    loop.watch(program.stdout, 4, write)
    program.streams.when_done(loop.stop)
    loop.run()
    assert sent > 3_000_000
    stuck.close()


def test_input_waits_for_a_program_that_does_not_read(loop):
    program = Program(loop)
    client = attach(program, stdin=True)
    data = os.urandom(1_000_000)
    client.settimeout(0)
    offered = 0

    def offer(_events):
        nonlocal offered
        if offered < len(data):
            offered += client.send(data[offered : offered + 50_000])
        if offered == len(data):
            loop.forget(client.fileno())
            client.shutdown(socket.SHUT_WR)

    taken = []

    def take(_events):
        part = os.read(program.stdin, 30_000)
        taken.append(part)
        if not part:
            loop.forget(program.stdin)
            loop.stop()

    loop.watch(client.fileno(), 4, offer)
    loop.watch(program.stdin, READ, take)
    loop.run()
    assert b"".join(taken) == data
    client.close()
    program.streams.when_done(loop.stop)
    program.end()
    loop.run()


def test_a_program_that_stops_reading_costs_only_its_input(loop):
    program = Program(loop)
    client = attach(program, stdin=True)
    os.close(program.stdin)
    client.send(b"nobody reads this")
    os.write(program.stdout, b"still here")
    loop.after(0.05, loop.stop)
    loop.run()
    assert client.recv(100) == struct.pack(">BxxxI", 1, 10) + b"still here"
    client.close()
    program.streams.when_done(loop.stop)
    os.close(program.stdout)
    os.close(program.stderr)
    loop.run()


def test_a_fault_in_a_callback_does_not_end_the_loop(loop, capfd):
    def fail():
        raise ZeroDivisionError

    loop.after(0, fail)
    loop.after(0.01, loop.stop)
    loop.run()
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_cancelled_timer_is_not_called(loop):
    called = []
    loop.after(0, lambda: called.append(1)).cancel()
    loop.after(0.01, loop.stop)
    loop.run()
    assert not called


# --- logs --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=60_000), st.lists(st.integers(1, 20_000), max_size=8))
def test_the_log_holds_what_was_written_however_it_was_cut(tmp_path_factory, data, cuts):
    path = tmp_path_factory.mktemp("log") / "log"
    writer = logs.LogWriter({"driver": "json-file", "path": str(path), "max_size": 0, "max_file": 1, "labels": ()})
    rest = data
    for cut in cuts:
        writer.write("stdout", rest[:cut])
        rest = rest[cut:]
    writer.write("stdout", rest)
    writer.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(len(entry["log"].encode("utf-8", "replace")) <= 3 * logs.LINE_LIMIT + 1 for entry in entries)
    assert [entry["stream"] for entry in entries] == ["stdout"] * len(entries)
    decoded = data.decode("utf-8", "surrogateescape")
    expected = "".join("\ufffd" if 0xDC80 <= ord(character) < 0xDD00 else character for character in decoded)
    written = "".join(entry["log"] for entry in entries)
    if max((len(line) for line in data.split(b"\n")), default=0) < logs.LINE_LIMIT:  # else a part may end in a letter
        assert written == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
def test_every_text_is_encoded_so_that_it_can_be_read_back(text):
    assert json.loads(b'"' + logs.encode(text.encode()) + b'"') == text


def test_html_and_line_separators_are_escaped_as_go_does():
    assert logs.encode('<a href="x">&\u2028\x7f\t'.encode()) == (
        b'\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\x7f\\u0009'
    )  # fmt: skip


@given(
    st.lists(st.binary(max_size=400).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=60),
    st.integers(1, 3000), st.integers(2, 4), st.booleans(),
)  # fmt: skip
def test_rotated_files_together_are_the_end_of_what_was_written(tmp_path_factory, lines, limit, files, compress):
    path = tmp_path_factory.mktemp("log") / "log"
    writer = logs.LogWriter(
        {"driver": "local", "path": str(path), "max_size": limit, "max_file": files, "labels": (), "compress": compress}
    )
    for start in range(0, len(lines), 7):
        writer.write("stdout", b"".join(lines[start : start + 7]))
    writer.close()
    whole = b""
    names = {name.name for name in path.parent.iterdir()}
    for number in range(files - 1, 0, -1):
        if f"log.{number}" in names:
            assert not compress
            whole += (path.parent / f"log.{number}").read_bytes()
        elif f"log.{number}.gz" in names:
            whole += gzip.decompress((path.parent / f"log.{number}.gz").read_bytes())
    assert len(names) <= files
    whole += path.read_bytes()
    kept = [json.loads(line)["log"] for line in whole.splitlines()]
    expected = [line.decode(errors="surrogateescape") for line in lines]
    expected = ["".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in line) for line in expected]
    assert kept == expected[len(expected) - len(kept) :]
    assert len(kept) == len(expected) or len(names) == files


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (1_500_000_000_000_000_000, "2017-07-14T02:40:00Z"),
        (1_500_000_000_120_000_000, "2017-07-14T02:40:00.12Z"),
        (1_500_000_000_000_000_001, "2017-07-14T02:40:00.000000001Z"),
    ],
)
def test_times_are_gos(nanoseconds, text):
    assert logs.timestamp(nanoseconds) == text


def test_a_full_disk_does_not_stop_the_writer(tmp_path):
    target = {"driver": "json-file", "path": "/dev/full", "max_size": 0, "max_file": 1, "labels": ()}
    writer = logs.LogWriter(target)
    writer.write("stdout", b"lost\n")
    writer.close()


# --- the rest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "command", "code"),
    [
        ('exec: "x": executable file not found in $PATH', "x", 127),
        ('exec: "x": stat x: no such file or directory', "x", 127),
        ("mkdir /proc/y: no such file or directory", "x", 128),
        ('exec: "x": permission denied', "x", 126),
        ("mount a:b: not a directory", "x", 126),
        ("anything else", "x", 128),
    ],
)
def test_the_exit_code_follows_from_the_sentence(sentence, command, code):
    assert refusal.exit_code(sentence, command) == code


def test_capabilities_have_the_kernels_numbers():
    assert identity.capability_mask(["CAP_CHOWN", "CAP_SYS_ADMIN"]) == 1 | 1 << 21
    with pytest.raises(refusal.Refusal, match="unknown capability"):
        identity.capability_mask(["CAP_NOSUCH"])


def test_special_characters_in_layer_paths_are_escaped():
    root = {"lower": ["/a:b", "/c,d"], "upper": "/u\\v", "work": "/w", "userxattr": True}
    assert rootfs.overlay_options(root) == ("lowerdir=/a\\:b:/c\\,d,upperdir=/u\\\\v,workdir=/w,index=off,userxattr")


def test_an_init_must_be_static(tmp_path):
    static = b"\x7fELF\x02" + bytes(27) + (64).to_bytes(8, "little") + bytes(14) + (56).to_bytes(2, "little")
    static += (1).to_bytes(2, "little") + bytes(6)
    assert container_init._is_static(static + (1).to_bytes(4, "little"))
    assert not container_init._is_static(static + (3).to_bytes(4, "little"))
    assert not container_init._is_static(b"#!/bin/sh")


def test_a_json_file_is_whole_or_not_there(tmp_path):
    path = str(tmp_path / "state.json")
    assert bundle.read_json(path) is None
    bundle.write_json(path, {"a": 1})
    assert bundle.read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_lost_container_is_settled_only_once(tmp_path):
    bundle.settle(str(tmp_path))
    first = bundle.read_json(str(tmp_path / "exit.json"))
    assert first["code"] == 137
    bundle.settle(str(tmp_path))
    assert bundle.read_json(str(tmp_path / "exit.json")) == first
    bundle.settle(str(tmp_path / "nosuch"))


def test_processes_are_told_apart_by_their_start():
    assert bundle.process_start(os.getpid()) > 0
    assert bundle.process_start(2**22 + 1) == 0
