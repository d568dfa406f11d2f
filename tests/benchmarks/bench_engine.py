"""The engine beside a real dockerd, both through the Engine API on their sockets, in turn on the same machine."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from support.api import Api
from support.dockerd import available, dockerd
from support.engine import engine
from support.replay.images import busybox_tar

from benchmarks.memory import compare_memory
from benchmarks.pairs import bound, compare, milliseconds

_STEPS = ["FROM busybox", "COPY data.txt /data.txt", *(f"RUN echo {i} > /file-{i}" for i in range(7)), 'CMD ["sh"]']
_ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
"""A network namespace of its own: names of bridges are global, and docker0 may be another daemon's."""
_LINES = 1_000_000
_STOPPED = 1000
_PRINTING = ("seq", str(_LINES))


@contextmanager
def both() -> Iterator[tuple[Path, Api, Api]]:
    """Run an engine and a dockerd, each with the same busybox image; give their folder and clients, ours first."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        (folder / "dockerd").mkdir()
        with dockerd(folder / "dockerd", inside=_ALONE) as theirs, engine(folder) as ours:
            clients = Api(ours, timeout=600), Api(theirs, timeout=600)
            for client in clients:
                answer = client("POST", "/images/create", busybox_tar(), fromSrc="-", repo="busybox", tag="latest")
                assert answer.status == 200, answer
            yield folder, *clients


def _whole_life(api: Api) -> None:
    """Create, start, wait for and remove one ``busybox true``."""
    made = api.create("true")
    api.post(f"/containers/{made}/start")
    assert api.post(f"/containers/{made}/wait")["StatusCode"] == 0
    assert api("DELETE", f"/containers/{made}").status == 204


def _many(api: Api, count: int, together: int) -> None:
    """Live that many lives, so many at a time."""
    with ThreadPoolExecutor(together) as pool:
        for done in [pool.submit(_whole_life, api) for _ in range(count)]:
            done.result()


def _context() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in {"Dockerfile": "\n".join(_STEPS), "data.txt": "data\n" * 1000}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _build(api: Api, context: bytes) -> None:
    """Build the 10-step Dockerfile; after the first time every step comes from the cache."""
    answer = api("POST", "/build", context, t="bench")
    messages = [json.loads(line) for line in answer.body.splitlines() if line]
    assert not any("error" in message for message in messages), messages[-1]


def _exec(api: Api, container: str) -> None:
    """Run ``true`` in a container, attached, and ask for its exit code."""
    made = api.post(f"/containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
    taken, _ = api.upgrade(f"/exec/{made}/start", {})
    _drain(taken)
    assert api.get(f"/exec/{made}/json")["ExitCode"] == 0


def _drain(taken: socket.socket) -> int:
    """Read a stream to its end; give its size."""
    size, buffer = 0, bytearray(1 << 18)
    with taken:
        while count := taken.recv_into(buffer):
            size += count
    return size


def _print_attached(api: Api) -> None:
    """Have a container print its lines to an attached client."""
    made = api.create(*_PRINTING)
    taken, _ = api.upgrade(f"/containers/{made}/attach?stream=1&stdout=1&stderr=1")
    api.post(f"/containers/{made}/start")
    assert _drain(taken) > _LINES * 6
    api("DELETE", f"/containers/{made}", force="1")


def _print_detached(api: Api) -> None:
    """Have a container print its lines into its log, and read that."""
    made = api.create(*_PRINTING)
    api.post(f"/containers/{made}/start")
    assert api.post(f"/containers/{made}/wait")["StatusCode"] == 0
    _read_log(api, made)
    api("DELETE", f"/containers/{made}", force="1")


def _read_log(api: Api, container: str) -> None:
    assert len(api("GET", f"/containers/{container}/logs", stdout="1", stderr="1").body) > _LINES * 6


def _command_lists(api: Api) -> None:
    """List all containers by the real docker command."""
    run = subprocess.run(
        ["docker", "-H", f"unix://{api.path}", "ps", "-a", "--no-trunc"], capture_output=True, text=True, check=True,
        env=os.environ | {"DOCKER_CONFIG": "/nonexistent"},
    )  # fmt: skip
    assert run.stdout.count("\n") > _STOPPED


def _stop_many(api: Api) -> None:
    """Make the containers that are listed; some of them have run."""
    made = [api.create("true") for _ in range(_STOPPED)]
    for container in made[:50]:
        api.post(f"/containers/{container}/start")
        api.post(f"/containers/{container}/wait")


def _on(mini: Api, docker: Api, action: Callable[[Api], None]) -> tuple[Callable[[], None], Callable[[], None]]:
    return (lambda: action(mini)), (lambda: action(docker))


def _containers(mini: Api, docker: Api) -> None:
    one_by_one = _on(mini, docker, lambda api: _many(api, 10, 1))
    compare("10 of 50 created, run and removed one by one", *one_by_one, peer_name="dockerd", goal=5, runs=5)
    together = _on(mini, docker, lambda api: _many(api, 16, 8))
    compare("16 created, run and removed, 8 at a time", *together, peer_name="dockerd", goal=4, runs=5)
    running = {api: api.create("sleep", "3600") for api in (mini, docker)}
    for api, container in running.items():
        api.post(f"/containers/{container}/start")
    executing = _on(mini, docker, lambda api: _exec(api, running[api]))
    compare("exec of true", *executing, peer_name="dockerd", goal=3)
    for api, container in running.items():
        api("DELETE", f"/containers/{container}", force="1")


def _logs(mini: Api, docker: Api) -> None:
    lines = f"{_LINES:,} lines"
    compare(f"{lines}, attached", *_on(mini, docker, _print_attached), peer_name="dockerd", goal=1, runs=3)
    compare(f"{lines}, detached, then logs", *_on(mini, docker, _print_detached), peer_name="dockerd", goal=1, runs=3)
    made = {api: api.create(*_PRINTING) for api in (mini, docker)}
    for api, container in made.items():
        api.post(f"/containers/{container}/start")
        api.post(f"/containers/{container}/wait")
    reading = _on(mini, docker, lambda api: _read_log(api, made[api]))
    compare(f"{lines}, logs alone", *reading, peer_name="dockerd", goal=1, runs=3)
    for api, container in made.items():
        api("DELETE", f"/containers/{container}", force="1")


def _lists(mini: Api, docker: Api) -> None:
    _stop_many(mini)
    _stop_many(docker)
    stopped = f"{_STOPPED:,} stopped"
    asking = _on(mini, docker, lambda api: api.get("/containers/json", all="1"))
    compare(f"list of {stopped}, by the API", *asking, peer_name="dockerd", goal=1)
    if any(Path(folder, "docker").exists() for folder in os.get_exec_path()):
        compare(f"docker ps -a of {stopped}", *_on(mini, docker, _command_lists), peer_name="dockerd", goal=1)


def _start(folder: Path) -> float:
    """Start and end an engine; give the milliseconds until it served."""
    begun = time.perf_counter()
    with engine(folder):
        return (time.perf_counter() - begun) * 1000


def _import(modules: str) -> float:
    """Give the milliseconds that a bare Python takes for an import."""
    return milliseconds(lambda: subprocess.run([sys.executable, "-c", f"import {modules}"], check=True))


def _starts() -> None:
    """Print how long the engine takes to come up, empty and over many containers, and what of it is importing."""
    bound("import of the engine", lambda: _import("pydockmagic.engine.__main__") - _import("asyncio"), goal=400)
    bound("import of the notebook's side", lambda: _import("pydockmagic") - _import("sys"), goal=200)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        bound("start of an engine", lambda: _start(folder), goal=1500)
        with engine(folder) as address:
            api = Api(address, timeout=600)
            api("POST", "/images/create", busybox_tar(), fromSrc="-", repo="busybox", tag="latest")
            _stop_many(api)
        bound(f"start over {_STOPPED:,} stopped containers", lambda: _start(folder), goal=3000)


def main() -> None:
    """Print the ratios; needs root for dockerd."""
    if not available():
        print("a real dockerd is not to be had here (docker.io, root): nothing to compare with")
        return
    with both() as (folder, mini, docker):
        compare_memory(folder, mini, docker)
        _containers(mini, docker)
        context = _context()
        building = _on(mini, docker, lambda api: _build(api, context))
        compare("cached rebuild of a 10-step Dockerfile", *building, peer_name="dockerd", goal=5)
        _logs(mini, docker)
        _lists(mini, docker)
    _starts()
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
