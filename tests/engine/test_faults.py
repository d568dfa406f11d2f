"""The engine is killed with SIGKILL, as root and as an ordinary user: what runs goes on, what was half made is gone."""

from __future__ import annotations

import http.client
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.api import Api
from support.ordinary import OrdinaryUser
from support.replay.images import busybox_tar

_COUNT = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"


class KilledEngine:
    """An engine that can be killed and started again on the same data."""

    def __init__(self, folder: Path, user: OrdinaryUser | None) -> None:
        self.folder = folder
        self.user = user
        self.api = Api(f"unix://{folder}/engine.sock")
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        arguments = ["serve", "--host", f"unix://{self.folder}/engine.sock", "--data-root", f"{self.folder}/data"]
        arguments += ["--run-dir", f"{self.folder}/run", "--log-file", f"{self.folder}/engine.log"]
        if self.user is None:
            command = [sys.executable, "-m", "pydockmagic.engine", *arguments]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        else:
            program = "import sys; from pydockmagic.engine.__main__ import main; sys.exit(main(sys.argv[1:]))"
            self.process = self.user.start(program, *arguments)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "engine.sock" in line, (line, (self.folder / "engine.log").read_text()[-3000:])

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def run(self, *command: str, name: str) -> str:
        body = {"Image": "busybox", "Cmd": list(command), "HostConfig": {"Memory": 64 << 20}}
        container: str = self.api.post("/containers/create", body, name=name)["Id"]
        self.api.post(f"/containers/{container}/start")
        return container

    def log(self, container: str) -> bytes:
        return self.api("GET", f"/containers/{container}/logs", stdout="1").body


def _eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"within 20 seconds: {what}"
        time.sleep(0.02)


@pytest.fixture(params=[pytest.param("root", marks=pytest.mark.root), pytest.param("user", marks=pytest.mark.rootless)])
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KilledEngine]:
    """Give a running engine with busybox; afterwards nothing of it may be left on the machine."""
    user = OrdinaryUser() if request.param == "user" else None
    folder = tmp_path if user is None else user.home
    found = KilledEngine(folder, user)
    found.start()
    found.api("POST", "/images/create", busybox_tar(), fromSrc="-", repo="busybox", tag="latest")
    yield found
    found.api.clear()
    found.kill(signal.SIGTERM)
    _eventually(lambda: not _processes(str(folder)), f"no process of the engine is left: {_processes(str(folder))}")
    assert not _mounts(str(folder))
    if user is not None:
        user.close()


def _processes(marker: str) -> list[str]:
    """Find the processes whose command line names the engine's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in line and int(entry.name) != os.getpid() and "pytest" not in line:
            found.append(f"{entry.name} {line}")
    return found


def _mounts(marker: str) -> list[str]:
    """Find mounts that name the engine's folder, in any mount namespace of the machine."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found |= {line for line in (entry / "mountinfo").read_text().splitlines() if marker in line}
        except OSError:
            continue
    return sorted(found)


def test_running_containers_outlive_the_engine_with_their_logs(killed: KilledEngine) -> None:
    container = killed.run("sh", "-c", _COUNT, name="counter")
    _eventually(lambda: b"line 3" in killed.log(container), "the container writes its log")
    pid = killed.api.get(f"/containers/{container}/json")["State"]["Pid"]
    killed.kill()
    killed.start()
    state = killed.api.get(f"/containers/{container}/json")["State"]
    assert (state["Running"], state["Pid"]) == (True, pid)
    before = killed.log(container)
    assert b"line 3" in before
    _eventually(lambda: len(killed.log(container)) > len(before), "the log goes on after the restart")
    exec_id = killed.api.post(f"/containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
    killed.api("POST", f"/exec/{exec_id}/start", {"Detach": True})
    _eventually(lambda: not killed.api.get(f"/exec/{exec_id}/json")["Running"], "an exec ends in it")
    killed.api.post(f"/containers/{container}/stop", t="0")
    assert killed.api.get(f"/containers/{container}/json")["State"]["ExitCode"] == 137


def test_what_ended_while_the_engine_was_away_has_its_exit_code(killed: KilledEngine) -> None:
    container = killed.run("sh", "-c", "read line < /gate; exit 7", name="leaver")
    killed.api("DELETE", f"/containers/{container}", force="1")
    gate = killed.folder / "gate"
    gate.mkdir()
    gate.chmod(0o777)
    body = {
        "Image": "busybox", "Cmd": ["sh", "-c", "while ! test -e /gate/open; do sleep 0.02; done; echo bye; exit 7"],
        "HostConfig": {"Binds": [f"{gate}:/gate"]},
    }  # fmt: skip
    container = killed.api.post("/containers/create", body, name="gated")["Id"]
    killed.api.post(f"/containers/{container}/start")
    pid = killed.api.get(f"/containers/{container}/json")["State"]["Pid"]
    host_pid = Path(f"/proc/{pid}")
    killed.kill()
    (gate / "open").touch()
    if killed.user is None:
        _eventually(lambda: not host_pid.exists(), "the container ends by itself")
    killed.start()
    _eventually(
        lambda: killed.api.get(f"/containers/{container}/json")["State"]["Status"] == "exited", "it is seen as exited"
    )
    assert killed.api.get(f"/containers/{container}/json")["State"]["ExitCode"] == 7
    assert b"bye" in killed.log(container)


def test_a_build_cut_off_leaves_nothing_half_made(killed: KilledEngine) -> None:
    buffer = io.BytesIO()
    text = b"FROM busybox\nRUN echo one > /one\nRUN echo started && sleep 1000\n"
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    failures: list[BaseException] = []

    def build() -> None:
        try:
            killed.api("POST", "/build", buffer.getvalue(), t="half")
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)

    builder = threading.Thread(target=build)
    builder.start()
    _eventually(lambda: _running_steps(killed), "the last step runs")
    killed.kill()
    builder.join(30)
    assert failures or not builder.is_alive()
    killed.start()
    assert not [row for row in killed.api.get("/images/json") if "half:latest" in (row["RepoTags"] or [])]
    # As with dockerd the finished steps stay, as the cache of the next attempt; each is whole.
    for row in killed.api.get("/images/json", all="1"):
        assert killed.api.get(f"/images/{row['Id']}/json")["RootFS"]["Layers"]


def _running_steps(killed: KilledEngine) -> list[object]:
    return [row for row in killed.api.get("/containers/json") if "sleep 1000" in row["Command"]]


@pytest.mark.root
def test_no_cgroup_or_network_namespace_is_left_when_the_containers_are_removed(tmp_path: Path) -> None:
    found = KilledEngine(tmp_path, None)
    found.start()
    found.api("POST", "/images/create", busybox_tar(), fromSrc="-", repo="busybox", tag="latest")
    containers = [found.run("sleep", "1000", name=f"left-{number}") for number in range(3)]
    found.kill()
    found.start()
    for container in containers:
        assert found.api("DELETE", f"/containers/{container}", force="1").status == 204

    def groups() -> list[Path]:
        return [path for container in containers for path in Path("/sys/fs/cgroup").glob(f"**/*{container}*")]

    _eventually(lambda: not groups(), f"no cgroup of theirs is left: {groups()}")
    found.kill(signal.SIGTERM)
    _eventually(lambda: not _processes(str(tmp_path)), "no process is left")
    assert not _mounts(str(tmp_path))
