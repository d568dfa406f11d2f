"""docker-compose 1.29 (Debian's) with a project of three services: on our engine as on a real dockerd."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import compose
from support.compose import PORT, Bench, Outcome
from support.dockerd import available

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.skipif(
        shutil.which("docker-compose") is None and os.environ.get("CI") != "true", reason="docker-compose is not here"
    ),
    pytest.mark.timeout(900),
]

SCRIPT: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("config",), {}),
    (("-f", "wrong.yml", "config"), {}),
    (("ps",), {}),
    (("exec", "-T", "web", "true"), {}),
    (("up", "-d"), {}),
    (("ps",), {}),
    (("ps", "--services", "--filter", "status=running"), {}),
    (("up", "-d"), {}),
    (("port", "web", "8080"), {}),
    (("port", "web", "9090"), {}),
    (("exec", "-T", "worker", "wget", "-qO-", "http://site:8080/"), {}),
    (("exec", "-T", "store", "sh", "-c", "cat /data/log; exit 7"), {}),
    (("exec", "-T", "store", "nosuch"), {}),
    (("exec", "-T", "--env", "A=b", "-w", "/tmp", "-u", "1", "store", "sh", "-c", "echo $A; pwd; id -u"), {}),
    (("up", "-d", "--scale", "worker=3"), {}),
    (("ps", "worker"), {}),
    (("logs", "--no-color"), {}),
    (("logs", "--no-color", "--tail", "1", "worker"), {}),
    (("exec", "-T", "--index=3", "worker", "hostname", "-f"), {}),
    (("restart", "-t", "1", "worker"), {}),
    (("run", "--rm", "-T", "worker", "echo", "one-off"), {}),
    (("run", "--rm", "-T", "worker", "sh", "-c", "exit 3"), {}),
    (("run", "--rm", "-T", "--no-deps", "-e", "X=y", "store", "sh", "-c", "echo $X; ls /data"), {}),
    (("pause",), {}),
    (("ps",), {}),
    (("exec", "-T", "store", "true"), {}),
    (("unpause",), {}),
    (("kill", "store"), {}),
    (("kill", "-s", "USR2", "nosuch"), {}),
    (("ps",), {}),
    (("stop", "-t", "1", "worker"), {}),
    (("start",), {}),
    (("start", "nosuch"), {}),
    (("images",), {}),
    (("up", "-d", "--scale", "worker=2"), {"OWNER": "somebody"}),
    (("exec", "-T", "worker", "sh", "-c", "echo $OWNER"), {"OWNER": "somebody"}),
    (("up", "-d", "--no-deps", "store"), {"LEVEL": "high"}),
    (("exec", "-T", "store", "sh", "-c", "echo $LEVEL; cat /data/log"), {"LEVEL": "high"}),
    (("up", "-d", "--force-recreate", "--no-deps", "web"), {}),
    (("rm", "-f", "-s", "worker"), {}),
    (("build", "web"), {}),
    (("pull", "web"), {}),
    (("up", "-d", "nosuch"), {}),
    (("down", "-t", "1"), {}),
    (("up", "-d"), {}),
    (("exec", "-T", "store", "cat", "/data/log"), {}),
    (("down", "-v", "--rmi", "local", "-t", "1"), {}),
    (("ps",), {}),
    (("down",), {}),
]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with compose.on_engine(tmp_path_factory.mktemp("ours")) as bench:
        yield bench


@pytest.fixture(scope="module")
def real(ours: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    assert available(), "a real dockerd is needed to compare with"
    with compose.on_dockerd(tmp_path_factory.mktemp("real"), ours) as bench:
        yield bench


@pytest.fixture(scope="module")
def rootless() -> Iterator[Bench]:
    with compose.on_rootless_engine() as bench:
        yield bench


def _left(bench: Bench) -> dict[str, int]:
    """Count what a project that was taken down has left."""
    return {
        "containers": len(bench.docker("ps", "-aq").split()),
        # a recreated container names the anonymous volume of the one before: as a named one it stays
        "volumes": len(bench.docker("volume", "ls", "-q").split()),
        "networks": len(bench.docker("network", "ls", "-q", "--filter", "type=custom").split()),
        "images": len(bench.docker("images", "-q").split()),
    }


def test_the_project_lives_as_on_a_real_dockerd(ours: Bench, real: Bench) -> None:
    def play(bench: Bench) -> list[Outcome]:
        return [bench.compose(*arguments, **variables) for arguments, variables in SCRIPT]

    with ThreadPoolExecutor(2) as threads:
        mine, theirs = threads.map(play, (ours, real))
    different = [
        f"{' '.join(arguments)}\n  dockerd: {there}\n  ours:    {here}"
        for (arguments, _), here, there in zip(SCRIPT, mine, theirs, strict=True)
        if here.told != there.told
    ]
    assert not different, "\n".join(different)
    failed = {arguments for (arguments, _), outcome in zip(SCRIPT, theirs, strict=True) if outcome.exit}
    assert not {arguments for arguments in failed if arguments[0] in ("up", "down", "ps") and "nosuch" not in arguments}
    assert _left(ours) == _left(real)


def _followed(bench: Bench) -> list[object]:
    """Read along with the logs, the events and an ``up`` that stays, and interrupt them."""
    assert bench.compose("up", "-d").exit == 0
    seen: list[object] = []
    with bench.followed("logs", "--no-color", "-f", "store", "worker") as logs:
        logs.until("working for nobody")
        bench.docker("exec", "shop_store_1", "sh", "-c", "echo said later > /proc/1/fd/1")
        seen += [logs.until("said later").split(), logs.interrupt().told]
    with bench.followed("events") as events:
        events.until("exec_die")  # a health check's, one a second: from here on the command listens
        bench.compose("restart", "-t", "1", "worker")
        seen.append(events.until("container start").split()[2:4])
        bench.compose("kill", "worker")
        seen.append(events.until("container die").split()[2:4])
        seen.append(events.interrupt().exit)
    bench.compose("stop", "-t", "1")
    with bench.followed("up", "--no-color") as up:
        up.until("working for nobody")
        seen.append(up.interrupt().told)
    seen.append(bench.compose("ps").told)
    with bench.followed("up", "--no-color", "--abort-on-container-exit", "--exit-code-from", "store") as up:
        up.until("working for nobody")
        bench.docker("kill", "-s", "TERM", "shop_store_1")
        up.until("Aborting on container exit")
    bench.compose("down", "-v", "--rmi", "local", "-t", "1")
    return seen


def test_what_is_followed_arrives_and_ends_as_on_a_real_dockerd(ours: Bench, real: Bench) -> None:
    with ThreadPoolExecutor(2) as threads:
        mine, theirs = threads.map(_followed, (ours, real))
    assert mine == theirs
    assert _left(ours) == _left(real)


def test_an_ordinary_user_brings_the_same_project_up(rootless: Bench) -> None:
    up = rootless.compose("up", "-d", "--scale", "worker=2")
    assert up.exit == 0, up
    page = rootless.run(["curl", "-s", f"http://127.0.0.1:{PORT}/"])
    assert page.lines == ("<h1>three services</h1>",)
    assert rootless.compose("exec", "-T", "worker", "wget", "-qO-", "http://site:8080/").lines == page.lines
    assert "shop_store_1 is up-to-date" in rootless.compose("up", "-d", "--scale", "worker=2").lines
    logs = rootless.compose("logs", "--no-color", "worker")
    assert {line for line in logs.lines if "working" in line} == {
        "worker_1 | working for nobody", "worker_2 | working for nobody",
    }  # fmt: skip
    assert rootless.compose("run", "--rm", "-T", "worker", "sh", "-c", "exit 3").exit == 3
    changed = rootless.compose("up", "-d", OWNER="somebody", LEVEL="high")
    assert changed.exit == 0, changed
    assert rootless.compose("exec", "-T", "store", "cat", "/data/log").lines == ("kept", "kept")
    down = rootless.compose("down", "-v", "--rmi", "local", "-t", "1")
    assert down.exit == 0, down
    assert _left(rootless) == {"containers": 0, "volumes": 1, "networks": 0, "images": 1}
