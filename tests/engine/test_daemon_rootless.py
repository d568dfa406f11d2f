"""The same engine as an ordinary user: through the same code, with what a user may do."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import leaks
from support.api import Api, frames, read_all
from support.ordinary import OrdinaryUser

pytestmark = pytest.mark.rootless

_SERVE = """
import runpy, sys
sys.argv = ["engine", *sys.argv[1:]]
runpy.run_module("pydockmagic.engine", run_name="__main__")
"""


class Server:
    """An engine of an ordinary user."""

    def __init__(self, user: OrdinaryUser) -> None:
        self.user = user
        self.address = f"unix://{user.home}/s.sock"
        self.api = Api(self.address)

    def start(self) -> None:
        log = (self.user.home / "log").open("a")
        command = self.user.command(_SERVE, "serve", "--host", self.address, "--data-root", self.user.home / "data")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, **self.user.options())
        log.close()
        line = self.process.stdout.readline()
        assert line == f"{self.address}\n", (self.user.home / "log").read_text()

    def end(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        code = self.process.wait(30)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    user = OrdinaryUser()
    made = Server(user)
    made.start()
    try:
        made.api.pull("busybox")
        yield made
        made.api.clear()
    finally:
        made.end()
        user.close()


def test_a_container_runs_in_namespaces_of_its_own(server):
    _, code, text = server.api.run("sh", "-c", "id -u; hostname; ps | wc -l; cat /proc/self/uid_map", Hostname="mine")
    lines = text.splitlines()
    assert code == 0
    assert lines[:2] == ["0", "mine"]
    assert int(lines[2]) <= 5
    assert lines[3].split()[1] != "0"  # root in there is the user out here


def test_the_engine_says_that_it_is_rootless(server):
    info = server.api.get("/info")
    assert "name=rootless" in info["SecurityOptions"]
    names = {row["Name"] for row in server.api.get("/pydock/doctor")["Capabilities"]}
    assert {"user namespaces", "overlay", "cgroups"} <= names


def test_a_port_is_published(server):
    bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    container = server.api.create(
        "sh", "-c", "echo page > /tmp/index.html; httpd -f -p 80 -h /tmp",
        ExposedPorts={"80/tcp": {}}, HostConfig={"PortBindings": bindings},
    )  # fmt: skip
    server.api.post(f"/containers/{container}/start")
    shown = server.api.get(f"/containers/{container}/json")["NetworkSettings"]
    port = shown["Ports"]["80/tcp"][0]["HostPort"]
    script = "until wget -q -O - http://127.0.0.1/; do :; done"
    asked = {"Cmd": ["sh", "-c", script], "AttachStdout": True}
    made = server.api.post(f"/containers/{container}/exec", asked)["Id"]
    taken, _ = server.api.upgrade(f"/exec/{made}/start", {})
    assert [data for stream, data in frames(read_all(taken)) if stream == 1] == [b"page\n"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        assert answer.read() == b"page\n"
    server.api("DELETE", f"/containers/{container}", force="1")


def test_a_limit_that_cannot_be_kept_is_a_warning(server):
    answer = server.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                                       "HostConfig": {"Memory": 64 << 20}})  # fmt: skip
    limited = next(row for row in server.api.get("/pydock/doctor")["Capabilities"] if row["Name"] == "cgroups")
    assert bool(answer.json["Warnings"]) is not limited["Available"]


def test_containers_outlive_a_killed_engine(server):
    api = server.api
    container = api.create("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
    api.post(f"/containers/{container}/start")
    server.end(signal.SIGKILL)
    server.start()
    assert api.state(container)["Running"]
    made = api.post(f"/containers/{container}/exec", {"Cmd": ["echo", "still"], "AttachStdout": True})["Id"]
    taken, _ = api.upgrade(f"/exec/{made}/start", {})
    assert b"".join(data for _, data in frames(read_all(taken))) == b"still\n"
    api.post(f"/containers/{container}/stop", t="0")
    shown = [int(line) for line in api.logs(container).split()]
    assert shown == list(range(1, len(shown) + 1))
    _, _, text = api.run("echo", "a new one")
    assert text == "a new one\n"


def test_without_its_zygote_the_engine_finds_another_in_the_same_network(server):
    estate = leaks.Estate(server.process.pid, server.api, (server.user.home,))
    zygote = estate.servants["zygote"]
    network = Path(f"/proc/{zygote}/ns/net").readlink()
    os.kill(zygote, signal.SIGKILL)
    leaks.until(lambda: not leaks._comm(zygote), "the zygote does not die")
    _, code, text = server.api.run("ip", "-4", "-o", "addr", "show", "eth0")
    assert code == 0
    assert "172.17." in text
    assert Path(f"/proc/{estate.servants['zygote']}/ns/net").readlink() == network


def test_nothing_of_it_is_left_when_all_are_removed(server):
    server.api.clear(v="1")
    data = Path(server.user.home / "data")
    assert list((data / "containers").iterdir()) == []
    assert [path for path in (data / "overlay2").iterdir() if len(path.name) == 64] == []
