import asyncio
import json
import os
import socket

import pytest
from support.runtime import ALL, BOTH, read_until, talk, unframe

from pydockmagic.engine.runtime import streams
from pydockmagic.engine.runtime.driver import AttachRequest
from pydockmagic.engine.runtime.spec import LogTarget

pytestmark = pytest.mark.root


def entries(box, spec):
    return [json.loads(line) for line in box.log(spec).read_text().splitlines()]


def test_stdout_and_stderr_keep_apart(box):
    result = box.run("sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_half_closing_ends_stdin_and_output_still_comes(box):
    assert box.run("sh", "-c", "cat; echo done", stdin=b"line\n").stdout == "line\ndone\n"


def test_much_input_and_output_passes_through(box):
    data = os.urandom(3 << 20)
    spec = box.spec("cat", open_stdin=True, log=LogTarget(driver="none"))
    (stream,) = box.start(spec, ALL).streams
    out, _ = box.do(talk(stream, data))
    assert out == data
    assert box.wait(spec).code == 0


def test_without_stdin_the_program_reads_nothing(box):
    assert box.run("sh", "-c", "cat; readlink /proc/self/fd/0").stdout == "/dev/null\n"


def test_a_client_that_may_come_back_does_not_end_stdin(box):
    stays = AttachRequest(stdin=True, stdin_once=False)
    spec = box.spec("cat", open_stdin=True)
    (first,) = box.start(spec, stays).streams
    first.send(b"one\n")
    box.do(read_until(first, b"one\n"))
    first.close()
    second = box.do(box.driver.attach(spec.id, ALL))
    assert box.do(talk(second, b"two\n")) == (b"two\n", b"")
    assert box.wait(spec).code == 0


def test_every_client_gets_what_is_written_from_then_on(box):
    spec = box.spec("cat", open_stdin=True)
    (first,) = box.start(spec, ALL).streams
    first.send(b"early\n")
    box.do(read_until(first, b"early\n"))
    second = box.do(box.driver.attach(spec.id, BOTH))
    only_errors = box.do(box.driver.attach(spec.id, AttachRequest(stdout=False)))

    async def both():
        return await asyncio.gather(talk(first, b"late\n"), talk(second), talk(only_errors))

    assert box.do(both()) == [(b"late\n", b""), (b"late\n", b""), (b"", b"")]


def test_a_client_that_goes_away_disturbs_nobody(box):
    spec = box.spec("sh", "-c", "read go; seq 20000; exit 4", open_stdin=True)
    gone, stays = box.start(spec, AttachRequest(), ALL).streams
    gone.close()
    out, _ = box.do(talk(stays, b"go\n"))
    assert out.splitlines()[-1] == b"20000"
    assert box.wait(spec).code == 4


def test_a_slow_client_loses_nothing_and_the_log_has_all(box):
    lines = streams.BUFFER // 4  # of eight bytes each: twice what is kept for a client
    spec = box.spec("sh", "-c", f"read go; seq 1000000 {1_000_000 + lines}", open_stdin=True)
    slow, starter = box.start(spec, AttachRequest(), AttachRequest(stdin=True, stdout=False)).streams
    starter.send(b"go\n")
    # The program is held up now: its end would have been told otherwise.
    with pytest.raises(TimeoutError):
        box.runner.run(asyncio.wait_for(box.driver.wait(spec.id), 0.3))
    out, _ = box.do(talk(slow))
    starter.close()
    assert out.count(b"\n") == lines + 1
    assert box.wait(spec).code == 0
    assert len(box.log(spec).read_bytes().splitlines()) == lines + 1


def test_output_is_complete_when_the_container_has_ended(box):
    spec = box.spec("seq", "50000")
    (stream,) = box.start(spec, BOTH).streams
    box.wait(spec)
    box.delete(spec)  # the supervisor still passes on what it has
    out, _ = box.do(talk(stream))
    assert out.splitlines()[-1] == b"50000"


def test_a_terminal_is_raw_and_knows_its_size(box):
    spec = box.spec(
        "sh", "-c", "tty; stty size; read x; stty size; echo $x", tty=True, open_stdin=True, console_size=(24, 80)
    )
    (stream,) = box.start(spec, ALL).streams
    assert box.do(read_until(stream, b"24 80\r\n")) == b"/dev/pts/0\r\n24 80\r\n"
    box.do(box.driver.resize(spec.id, 50, 132))
    stream.send(b"hey\n")
    assert box.do(talk(stream, tty=True))[0] == b"hey\r\n50 132\r\nhey\r\n"
    assert [entry["log"] for entry in entries(box, spec)][:2] == ["/dev/pts/0\r\n", "24 80\r\n"]


def test_control_c_in_a_terminal_interrupts_the_program(box):
    spec = box.spec(
        "sh",
        "-c",
        "trap 'echo caught; exit 130' INT; echo ready; while :; do sleep 0.01; done",
        tty=True,
        open_stdin=True,
    )
    (stream,) = box.start(spec, ALL).streams
    box.do(read_until(stream, b"ready"))
    stream.send(b"\x03")
    assert b"caught" in box.do(talk(stream, tty=True))[0]
    assert box.wait(spec).code == 130


def test_the_terminal_is_the_console(box):
    assert box.run("sh", "-c", "echo to the console > /dev/console", tty=True).stdout == "to the console\r\n"


# --- logs (format recorded on dockerd 20.10.24) ------------------------------------------------------------------


def test_the_log_is_dockers_json(box):
    spec = box.spec("sh", "-c", r"printf 'a\tb<>&\042\\ \001\033\177 é\377\n\n\r\nend'")
    box.start(spec)
    box.wait(spec)
    texts = [line.partition(',"stream":"stdout","time":"')[0] for line in box.log(spec).read_text().splitlines()]
    assert texts == [
        '{"log":"a\\u0009b\\u003c\\u003e\\u0026\\"\\\\ \\u0001\\u001b\x7f é\\ufffd\\n"',
        '{"log":"\\n"',
        '{"log":"\\r\\n"',
        '{"log":"end"',
    ]


def test_long_lines_are_split_after_16_kib_with_one_time(box):
    spec = box.spec("sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo")
    box.start(spec)
    box.wait(spec)
    parts = entries(box, spec)
    assert [len(part["log"]) for part in parts] == [16384, 16384, 7233]
    assert [part["log"][-1] for part in parts] == ["x", "x", "\n"]
    assert len({part["time"] for part in parts}) == 1


def test_logs_are_rotated(box):
    spec = box.spec("true")
    log = LogTarget(path=spec.log.path, max_size=1000, max_file=3)
    spec = box.spec("seq", "100", log=log)
    box.start(spec)
    box.wait(spec)
    names = sorted(path.name for path in box.log(spec).parent.glob("log*"))
    assert names == ["log", "log.1", "log.2"]
    newest = [json.loads(line)["log"] for line in box.log(spec).read_text().splitlines()]
    assert newest[-1] == "100\n"
    assert all(1000 <= (box.log(spec).parent / name).stat().st_size < 1100 for name in names[1:])


def test_labels_are_logged_as_attributes(box):
    spec = box.spec("true")
    spec = box.spec("echo", "hi", log=LogTarget(path=spec.log.path, labels=(("tier", "a"), ("app", "b"))))
    box.start(spec)
    box.wait(spec)
    assert '"stream":"stdout","attrs":{"app":"b","tier":"a"},"time"' in box.log(spec).read_text()


def test_without_a_log_nothing_is_written(box):
    spec = box.spec("echo", "hi", log=LogTarget(driver="none"))
    (stream,) = box.start(spec, BOTH).streams
    assert box.do(talk(stream))[0] == b"hi\n"
    box.wait(spec)


def test_the_log_goes_on_over_restarts(box):
    spec = box.spec("echo", "again")
    for _ in range(2):
        box.start(spec)
        box.wait(spec)
    assert [entry["log"] for entry in entries(box, spec)] == ["again\n", "again\n"]


def test_frames_name_their_stream(box):
    spec = box.spec("sh", "-c", "echo err >&2")
    (stream,) = box.start(spec, BOTH).streams
    stream.setblocking(True)
    stream.settimeout(10)
    data = stream.makefile("rb").read()
    stream.close()
    assert data == b"\x02\0\0\0\0\0\0\4err\n"
    assert unframe(data) == (b"", b"err\n")
    box.wait(spec)


def test_a_background_process_of_an_exec_does_not_hold_its_end(box):
    spec = box.spec("sleep", "1000")
    box.start(spec)
    assert box.exec(spec, "sh", "-c", "sleep 500 & echo started").stdout == "started\n"
    box.delete(spec)


def test_a_socket_given_for_attaching_is_closed_at_the_end(box):
    spec = box.spec("true")
    (stream,) = box.start(spec, BOTH).streams
    box.wait(spec)
    stream.settimeout(10)
    assert stream.recv(1) == b""
    assert isinstance(stream, socket.socket)
    stream.close()
