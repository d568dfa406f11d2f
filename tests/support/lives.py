"""Lives of containers, as mixed as a course makes them: each leaves nothing behind when it is over.

A life asks an engine through its API, checks what it is answered, and removes what it made.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import queue
import socket
import tarfile
import threading
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

from support.api import Api, frames, read_all
from support.leaks import until

__all__ = ["ALL", "Lives", "live"]

_TRAP = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"
_ALWAYS_READY = "echo ready; exec sleep 600"


class Lives:
    """What lives share: the engine, a count of containers, and the ids that were made."""

    def __init__(self, api: Api, ids: set[str], *, rootless: bool = False) -> None:
        self.api = api
        self.ids = ids
        self.rootless = rootless
        self._names = itertools.count(1)

    def name(self, what: str) -> str:
        return f"{what}-{next(self._names)}"

    def create(self, *command: str, **fields: Any) -> str:
        made = self.api.create(*command, **fields)
        self.ids.add(made)
        return made

    def started(self, *command: str, **fields: Any) -> str:
        made = self.create(*command, **fields)
        self.api.post(f"/containers/{made}/start")
        return made

    def started_and_ready(self, script: str = _ALWAYS_READY, **fields: Any) -> str:
        """Start a script that says ``ready``, and wait for that."""
        made = self.started("sh", "-c", script, **fields)
        until(lambda: "ready" in self.api.logs(made), f"{script} is not ready")
        return made

    def remove(self, *containers: str, **query: str) -> None:
        for container in containers:
            answer = self.api("DELETE", f"/containers/{container}", **{"force": "1", **query})
            assert answer.status == 204, answer

    def ended(self, container: str, code: int | None = None) -> int:
        found = self.api.post(f"/containers/{container}/wait")["StatusCode"]
        assert code is None or found == code, (found, code)
        return found


def run(lives: Lives) -> None:
    made = lives.started("true")
    lives.ended(made, 0)
    lives.remove(made)


def run_with_output(lives: Lives) -> None:
    made = lives.create("sh", "-c", "echo out; echo err >&2; exit 3")
    taken, _ = lives.api.upgrade(f"/containers/{made}/attach?stream=1&stdout=1&stderr=1")
    lives.api.post(f"/containers/{made}/start")
    assert sorted(frames(read_all(taken))) == [(1, b"out\n"), (2, b"err\n")]
    lives.ended(made, 3)
    assert lives.api.logs(made) in ("out\nerr\n", "err\nout\n")
    lives.remove(made)


def run_with_input(lives: Lives) -> None:
    fields = {"OpenStdin": True, "StdinOnce": True, "HostConfig": {"AutoRemove": True}}
    made = lives.create("cat", **fields)
    taken, _ = lives.api.upgrade(f"/containers/{made}/attach?stream=1&stdin=1&stdout=1")
    lives.api.post(f"/containers/{made}/start")
    taken.sendall(b"fed\n")
    taken.shutdown(socket.SHUT_WR)
    assert [data for _, data in frames(read_all(taken))] == [b"fed\n"]
    until(lambda: lives.api("GET", f"/containers/{made}/json").status == 404)


def run_with_terminal(lives: Lives) -> None:
    made = lives.create("sh", Tty=True, OpenStdin=True, AttachStdin=True)
    taken, _ = lives.api.upgrade(f"/containers/{made}/attach?stream=1&stdin=1&stdout=1")
    lives.api.post(f"/containers/{made}/start")
    assert lives.api("POST", f"/containers/{made}/resize", h="30", w="100").status == 200
    taken.sendall(b"stty size; exit 5\n")
    assert b"30 100" in read_all(taken)
    lives.ended(made, 5)
    lives.remove(made)


def attach_broken_off(lives: Lives) -> None:
    made = lives.create("sh", "-c", "while :; do echo line; done", OpenStdin=True)
    taken, _ = lives.api.upgrade(f"/containers/{made}/attach?stream=1&stdin=1&stdout=1&stderr=1")
    lives.api.post(f"/containers/{made}/start")
    taken.recv(4096)
    taken.close()
    lives.api.post(f"/containers/{made}/kill")
    lives.ended(made, 137)
    lives.remove(made)


def never_started(lives: Lives) -> None:
    made = lives.create("true")
    taken, _ = lives.api.upgrade(f"/containers/{made}/attach?stream=1&stdout=1")
    lives.remove(made)
    taken.close()


def executed_in(lives: Lives) -> None:
    made = lives.started("sleep", "600")
    for tty in (False, True):
        fields = {"Cmd": ["sh", "-c", "echo done; exit 4"], "AttachStdout": True, "Tty": tty}
        name = lives.api.post(f"/containers/{made}/exec", fields)["Id"]
        taken, _ = lives.api.upgrade(f"/exec/{name}/start", {"Tty": tty})
        assert b"done" in read_all(taken)
        assert lives.api.get(f"/exec/{name}/json")["ExitCode"] == 4
    lives.remove(made)


def exec_broken_off(lives: Lives) -> None:
    made = lives.started("sleep", "600")
    fields = {"Cmd": ["sh", "-c", "echo begun; cat"], "AttachStdout": True, "AttachStdin": True}
    name = lives.api.post(f"/containers/{made}/exec", fields)["Id"]
    taken, _ = lives.api.upgrade(f"/exec/{name}/start", {})
    assert b"begun" in taken.recv(4096)
    taken.close()
    detached = lives.api.post(f"/containers/{made}/exec", {"Cmd": ["sleep", "500"]})["Id"]
    lives.api.post(f"/exec/{detached}/start", {"Detach": True})
    failing = lives.api.post(f"/containers/{made}/exec", {"Cmd": ["no-such-command"]})["Id"]
    assert lives.api("POST", f"/exec/{failing}/start", {"Detach": True}).status >= 400
    lives.remove(made)


def killed(lives: Lives) -> None:
    made = lives.started("sleep", "600")
    lives.api.post(f"/containers/{made}/kill", signal="KILL")
    lives.ended(made, 137)
    lives.remove(made)


def restarted(lives: Lives) -> None:
    made = lives.started("sleep", "600", HostConfig={"Init": True})
    lives.api.post(f"/containers/{made}/restart", t="0")
    lives.api.post(f"/containers/{made}/stop", t="0")
    lives.api.post(f"/containers/{made}/start")
    lives.remove(made)


def stopped(lives: Lives) -> None:
    made = lives.started_and_ready(_TRAP)
    lives.api.post(f"/containers/{made}/stop", t="20")
    assert lives.api.state(made)["ExitCode"] == 0
    lives.remove(made)


def paused(lives: Lives) -> None:
    made = lives.started("sleep", "600")
    lives.api.post(f"/containers/{made}/pause")
    lives.api.post(f"/containers/{made}/unpause")
    lives.api.post(f"/containers/{made}/pause")
    lives.remove(made)


def removed_while_running(lives: Lives) -> None:
    lives.remove(lives.started("sh", "-c", "sleep 500 & sleep 501 & (setsid sleep 502 &); wait"))


def out_of_memory(lives: Lives) -> None:
    if not lives.api.get("/info")["MemoryLimit"]:
        return run(lives)
    limits = {"Memory": 8 << 20, "MemorySwap": 8 << 20}
    made = lives.started("tail", "/dev/zero", HostConfig=limits)
    lives.ended(made, 137)
    assert lives.api.state(made)["OOMKilled"]
    return lives.remove(made)


def health_checked(lives: Lives) -> None:
    check = {"Test": ["CMD-SHELL", "echo fine"], "Interval": 50_000_000, "Timeout": 5_000_000_000, "Retries": 1}
    made = lives.started("sleep", "600", Healthcheck=check)
    until(lambda: lives.api.state(made)["Health"]["Status"] == "healthy", "it does not get healthy")
    lives.remove(made)


def restarted_by_policy(lives: Lives) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    made = lives.started("false", HostConfig={"RestartPolicy": policy})
    until(lambda: lives.api.get(f"/containers/{made}/json")["RestartCount"] == 2, "it is not restarted twice")
    until(lambda: lives.api.state(made)["Status"] == "exited", "it does not end")
    lives.remove(made)


def removed_while_resting(lives: Lives) -> None:
    made = lives.started("false", HostConfig={"RestartPolicy": {"Name": "always"}})
    until(lambda: lives.api.get(f"/containers/{made}/json")["RestartCount"] >= 1, "it is not restarted")
    lives.remove(made)


def port_published(lives: Lives) -> None:
    host = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}, "PublishAllPorts": True}
    script = "mkdir /www; echo page > /www/index.html; echo ready; exec httpd -f -p 80 -h /www"
    made = lives.started_and_ready(script, HostConfig=host, ExposedPorts={"80/tcp": {}, "53/udp": {}})
    port = lives.api.get(f"/containers/{made}/json")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    until(lambda: _page(port) == "page\n", "the page does not come")
    lives.remove(made)


def _page(port: str) -> str:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return answer.read().decode()
    return ""


def on_a_network_of_their_own(lives: Lives) -> None:
    name = lives.name("net")
    network = lives.api.post("/networks/create", {"Name": name, "CheckDuplicate": True})["Id"]
    other = lives.name("server")
    endpoints = {"EndpointsConfig": {name: {"Aliases": ["known"]}}}
    host = {"NetworkMode": name}
    script = "mkdir /www; echo page > /www/index.html; echo ready; exec httpd -f -p 80 -h /www"
    server = lives.started_and_ready(script, name=other, HostConfig=host, NetworkingConfig=endpoints)
    asking = f"wget -qO- http://{other}/ && wget -qO- http://known/"
    client = lives.started("sh", "-c", asking, HostConfig=host)
    lives.ended(client, 0)
    lives.api.post(f"/networks/{network}/disconnect", {"Container": server})
    lives.api.post(f"/networks/{network}/connect", {"Container": server})
    lives.remove(client, server)
    assert lives.api("DELETE", f"/networks/{network}").status == 204


def sharing_a_network(lives: Lives) -> None:
    first = lives.started("sleep", "600")
    second = lives.started(
        "sleep", "600", HostConfig={"NetworkMode": f"container:{first}", "PidMode": f"container:{first}"}
    )
    third = lives.started("true", HostConfig={"NetworkMode": "host"})
    lives.ended(third, 0)
    lives.remove(first, second, third)


def with_volumes(lives: Lives) -> None:
    named = lives.name("volume")
    host = {"Binds": [f"{named}:/named"], "Tmpfs": {"/scratch": "size=1m"}}
    made = lives.started(
        "sh", "-c", "echo x > /anonymous/x; echo y > /named/y", HostConfig=host, Volumes={"/anonymous": {}}
    )
    lives.ended(made, 0)
    second = lives.started("cat", "/named/y", "/anonymous/x", HostConfig={"VolumesFrom": [made]})
    lives.ended(second, 0)
    lives.remove(second, made, v="1")
    assert lives.api("DELETE", f"/volumes/{named}").status == 204


def removed_by_itself(lives: Lives) -> None:
    fields = {"HostConfig": {"AutoRemove": True}, "Volumes": {"/data": {}}}
    made = lives.create("sh", "-c", "exit 6", **fields)
    lives.api.post(f"/containers/{made}/start")
    until(lambda: lives.api("GET", f"/containers/{made}/json").status == 404, "it stays")


def copied(lives: Lives) -> None:
    made = lives.create("sleep", "600")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = 100_000
        archive.addfile(member, io.BytesIO(b"x" * 100_000))
    for _ in range(2):  # created, then running
        assert lives.api("PUT", f"/containers/{made}/archive", packed.getvalue(), path="/tmp").status == 200
        assert len(lives.api("GET", f"/containers/{made}/archive", path="/tmp/file").body) > 100_000
        lives.api("POST", f"/containers/{made}/start")
    assert lives.api("GET", f"/containers/{made}/archive", path="/nowhere").status == 404
    assert lives.api.get(f"/containers/{made}/changes")
    assert len(lives.api("GET", f"/containers/{made}/export").body) > 1 << 20
    lives.remove(made)


def committed(lives: Lives) -> None:
    name = lives.name("image")
    first = lives.started("sh", "-c", f"echo {name} > /new")
    lives.ended(first, 0)
    lives.api.post("/commit", {}, container=first, repo=name)
    second = lives.create("cat", "/new", image=name)
    lives.api.post(f"/containers/{second}/start")
    lives.ended(second, 0)
    assert lives.api.logs(second) == f"{name}\n"
    lives.remove(second, first)
    assert lives.api("DELETE", f"/images/{name}").status == 200


def built(lives: Lives) -> None:
    name = lives.name("built")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        text = f"FROM busybox\nCOPY Dockerfile /\nRUN echo {name} > /made\nCMD cat /made\n".encode()
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    answer = lives.api("POST", "/build", packed.getvalue(), t=name)
    assert b'"errorDetail"' not in answer.body, answer
    made = lives.create(image=name)
    lives.api.post(f"/containers/{made}/start")
    lives.ended(made, 0)
    lives.remove(made)
    assert lives.api("DELETE", f"/images/{name}").status == 200


def not_to_be_started(lives: Lives) -> None:
    for fields in ({}, {"HostConfig": {"AutoRemove": True}}, {"WorkingDir": "/bin/sh"}, {"User": "nobody-here"}):
        made = lives.create("no-such-command" if "WorkingDir" not in fields else "true", **fields)
        answer = lives.api("POST", f"/containers/{made}/start")
        assert answer.status >= 400, answer
        if "HostConfig" in fields:
            until(lambda asked=made: lives.api("GET", f"/containers/{asked}/json").status == 404, "it stays")
        else:
            lives.remove(made)


def log_followed_and_left(lives: Lives) -> None:
    made = lives.started("sh", "-c", "while :; do echo line; sleep 0.01; done")
    for path in (f"/containers/{made}/logs?stdout=1&follow=1", f"/containers/{made}/stats?stream=1", "/events"):
        _asked_and_left(lives.api, "GET", path)
    _asked_and_left(lives.api, "POST", f"/containers/{made}/wait", answered=False)
    lives.remove(made)


def _asked_and_left(api: Api, method: str, path: str, *, answered: bool = True) -> None:
    """Ask for a stream, read a little of it, and hang up."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as taken:
        taken.settimeout(30)
        taken.connect(api.path)
        taken.sendall(f"{method} {path} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
        taken.recv(64)
        if answered and "events" not in path:
            taken.recv(64)


def looked_at(lives: Lives) -> None:
    made = lives.started("sleep", "600")
    assert lives.api.get(f"/containers/{made}/top")["Processes"]
    assert lives.api.get(f"/containers/{made}/stats", stream="0")["read"]
    lives.api.post(f"/containers/{made}/update", {"CpuShares": 512})
    lives.api.post(f"/containers/{made}/rename", name=lives.name("renamed"))
    assert lives.api.get("/containers/json", size="1")
    lives.remove(made)


def refused(lives: Lives) -> None:
    taken = lives.name("taken")
    made = lives.create("true", name=taken)
    for body, query, status in (
        ({"Image": "busybox"}, {"name": taken}, 409),
        ({"Image": "not-here"}, {}, 404),
        ({"Image": "busybox", "HostConfig": {"Memory": 1}}, {}, 400),
        ({"Image": 5}, {}, 400),
        (b"{broken", {}, 400),
    ):
        answer = lives.api("POST", "/containers/create", body, **query)
        assert answer.status == status, (body, answer)
    lives.remove(made)


def client_gone_while_starting(lives: Lives) -> None:
    made = lives.create("sleep", "600")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as taken:
        taken.connect(lives.api.path)
        taken.sendall(f"POST /containers/{made}/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
    lives.remove(made)


Life = Callable[[Lives], None]

ALL: tuple[Life, ...] = (
    run, run_with_output, run_with_input, run_with_terminal, attach_broken_off, never_started, executed_in,
    exec_broken_off, killed, restarted, stopped, paused, removed_while_running, out_of_memory, health_checked,
    restarted_by_policy, removed_while_resting, port_published, on_a_network_of_their_own, sharing_a_network,
    with_volumes, removed_by_itself, copied, committed, built, not_to_be_started, log_followed_and_left, looked_at,
    refused, client_gone_while_starting,
)  # fmt: skip
"""Every kind of life."""


def live(lives: Lives, chosen: Iterable[Life], *, together: int, enter: Callable[[], None] = lambda: None) -> list[str]:
    """Live the lives, ``together`` at a time; give what went wrong. ``enter`` is called in each thread first."""
    waiting: queue.SimpleQueue[Life | None] = queue.SimpleQueue()
    for life in (*chosen, *(None,) * together):
        waiting.put(life)
    wrong: list[str] = []

    def work() -> None:
        enter()
        while (life := waiting.get()) is not None:
            try:
                life(lives)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on, and it is told
                wrong.append(f"{life.__name__}: {type(error).__name__}: {error}"[:2000])

    threads = [threading.Thread(target=work) for _ in range(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong
