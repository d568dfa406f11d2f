"""An engine in trouble: killed amid parallel lives, without its zygote, asked to end while many listen."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import leaks
from support.alone import Alone, alone
from support.leaks import until
from support.lives import ALL, Lives, live

pytestmark = pytest.mark.root


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Alone]:
    with alone(tmp_path) as made:
        yield made


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets of lives that are broken off
def test_killed_amid_eight_parallel_lives_the_engine_comes_back_consistent(engine):
    lives = Lives(engine.api, engine.ids)
    assert not live(lives, ALL, together=4, enter=engine.enter)  # what is filled once is full
    engine.api.post("/build/prune", all="1")
    before = leaks.steady(engine.estate)
    for moment in (4, 14):
        _kill_amid(engine, moment)
        engine.start()
        _check(engine)
    engine.remove_all()
    _remove_the_rest(engine)
    left = leaks.settled(engine.estate, before)
    assert not left, leaks.told(left)


def _kill_amid(engine: Alone, moment: int) -> None:
    """Kill the engine when that many lives of eight at a time are over; those under way fail, and must."""
    over = threading.Semaphore(0)
    lives = Lives(engine.api, engine.ids)

    def counted(life):
        def lived(shared):
            try:
                life(shared)
            finally:
                over.release()

        lived.__name__ = life.__name__
        return lived

    def kill():
        for _ in range(moment):
            over.acquire()
        engine.process.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    live(lives, [counted(life) for life in ALL], together=8, enter=engine.enter)
    killer.join()
    assert engine.process.wait(10) == -signal.SIGKILL
    engine.process.stdout.close()
    engine.process = None


def _check(engine: Alone) -> None:
    """See that what the engine says of each container is so."""
    for row in engine.api.get("/containers/json", all="1"):
        answer = engine.api("GET", f"/containers/{row['Id']}/json")
        if answer.status == 404:  # removed by itself meanwhile
            continue
        state = answer.json["State"]
        if state["Status"] in ("running", "paused"):
            assert row["Id"] in Path(f"/proc/{state['Pid']}/cgroup").read_text(), state
        elif state["Status"] != "restarting":
            assert state["Pid"] == 0, state
        started = engine.api("POST", f"/containers/{row['Id']}/stop", t="0")
        assert started.status in (204, 304, 404), started
        changed = engine.api("GET", f"/containers/{row['Id']}/changes")
        assert changed.status in (200, 404), changed


def _remove_the_rest(engine: Alone) -> None:
    """Remove networks, volumes and images that broken-off lives made."""
    api = engine.api
    for network in api.get("/networks"):
        if network["Name"] not in ("bridge", "host", "none"):
            assert api("DELETE", f"/networks/{network['Id']}").status == 204
    for volume in api.get("/volumes")["Volumes"]:
        assert api("DELETE", f"/volumes/{volume['Name']}").status == 204
    for image in api.get("/images/json", all="1"):
        if image["RepoTags"] != ["busybox:latest"]:
            api("DELETE", f"/images/{image['Id']}", force="1")
    api.post("/build/prune", all="1")
    api.post("/images/prune", filters={"dangling": ["true"]})


def test_asked_to_end_the_engine_does_so_at_once_and_its_containers_live_on(engine):
    api = engine.api
    made = api.create("sh", "-c", "while :; do echo line; sleep 0.1; done", name="living")
    api.post("/containers/living/start")
    pid = api.state(made)["Pid"]
    with contextlib.ExitStack() as opened:
        attached, _ = api.upgrade("/containers/living/attach?stream=1&stdout=1&stdin=1")
        opened.enter_context(attached)
        for method, path in (
            ("GET", "/events"), ("GET", "/containers/living/logs?follow=1&stdout=1"),
            ("GET", "/containers/living/stats"), ("POST", "/containers/living/wait"),
        ):  # fmt: skip
            client = opened.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            client.connect(api.path)
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
            assert client.recv(12) == b"HTTP/1.1 200"
        begun = time.monotonic()
        assert engine.end() == 0
        assert time.monotonic() - begun < 10
    assert Path(f"/proc/{pid}").exists()
    engine.start()
    assert (api.state(made)["Status"], api.state(made)["Pid"]) == ("running", pid)
    assert "Traceback" not in engine.log.read_text()


def test_without_its_zygote_the_engine_tells_the_truth_and_finds_another(engine):
    api = engine.api
    api.create("sleep", "600", name="orphan")
    api.post("/containers/orphan/start")
    zygote = engine.estate.servants["zygote"]
    os.kill(zygote, signal.SIGKILL)
    until(lambda: not leaks._comm(zygote), "the zygote does not die")
    api.create("true", name="next")
    api.post("/containers/next/start")
    assert api.post("/containers/next/wait") == {"StatusCode": 0}
    state = api.state("orphan")
    alive = state["Pid"] and Path(f"/proc/{state['Pid']}").exists()
    assert state["Running"] == bool(alive), state
    if alive:
        assert api.post("/containers/orphan/exec", {"Cmd": ["true"]})["Id"]
        api.post("/containers/orphan/stop", t="0")
    assert api.state("orphan")["ExitCode"] == 137
    assert engine.estate.servants["zygote"] != zygote


def test_a_killed_supervisor_takes_its_container_along_and_is_told_of(engine):
    api = engine.api
    api.create("sleep", "600", name="bereft")
    api.post("/containers/bereft/start")
    pid = api.state("bereft")["Pid"]
    supervisor = next(
        each
        for each in leaks.children(engine.estate.servants["zygote"])
        if leaks._comm(each).startswith("pydock-super")
    )
    os.kill(supervisor, signal.SIGKILL)
    assert api.post("/containers/bereft/wait")["StatusCode"] == 137
    assert not Path(f"/proc/{pid}").exists() or leaks._comm(pid) != "sleep"
    assert api.state("bereft")["Status"] == "exited"
    api.post("/containers/bereft/start")
    assert api.state("bereft")["Running"]
