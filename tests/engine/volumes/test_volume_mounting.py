"""Mounts that volumes and binds make, on a running engine: filesystems of volumes, propagation both ways."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.api import Api
from support.engine import engine
from support.leaks import parent

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounts as root")]


class Host:
    """A mount namespace with a shared mount in it, in which an engine runs."""

    def __init__(self, folder: Path) -> None:
        self.shared = folder / "shared"
        self.shared.mkdir()
        script = 'mount -t tmpfs host "$0" && mount --make-shared "$0" && echo ready && exec sleep infinity'
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(self.shared)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"

    @property
    def inside(self) -> list[str]:
        return ["nsenter", f"--target={self._holder.pid}", "--mount"]

    def run(self, *command: str) -> str:
        done = subprocess.run([*self.inside, *command], check=True, capture_output=True, text=True)
        return done.stdout

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"))
    yield host
    host.close()


class Server:
    """An engine on that host, which can be ended and started again."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.folder = folder
        self._host = host
        self._opened = ExitStack()

    def start(self) -> None:
        self.api = Api(self._opened.enter_context(engine(self.folder, [], self._host.inside)))

    def end(self) -> None:
        self._opened.close()

    def place(self, volume: str) -> Path:
        return self.folder / "engine" / "volumes" / volume / "_data"


@pytest.fixture(scope="module")
def server(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("engine"), host)
    server.start()
    server.api.pull("busybox")
    yield server
    server.api.clear(v="1")
    server.end()


@pytest.fixture
def api(server: Server) -> Api:
    return server.api


def _started(api: Api, *command: str, **host_config: object) -> str:
    identity = api.create(*command, HostConfig={"CapAdd": ["SYS_ADMIN"], **host_config})
    api.post(f"/containers/{identity}/start")
    return identity


def _ended(api: Api, identity: str) -> int:
    """Wait for the end, and for all that follows from it: a removal waits for that."""
    code = api.post(f"/containers/{identity}/wait")["StatusCode"]
    api("DELETE", f"/containers/{identity}")
    return code


def test_a_mount_inside_reaches_the_host_where_the_bind_is_shared(server, api, host):
    script = "mkdir /x/in && mount -t tmpfs inner /x/in && echo seen > /x/in/f"
    identity = _started(api, "sh", "-c", script, Binds=[f"{host.shared}:/x:rshared"])
    assert _ended(api, identity) == 0
    assert host.run("cat", f"{host.shared}/in/f") == "seen\n"
    host.run("umount", f"{host.shared}/in")
    assert not list(server.place(".shared").parent.iterdir())


def test_a_mount_of_the_host_comes_in_where_the_bind_follows(api, host):
    script = "until test -e /x/out/f; do sleep 0.05; done; touch /x/answer"
    identity = _started(api, "sh", "-c", script, Binds=[f"{host.shared}:/x:rslave"])
    host.run("mkdir", f"{host.shared}/out")
    host.run("mount", "-t", "tmpfs", "outer", f"{host.shared}/out")
    host.run("touch", f"{host.shared}/out/f")
    assert _ended(api, identity) == 0
    assert "answer" in host.run("ls", str(host.shared)).split()
    host.run("umount", f"{host.shared}/out")


def test_what_is_private_cannot_be_shared(server, api):
    identity = api.create("true", HostConfig={"Binds": [f"{server.folder}:/x:shared"]})
    answer = api("POST", f"/containers/{identity}/start")
    assert answer.status == 500
    assert answer.message.endswith("but it is not a shared mount")


def test_a_volume_with_a_filesystem_is_one_for_all_and_outlives_the_engine(server, api):
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7"}
    binds = {"Binds": ["memory:/m"]}
    api.post("/volumes/create", {"Name": "memory", "DriverOpts": options})
    script = "echo first > /m/f; until test -e /m/end; do sleep 0.05; done"
    first = _started(api, "sh", "-c", script, **binds)
    inside = "until test -e /m/f; do sleep 0.05; done; stat -c %u /m; cat /m/f; mount | grep -o 'size=1024k'"
    assert api.run("sh", "-c", inside, HostConfig=binds)[1:] == (0, "7\nfirst\nsize=1024k\n")
    server.end()
    server.start()
    api = server.api
    assert api.run("sh", "-c", "cat /m/f; touch /m/end", HostConfig=binds)[2] == "first\n"
    assert _ended(api, first) == 0
    assert api.run("ls", "/m", HostConfig=binds)[2] == "", "the last user's end empties it"
    told = [(event["Action"], event["Actor"]["ID"]) for event in _past(api)]
    assert ("mount", "memory") in told
    assert ("unmount", "memory") in told
    assert not any(server.place("memory").iterdir())


def test_a_filesystem_that_was_mounted_for_nobody_is_gone_at_the_next_start(server, api):
    """The engine was killed between a mount and the start that it was for, while another container kept the zygote."""
    api.post("/volumes/create", {"Name": "left", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}})
    kept = _started(api, "sleep", "600")
    place = str(server.place("left"))
    zygote = parent(parent(api.state(kept)["Pid"]))
    assert Path(f"/proc/{zygote}/comm").read_text() == "pydock-zygote\n"
    server.end()
    subprocess.run(["nsenter", f"--target={zygote}", "--mount", "mount", "-t", "tmpfs", "x", place], check=True)
    assert place in Path(f"/proc/{zygote}/mounts").read_text()
    server.start()
    assert place not in Path(f"/proc/{zygote}/mounts").read_text()
    api = server.api
    api("DELETE", f"/containers/{kept}", force="1")
    assert api("DELETE", "/volumes/left").status == 204


def _past(api: Api) -> list[dict[str, object]]:
    body = api("GET", "/events", since="0", until=str(time.time()), filters={"type": ["volume"]}).body
    return [json.loads(line) for line in body.splitlines()]


def test_a_filesystem_that_cannot_be_mounted_is_named(server, api):
    api.post(
        "/volumes/create",
        {"Name": "gone", "DriverOpts": {"type": "none", "o": "bind", "device": "/proc/no/such"}},
    )
    answer = api("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Binds": ["gone:/g:nocopy"]}})
    started = api("POST", f"/containers/{answer.json['Id']}/start")
    place = server.place("gone")
    assert started.message == (
        f"error while mounting volume '{place}': failed to mount local volume: mount /proc/no/such:{place}, "
        "flags: 0x1000: no such file or directory"
    )


def test_a_path_inside_a_volume_is_mounted(api):
    mount = {"Type": "volume", "Source": "data", "Target": "/d", "VolumeOptions": {"Subpath": "in/side"}}
    api.run("sh", "-c", "mkdir -p /v/in/side; echo deep > /v/in/side/f", HostConfig={"Binds": ["data:/v"]})
    assert api.run("cat", "/d/f", HostConfig={"Mounts": [mount]})[2] == "deep\n"


def test_copies_reach_the_filesystem_of_a_stopped_containers_volume(api, tmp_path):
    options = {"type": "none", "device": str(tmp_path), "o": "bind"}
    api.post("/volumes/create", {"Name": "elsewhere", "DriverOpts": options})
    (tmp_path / "there").write_text("kept")
    container = api.create("true", HostConfig={"Binds": ["elsewhere:/e"]})
    answer = api("GET", f"/containers/{container}/archive", path="/e/there")
    assert answer.status == 200
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        assert archive.extractfile("there").read() == b"kept"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("brought"))
    assert api("PUT", f"/containers/{container}/archive", packed.getvalue(), path="/e").status == 200
    assert (tmp_path / "brought").is_file()
    api("DELETE", f"/containers/{container}")
