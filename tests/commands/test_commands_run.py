from __future__ import annotations

import pytest
from support.commanding import Shown, context_for, docker, failing
from support.daemon import FakeDaemon, frame, socket_daemon

from pydockmagic.client import Client, parse_address
from pydockmagic.commands import Interrupted

UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
ID = "f" * 64
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status, body):
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


class Container:
    """A daemon with one container, whose program says what a test wants and ends with an exit code."""

    def __init__(self, *output: bytes, exit_code=0, start=NO_CONTENT, echo=False):
        self.asked = []
        self.heard = b""
        self._output = output
        self._exit_code = exit_code
        self._start = start
        self._echo = echo

    def __call__(self, request, connection, _rest):
        verb = request.split("?")[0].rpartition("/")[2]
        self.asked.append(verb)
        if verb == "create":
            connection.sendall(answer(201, b'{"Id": "%s", "Warnings": ["beware"]}' % ID.encode()))
        elif verb == "attach":
            connection.sendall(UPGRADED)
            while self._echo and (data := connection.recv(100)):
                self.heard += data
            connection.sendall(b"".join(self._output))
        elif verb == "wait":
            body = b'{"StatusCode": %d}' % self._exit_code
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        elif verb == "start":
            connection.sendall(self._start)
        else:
            connection.sendall(NO_CONTENT)


@pytest.fixture
def run(tmp_path):
    """Run a line against a daemon with one container."""

    def go(line, container, **details):
        with socket_daemon(tmp_path / "d.sock", container) as daemon, Client(parse_address(daemon.address)) as client:
            return docker(line, context_for(client, tmp_path, **details))

    return go


def test_run_attaches_and_waits_before_it_starts(run):
    container = Container(frame(1, b"hi\n"))
    result = run("run busybox echo hi", container)
    assert container.asked == ["create", "attach", "wait", "start"]
    assert (result.id, result.exit_code, result.stdout) == (ID, 0, "hi\n")


def test_run_keeps_the_two_streams_apart_and_shows_them_at_once(run):
    shown = Shown()
    result = run("run --name x b", Container(frame(1, b"out\n"), frame(2, b"err\n"), frame(1, b"more\n")), output=shown)
    assert result.streamed
    assert (result.stdout, result.stderr) == ("out\nmore\n", "WARNING: beware\nerr\n")
    assert shown.texts == [
        ("stderr", "WARNING: beware\n"), ("stdout", "out\n"), ("stderr", "err\n"), ("stdout", "more\n"),
    ]  # fmt: skip
    assert result.name == "x"


def test_the_exit_code_is_the_programs(run):
    assert run("run b false", Container(exit_code=7)).exit_code == 7


def test_characters_cut_by_the_wire_come_out_whole(run):
    text = "naïve ☃".encode()
    assert run("run b", Container(frame(1, text[:3]), frame(1, text[3:9]), frame(1, text[9:]))).stdout == "naïve ☃"


def test_interactive_hands_on_the_input_and_its_end(run):
    container = Container(frame(1, b"bye"), echo=True)
    result = run("run -i b cat", container, stdin=b"line 1\nline 2\n")
    assert container.heard == b"line 1\nline 2\n"
    assert result.stdout == "bye"


def test_interactive_without_input_ends_it_at_once(run):
    container = Container(echo=True)
    run("run -i b cat", container)
    assert container.heard == b""


@pytest.mark.parametrize(
    ("message", "exit_code"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ('exec: "/etc": permission denied', 126),
        ("port is already allocated", 125),
    ],
)
def test_a_container_that_cannot_start_has_dockers_exit_code(tmp_path, message, exit_code):
    container = Container(start=answer(400, b'{"message": "%s"}' % message.replace('"', '\\"').encode()))
    with socket_daemon(tmp_path / "d.sock", container) as daemon, Client(parse_address(daemon.address)) as client:
        error = failing("run --rm b x", context_for(client, tmp_path))
    assert error.exit_code == exit_code
    assert error.stderr == (
        f"docker: Error response from daemon: {message}\n\nRun 'docker run --help' for more information\n"
    )


class Interrupting(Shown):
    """A person who presses the interrupt whenever something is shown."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def write(self, stream, text):
        super().write(stream, text)
        if stream == "stdout" and self.times:
            self.times -= 1
            raise KeyboardInterrupt


class Stubborn(Container):
    """A program that goes on until it is killed, and tells which signals it got."""

    def __init__(self, ends_at):
        super().__init__(exit_code=137)
        self.signals = []
        self._ends_at = ends_at
        self._stream = None

    def __call__(self, request, connection, rest):
        if "/attach" in request:
            connection.sendall(UPGRADED + frame(1, b"ready\n"))
            self._stream = connection
            self.asked.append("attach")
            connection.recv(1)
            return
        if "/kill" in request:
            self.signals.append(request.partition("signal=")[2])
            connection.sendall(NO_CONTENT)
            if self.signals[-1] == self._ends_at:
                self._stream.shutdown(2)
            else:
                self._stream.sendall(frame(1, b"still here\n"))
            return
        super().__call__(request, connection, rest)


def test_an_interrupt_is_passed_on_and_what_is_left_is_told(run):
    container = Stubborn("SIGINT")
    with pytest.raises(Interrupted) as caught:
        run("run --name web b", container, output=Interrupting(1))
    assert container.signals == ["SIGINT"]
    assert caught.value.message == (
        "interrupted: container web ended with exit code 137 and is still there; docker rm web removes it"
    )
    assert caught.value.exit_code == 137
    assert caught.value.stderr == ""
    assert caught.value.result.stdout == "ready\n"


def test_a_second_interrupt_kills(run):
    container = Stubborn("SIGKILL")
    with pytest.raises(Interrupted, match="and was removed"):
        run("run --rm b", container, output=Interrupting(2))
    assert container.signals == ["SIGINT", "SIGKILL"]


def test_a_third_interrupt_lets_go(run):
    container = Stubborn("never")
    with pytest.raises(Interrupted, match=r"container ffffffffffff goes on; docker stop ffffffffffff ends it"):
        run("run b", container, output=Interrupting(3))


def test_signals_are_not_passed_on_without_the_proxy(run):
    container = Stubborn("never")
    with pytest.raises(Interrupted, match="goes on"):
        run("run --sig-proxy=false b", container, output=Interrupting(1))
    assert container.signals == []


# -- what needs no stream


def daemon_for_run():
    return FakeDaemon().on("POST", "/containers/create", {"Id": ID}).on("POST", f"/containers/{ID}/start", status=204)


def test_detached_prints_the_id_and_attaches_nothing(tmp_path):
    daemon = daemon_for_run()
    result = docker("run -d -it --name x busybox sh", context_for(daemon.client(), tmp_path))
    assert result.stdout == f"{ID}\n"
    assert result.detached
    assert not result.streamed
    body = daemon.body(0)
    assert not any(body[key] for key in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"))
    assert body["OpenStdin"]
    assert daemon.lines == ["POST /v1.50/containers/create?name=x", f"POST /v1.50/containers/{ID}/start"]


def test_detached_and_unable_to_start_has_printed_its_id_already(tmp_path):
    daemon = FakeDaemon().on("POST", "/containers/create", {"Id": ID})
    daemon.refuse("POST", f"/containers/{ID}/start", 500, "port is already allocated")
    error = failing("run -d -p 80:80 b", context_for(daemon.client(), tmp_path))
    assert error.exit_code == 125
    assert error.result.stdout == f"{ID}\n"


def test_a_terminal_is_refused_where_there_is_none(tmp_path):
    error = failing("run -it busybox sh", context_for(FakeDaemon().client(), tmp_path))
    assert (error.message, error.exit_code, error.hint) == ("the input device is not a TTY", 1, "")


def test_a_missing_image_is_pulled_and_the_way_told_on_stderr(tmp_path):
    pulled = b'{"status":"Pulling from library/alpine","id":"latest"}\n{"status":"Pull complete","id":"abc"}\n'
    daemon = (
        FakeDaemon()
        .refuse("POST", "/containers/create", 404, "No such image: alpine:latest")
        .on("POST", "/containers/create", {"Id": ID})
        .on("POST", "/images/create", raw=pulled)
        .on("POST", f"/containers/{ID}/start", status=204)
    )
    shown = Shown()
    result = docker("run -d alpine", context_for(daemon.client(), tmp_path, output=shown))
    assert result.stderr == (
        "Unable to find image 'alpine:latest' locally\nlatest: Pulling from library/alpine\nabc: Pull complete\n"
    )
    assert daemon.lines[1] == "POST /v1.50/images/create?fromImage=docker.io%2Flibrary%2Falpine&tag=latest"
    assert [(each.id, each.status) for each in shown.pulls] == [
        ("latest", "Pulling from library/alpine"), ("abc", "Pull complete"),
    ]  # fmt: skip


def test_a_pull_that_is_refused_ends_the_run(tmp_path):
    daemon = FakeDaemon().refuse("POST", "/containers/create", 404, "No such image: x:latest")
    daemon.refuse("POST", "/images/create", 404, "pull access denied for x")
    error = failing("run x", context_for(daemon.client(), tmp_path))
    assert error.exit_code == 125
    assert error.message == "docker: Error response from daemon: pull access denied for x"
    assert error.result.stderr == "Unable to find image 'x:latest' locally\n"


def test_never_pull_tells_what_the_daemon_says(tmp_path):
    daemon = FakeDaemon().refuse("POST", "/containers/create", 404, "No such image: x:latest")
    error = failing("run --pull=never x", context_for(daemon.client(), tmp_path))
    assert error.message == "docker: Error response from daemon: No such image: x:latest"
    assert len(daemon.lines) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run -p abc busybox", "docker: invalid containerPort: abc"),
        ("run --restart on-failure:x busybox",
         "docker: invalid restart policy format: maximum retry count must be an integer"),
        ("run --rm --restart always busybox", "docker: conflicting options: cannot specify both --restart and --rm"),
        ("run --env-file nosuch busybox", "docker: open nosuch: no such file or directory"),
        ("run ''", "docker: invalid reference format"),
        ("run Bad:ref:x", "docker: invalid reference format: repository name (library/Bad) must be lowercase"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused_before_the_daemon_hears_of_it(tmp_path, line, message):
    daemon = FakeDaemon()
    error = failing(line, context_for(daemon.client(), tmp_path))
    assert (error.message, error.exit_code) == (message, 125)
    assert error.hint == "Run 'docker run --help' for more information"
    assert daemon.lines == []


def test_a_cidfile_is_written_once(tmp_path):
    context = context_for(daemon_for_run().client(), tmp_path)
    docker("run -d --cidfile cid busybox", context)
    assert (tmp_path / "cid").read_text() == ID
    assert "container ID file found" in failing("run -d --cidfile cid busybox", context).message


def test_relative_paths_are_those_of_the_notebooks_folder(tmp_path):
    daemon = daemon_for_run()
    (tmp_path / "env").write_text("A=1\nB\n")
    context = context_for(daemon.client(), tmp_path, environ={"B": "2"})
    docker("run -d -v ./data:/data --mount type=bind,src=.,dst=/m --env-file env busybox", context)
    body = daemon.body(0)
    assert body["HostConfig"]["Binds"] == [f"{tmp_path}/data:/data"]
    assert body["HostConfig"]["Mounts"][0]["Source"] == str(tmp_path)
    assert body["Env"] == ["A=1", "B=2"]


def test_exec_returns_the_commands_exit_code(tmp_path):
    def handler(request, connection, _rest):
        path = request.split(" ")[1]
        if path.endswith("/start"):
            connection.sendall(UPGRADED + frame(1, b"out") + frame(2, b"err"))
            connection.shutdown(1)
        elif path.endswith("/exec"):
            connection.sendall(answer(201, b'{"Id": "e1"}'))
        elif "/exec/" in path:
            connection.sendall(answer(200, b'{"ExitCode": 4}'))
        else:
            connection.sendall(answer(200, b"{}"))

    with socket_daemon(tmp_path / "d.sock", handler) as daemon, Client(parse_address(daemon.address)) as client:
        result = docker("exec c sh -c 'exit 4'", context_for(client, tmp_path))
    assert (result.exit_code, result.stdout, result.stderr, result.id) == (4, "out", "err", "e1")


def test_a_stopped_container_is_not_attached_to(tmp_path):
    daemon = FakeDaemon().on("GET", "/containers/c/json", {"Id": ID, "State": {"Running": False}, "Config": {}})
    error = failing("attach c", context_for(daemon.client(), tmp_path))
    assert error.message == "You cannot attach to a stopped container, start it first"
