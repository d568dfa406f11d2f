"""The same volumes for an ordinary user's engine: what needs no privilege works, what does says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.api import Api
from support.engine import engine
from support.ordinary import NOBODY, OrdinaryUser, identity, interpreter

pytestmark = pytest.mark.rootless


@pytest.fixture(scope="module")
def user() -> Iterator[OrdinaryUser]:
    user = OrdinaryUser()
    yield user
    user.close()


@pytest.fixture(scope="module")
def api(user: OrdinaryUser) -> Iterator[Api]:
    environment = ["env", f"PYTHONPATH={user.folder}", f"HOME={user.home}"]
    person = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if identity() else []
    with engine(user.home, ["--stop-containers"], [*person, *environment], interpreter()) as address:
        api = Api(address)
        api.pull("busybox")
        yield api
        api.clear(v="1")


def _run(api: Api, command: str, **host_config: object) -> tuple[int, str]:
    return api.run("sh", "-c", command, HostConfig=host_config)[1:]


def test_a_named_volume_is_filled_and_kept(api):
    assert _run(api, "test -e /etc/passwd && echo more > /etc/more", Binds=["settings:/etc"])[0] == 0
    assert _run(api, "cat /s/more; ls /s | wc -l", Binds=["settings:/s:ro"])[1].startswith("more\n")
    code, text = _run(api, "touch /s/x", Binds=["settings:/s:ro"])
    assert (code, "Read-only file system" in text) == (1, True)


def test_a_missing_directory_of_the_host_is_made(api, user):
    wanted = user.home / "made" / "here"
    assert _run(api, "echo x > /d/f", Binds=[f"{wanted}:/d"])[0] == 0
    assert (wanted / "f").read_text() == "x\n"


def test_a_filesystem_in_memory_is_shared_by_containers(api):
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=700"}
    api.post("/volumes/create", {"Name": "memory", "DriverOpts": options})
    script = "until test -e /m/end; do sleep 0.05; done"
    first = api.create("sh", "-c", script, HostConfig={"Binds": ["memory:/m"]})
    api.post(f"/containers/{first}/start")
    assert _run(api, "stat -c %a /m; touch /m/end", Binds=["memory:/m"]) == (0, "700\n")
    assert api.post(f"/containers/{first}/wait")["StatusCode"] == 0


def test_a_volume_may_be_a_directory_of_the_host(api, user):
    place = user.home / "place"
    place.mkdir()
    place.chmod(0o777)
    options = {"type": "none", "device": str(place), "o": "bind"}
    api.post("/volumes/create", {"Name": "elsewhere", "DriverOpts": options})
    assert _run(api, "echo there > /e/f", Binds=["elsewhere:/e:nocopy"])[0] == 0
    assert (place / "f").read_text() == "there\n"


def test_what_only_root_may_mount_is_said(api):
    options = {"type": "ext4", "device": "/dev/null"}
    api.post("/volumes/create", {"Name": "disk", "DriverOpts": options})
    container = api.create("true", HostConfig={"Binds": ["disk:/d:nocopy"]})
    message = api("POST", f"/containers/{container}/start").message
    assert "failed to mount local volume" in message
    assert message.endswith("operation not permitted (without root only tmpfs and bind volumes can be mounted)")


def test_nothing_travels_to_the_host(api, user):
    container = api.create("true", HostConfig={"Binds": [f"{user.home}:/x:shared"]})
    assert api("POST", f"/containers/{container}/start").message.endswith("but it is not a shared mount")


def test_volumes_in_memory_take_their_options(api):
    mount = {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}}
    assert _run(api, "stat -c %a /t; mount | grep -o 'size=1024k'", Mounts=[mount]) == (0, "700\nsize=1024k\n")
