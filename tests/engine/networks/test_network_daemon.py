"""Networks end to end, as root and as an ordinary user: the engine as a program, its API on a socket."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api import Api, frames, read_all
from support.ordinary import OrdinaryUser

_SERVE = """
import runpy, sys
sys.argv = ["engine", *sys.argv[1:]]
runpy.run_module("pydockmagic.engine", run_name="__main__")
"""
_UNDEFINED = "This would result in undefined behavior"
_WEB = "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp"


class Server:
    """An engine that can be killed and started again."""

    def __init__(self, folder: Path, user: OrdinaryUser | None) -> None:
        self.folder = folder
        self.user = user
        self.address = f"unix://{folder}/s.sock"
        self.api = Api(self.address)

    def start(self) -> None:
        options = ["serve", "--host", self.address, "--data-root", str(self.folder / "data")]
        if self.user is None:
            command, how = [sys.executable, "-m", "pydockmagic.engine", *options], {"text": True}
        else:
            command, how = self.user.command(_SERVE, *options), self.user.options()
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True, **how)
        assert self.process.stdout.readline() == f"{self.address}\n", (self.folder / "log").read_text()

    def end(self, signum: int = signal.SIGTERM) -> None:
        self.process.send_signal(signum)
        self.process.wait(30)
        self.process.stdout.close()

    def run(self, *command: str, **fields) -> str:
        container = self.api.create(*command, **fields)
        self.api.post(f"/containers/{container}/start")
        return container

    def inside(self, container: str, script: str) -> str:
        asked = {"Cmd": ["sh", "-c", script], "AttachStdout": True, "AttachStderr": True}
        made = self.api.post(f"/containers/{container}/exec", asked)["Id"]
        taken, _ = self.api.upgrade(f"/exec/{made}/start", {})
        return b"".join(data for _, data in frames(read_all(taken))).decode()

    def remove(self, *containers: str) -> None:
        for container in containers:
            assert self.api("DELETE", f"/containers/{container}", force="1").status == 204

    def network(self, name: str, **fields) -> str:
        return self.api.post("/networks/create", {"Name": name, **fields})["Id"]


@pytest.fixture(
    scope="module",
    params=[pytest.param("root", marks=pytest.mark.root), pytest.param("ordinary", marks=pytest.mark.rootless)],
)
def server(request) -> Iterator[Server]:
    user = OrdinaryUser() if request.param == "ordinary" else None
    with tempfile.TemporaryDirectory(prefix="pydock-net-") as folder:
        made = Server(user.home if user else Path(folder), user)
        made.start()
        try:
            made.api.pull("busybox")
            yield made
            assert made.api.get("/containers/json", all="1") == []
        finally:
            for container in made.api.get("/containers/json", all="1"):
                made.remove(container["Id"])
            for network in made.api.get("/networks", filters={"type": ["custom"]}):
                made.api("DELETE", f"/networks/{network['Id']}")
            made.end()
            if user:
                user.close()


def test_a_linked_container_is_known_by_name_and_variables_and_after_it_moved(server):
    web = server.run("sh", "-c", _WEB, name="web", ExposedPorts={"80/tcp": {}}, Env=["COLOUR=blue"])
    box = server.run("sleep", "600", name="box", HostConfig={"Links": ["web:db"]})
    assert "page" in server.inside(box, "until wget -qO- http://db/; do :; done")
    told = server.inside(box, "env")
    assert "DB_NAME=/box/db\n" in told
    assert "DB_ENV_COLOUR=blue\n" in told
    address = server.api.get("/containers/web/json")["NetworkSettings"]["IPAddress"]
    assert f"DB_PORT=tcp://{address}:80\n" in told
    assert f"{address}\tdb {web[:12]} web\n" in server.inside(box, "cat /etc/hosts")
    assert server.api.get("/containers/box/json")["HostConfig"]["Links"] == ["/web:/box/db"]
    assert server.api.get("/containers/box/db/json")["Name"] == "/web"
    server.api.post("/containers/web/stop", t="0")
    filler = server.run("sleep", "600")
    server.api.post("/containers/web/start")
    moved = server.api.get("/containers/web/json")["NetworkSettings"]["IPAddress"]
    assert moved != address
    assert f"{moved}\tdb {web[:12]} web\n" in server.inside(box, "cat /etc/hosts")
    assert server.api("DELETE", "/containers/box/db", link="1").status == 204
    assert "\tdb " not in server.inside(box, "cat /etc/hosts")
    server.remove(web, box, filler)


@pytest.mark.parametrize(
    ("links", "mode", "sentence"),
    [
        (["nosuch:x"], "", "could not get container for nosuch: No such container: nosuch"),
        (["a:b:c"], "", "bad format for links: a:b:c"),
        (["nosuch"], "host", f"conflicting options: host type networking can't be used with links. {_UNDEFINED}"),
    ],
)
def test_links_that_cannot_be_are_refused_in_dockers_words(server, links, mode, sentence):
    host = {"Links": links, **({"NetworkMode": mode} if mode else {})}
    refused = server.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": host})
    assert (refused.status, refused.message) == (400, sentence)


def test_a_link_to_what_does_not_run_is_refused_at_the_start(server):
    still = server.api.create("true", name="still")
    box = server.api.create("true", name="box", HostConfig={"Links": ["still:x"]})
    refused = server.api("POST", f"/containers/{box}/start")
    assert refused.message == "Cannot link to a non running container: /still AS /box/x"
    server.remove(still, box)


def test_joining_a_network_while_running_brings_names_and_leaving_takes_them_back(server):
    network = server.network("mine")
    web = server.run("sh", "-c", _WEB, name="web", HostConfig={"NetworkMode": "mine"})
    box = server.run("sleep", "600", name="box")
    assert "bad address" in server.inside(box, "wget -qO- http://web/")
    server.api.post("/networks/mine/connect", {"Container": "box", "EndpointConfig": {"Aliases": ["other"]}})
    assert "page" in server.inside(box, "until wget -qO- http://web/; do :; done")
    own = server.api.get("/containers/box/json")["NetworkSettings"]["Networks"]["mine"]
    assert own["DNSNames"][:2] == ["box", "other"]
    assert f"{own['IPAddress']}\t{box[:12]}\n" in server.inside(box, "cat /etc/hosts")
    assert "nameserver 127.0.0.11" in server.inside(box, "cat /etc/resolv.conf")
    server.api.post("/containers/web/rename", name="site")
    assert "page" in server.inside(box, "wget -qO- http://site/")
    assert server.api.get("/networks/mine")["Containers"][web]["Name"] == "site"
    server.api.post("/networks/mine/disconnect", {"Container": "box"})
    assert own["IPAddress"] not in server.inside(box, "cat /etc/hosts")
    assert server.inside(box, "ls /sys/class/net").split() == ["eth0", "lo"]
    server.remove(web, box)
    assert server.api("DELETE", f"/networks/{network}").status == 204


def test_a_stopped_container_joins_and_leaves_for_its_next_start(server):
    server.network("mine")
    box = server.api.create("sleep", "600", name="box")
    server.api.post("/networks/mine/connect", {"Container": "box"})
    server.api.post("/networks/mine/connect", {"Container": "box"})  # once more is no error, as with dockerd
    server.api.post("/networks/bridge/disconnect", {"Container": "box"})
    refused = server.api("POST", "/networks/bridge/disconnect", {"Container": "box"})
    assert refused.message == f"container {box} is not connected to the network bridge"
    server.api.post(f"/containers/{box}/start")
    assert list(server.api.get("/containers/box/json")["NetworkSettings"]["Networks"]) == ["mine"]
    assert server.inside(box, "ls /sys/class/net").split() == ["eth0", "lo"]
    server.remove(box)
    server.api("DELETE", "/networks/mine")


def page(port: int) -> bytes:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.read()
        except OSError:
            assert time.monotonic() < deadline, "nobody serves there"


def test_published_ports_and_names_outlive_a_killed_engine(server):
    server.network("mine")
    bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    host = {"PortBindings": bindings, "NetworkMode": "mine"}
    web = server.run("sh", "-c", _WEB, name="web", HostConfig=host, ExposedPorts={"80/tcp": {}})
    box = server.run("sleep", "600", name="box", HostConfig={"NetworkMode": "mine"})
    port = int(server.api.get("/containers/web/json")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
    assert page(port) == b"page\n"
    server.end(signal.SIGKILL)
    assert page(port) == b"page\n"
    server.start()
    assert page(port) == b"page\n"
    assert "Address: " in server.inside(box, "nslookup web | tail -n +4")
    taken = server.api.create("true", HostConfig={"PortBindings": {"80/tcp": [{"HostPort": str(port)}]}})
    refused = server.api("POST", f"/containers/{taken}/start")
    assert refused.message.endswith(("port is already allocated", "address already in use"))
    server.remove(taken, web, box)
    server.api("DELETE", "/networks/mine")


def test_garbage_is_a_400(server):
    for body in ({"Name": 5}, {"Name": "x", "IPAM": "no"}, {"Name": "x", "IPAM": {"Config": [{"Subnet": 4}]}}, []):
        assert server.api("POST", "/networks/create", body).status == 400
    assert server.api("GET", "/networks/bridge", verbose="maybe").status == 400
    assert server.api("POST", "/networks/bridge/connect", {"Container": 3}).status == 400


def test_nothing_of_a_container_stays_in_the_network(server):
    network = server.network("both", EnableIPv6=True)
    before = links(server)
    boxes = [server.run("sleep", "600", HostConfig={"NetworkMode": "both"}) for _ in range(3)]
    server.remove(*boxes)
    deadline = time.monotonic() + 20
    while len(links(server)) > len(before) + 2:  # two namespaces are kept ready on a network in use
        assert time.monotonic() < deadline, links(server)
        time.sleep(0.05)
    assert server.api("DELETE", f"/networks/{network}").status == 204


def links(server: Server) -> list[str]:
    """List the links where the bridges are: through the zygote's namespace, or here."""
    if server.user is None:
        return [path.name for path in Path("/sys/class/net").iterdir()]
    zygotes = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/comm")
        if _is_zygote(path) and path.parent.stat().st_uid == (server.folder / "data").stat().st_uid
    ]
    text = Path(f"/proc/{zygotes[0]}/net/dev").read_text()
    return [line.partition(":")[0].strip() for line in text.splitlines()[2:]]


def _is_zygote(path: Path) -> bool:
    try:
        return path.read_text().strip() == "pydock-zygote"
    except OSError:
        return False
