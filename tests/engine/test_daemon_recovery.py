"""What outlives the engine, and what does not: kill -9, restart, graceful end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.api import Api

pytestmark = pytest.mark.root


class Server:
    """One data root whose engine can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/s.sock"
        self.api = Api(self.address)
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "pydockmagic.engine", "serve", "--host", self.address, "--data-root",
                   str(self.folder / "data"), "--run-dir", str(self.folder / "run"), *options]  # fmt: skip
        log = (self.folder / "log").open("a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        log.close()
        line = self.process.stdout.readline()
        assert line == f"{self.address}\n", (line, (self.folder / "log").read_text())

    def end(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        code = self.process.wait(30)
        self.process.stdout.close()
        self.process = None
        return code


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    made.api.pull("busybox")
    yield made
    if made.process is None:
        made.start()
    made.api.clear()
    made.end()
    assert_nothing_left(tmp_path)


def assert_nothing_left(folder: Path) -> None:
    assert list((folder / "data/containers").iterdir()) == []
    assert list((folder / "data/overlay2").glob("[0-9a-f]*")) == []
    assert list((folder / "run/c").iterdir()) == []
    assert list((folder / "run/containers").iterdir()) == []
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_after_a_kill_what_ran_runs_on_and_what_ended_has_its_end(server):
    api = server.api
    running = api.create("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done", name="running")
    ending = api.create("sh", "-c", "read x; exit 7", OpenStdin=True, name="ending")
    created = api.create("true", name="created")
    frozen = api.create("sleep", "600", name="frozen")
    for container in (running, ending, frozen):
        api.post(f"/containers/{container}/start")
    api.post(f"/containers/{frozen}/pause")
    started = api.state(running)["StartedAt"]
    pid = api.state(ending)["Pid"]
    server.end(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    lines = (server.folder / f"data/containers/{running}/{running}-json.log").stat().st_size
    until(lambda: (server.folder / f"data/containers/{running}/{running}-json.log").stat().st_size > lines)
    server.start()
    state = api.state(running)
    assert (state["Status"], state["StartedAt"]) == ("running", started)
    shown = [int(line) for line in api.logs(running).split()]
    assert shown == list(range(1, len(shown) + 1))
    assert (api.state(ending)["Status"], api.state(ending)["ExitCode"]) == ("exited", 137)
    assert api.state(created)["Status"] == "created"
    assert api.state(frozen)["Status"] == "paused"
    api.post(f"/containers/{frozen}/unpause")
    api.post(f"/containers/{frozen}/stop", t="0")
    api.post(f"/containers/{created}/start")
    assert api.post(f"/containers/{created}/wait") == {"StatusCode": 0}


def test_after_a_kill_a_running_container_is_attached_executed_in_and_stopped(server):
    api = server.api
    container = api.create("sh", Tty=True, OpenStdin=True)
    api.post(f"/containers/{container}/start")
    server.end(signal.SIGKILL)
    server.start()
    taken, _ = api.upgrade(f"/containers/{container}/attach?stream=1&stdin=1&stdout=1")
    taken.sendall(b"echo sti''ll\n")
    seen = b""
    while b"still" not in seen:
        seen += taken.recv(4096)
    taken.close()
    made = api.post(f"/containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
    taken, _ = api.upgrade(f"/exec/{made}/start", {})
    while taken.recv(4096):
        pass
    taken.close()
    assert api.get(f"/exec/{made}/json")["ExitCode"] == 0
    api.post(f"/containers/{container}/kill")
    assert api.state(container)["ExitCode"] == 137


def test_a_kill_in_the_middle_of_creating_leaves_nothing_half_made(server):
    api = server.api
    connections = []
    for _ in range(8):
        import socket

        connection = socket.socket(socket.AF_UNIX)
        connection.connect(api.path)
        body = b'{"Image":"busybox","Cmd":["sleep","600"],"HostConfig":{"AutoRemove":true}}'
        connection.sendall(
            b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        connections.append(connection)
    select.select(connections, [], [], 10)  # the first is made, others are in the making
    server.end(signal.SIGKILL)
    for connection in connections:
        connection.close()
    server.start()
    listed = api.get("/containers/json", all="1")
    layers = {path.name for path in (server.folder / "data/overlay2").glob("[0-9a-f]*")}
    assert {container["Id"] for container in listed} == layers
    for container in listed:
        api.post(f"/containers/{container['Id']}/start")


def test_a_restart_policy_holds_over_a_kill(server):
    api = server.api
    container = api.create("sleep", "600", HostConfig={"RestartPolicy": {"Name": "always"}})
    stopped = api.create("sleep", "600", HostConfig={"RestartPolicy": {"Name": "unless-stopped"}})
    for made in (container, stopped):
        api.post(f"/containers/{made}/start")
    api.post(f"/containers/{stopped}/stop", t="0")
    pid = api.state(container)["Pid"]
    server.end(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists())
    server.start()
    until(lambda: api.state(container)["Running"] and api.state(container)["Pid"] != pid)
    assert api.state(stopped)["Status"] == "exited"


def test_a_container_that_ended_meanwhile_and_asked_to_be_removed_is(server):
    api = server.api
    container = api.create("sleep", "600", HostConfig={"AutoRemove": True})
    api.post(f"/containers/{container}/start")
    pid = api.state(container)["Pid"]
    server.end(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    server.start()
    until(lambda: api("GET", f"/containers/{container}/json").status == 404)


def test_a_graceful_end_leaves_containers_running_unless_told(server):
    api = server.api
    container = api.create("sleep", "600", StopTimeout=0)
    api.post(f"/containers/{container}/start")
    assert server.end() == 0
    server.start("--stop-containers")
    assert api.state(container)["Running"]
    assert server.end() == 0
    server.start()
    assert (api.state(container)["Status"], api.state(container)["ExitCode"]) == ("exited", 137)


def test_a_second_engine_on_the_same_data_root_is_refused(server):
    command = [sys.executable, "-m", "pydockmagic.engine", "serve", "--host", f"unix://{server.folder}/other.sock",
               "--data-root", str(server.folder / "data")]  # fmt: skip
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stdout == ""
    assert f"another engine (pid {server.process.pid}) is using the data root" in second.stderr
    assert server.api("GET", "/_ping").status == 200


def test_an_idle_engine_ends_and_one_with_a_container_does_not(server):
    server.end()
    server.start("--idle-timeout", "0.3")
    api = server.api
    container = api.create("sleep", "600")
    api.post(f"/containers/{container}/start")
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(2)
    api("DELETE", f"/containers/{container}", force="1")
    assert server.process.wait(20) == 0
    server.process.stdout.close()
    server.process = None


def test_a_kill_in_the_middle_of_a_build_leaves_no_image_and_no_container(server):
    import io
    import socket
    import tarfile

    api = server.api
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        text = b"FROM busybox\nRUN echo first > /f\nRUN echo second; sleep 600\n"
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    body = buffer.getvalue()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(api.path)
    connection.settimeout(20)
    head = f"POST /build?t=half HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: {len(body)}"
    connection.sendall(f"{head}\r\n\r\n".encode() + body)
    seen = b""
    while b"second" not in seen.partition(b"Step 3")[2].partition(b"Running")[2]:
        data = connection.recv(4096)
        assert data, seen
        seen += data
    [building] = api.get("/containers/json")
    pid = api.state(building["Id"])["Pid"]
    server.end(signal.SIGKILL)
    connection.close()
    server.start()
    assert api.get("/containers/json", all="1") == []
    assert api("GET", "/images/half/json").status == 404
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert list((server.folder / "data/builds").iterdir()) == []


def test_a_build_whose_client_leaves_stops_and_removes_its_container(server):
    import io
    import socket
    import tarfile

    api = server.api
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        text = b"FROM busybox\nRUN echo begun; sleep 600\n"
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    body = buffer.getvalue()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(api.path)
    connection.settimeout(20)
    head = f"POST /build HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: {len(body)}"
    connection.sendall(f"{head}\r\n\r\n".encode() + body)
    seen = b""
    while b"begun" not in seen.partition(b"Running")[2]:
        seen += connection.recv(4096)
    connection.close()
    until(lambda: api.get("/containers/json", all="1") == [])
