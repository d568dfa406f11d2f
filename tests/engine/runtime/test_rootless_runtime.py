"""The driver inside the sandbox of an ordinary user with a single id: what works, and how it differs."""

import json
import os
from pathlib import Path

import pytest
from support.ordinary import NOBODY, OrdinaryUser
from support.runtime import make_busybox_root

pytestmark = pytest.mark.rootless

PROGRAM = """
import asyncio, json, os, sys, warnings
from pathlib import Path
os.environ["PATH"] = ""  # newuidmap is not found, so that there is a single id
from pydockmagic.engine.runtime import sandbox
folder = Path(sys.argv[1])
info = sandbox.enter(folder / "run")
net = sandbox.open_network(info)

from pydockmagic.engine.errors import StartError
from pydockmagic.engine.runtime import defaults
from pydockmagic.engine.runtime.driver import AttachRequest
from pydockmagic.engine.runtime.namespaces import NamespacesDriver
from pydockmagic.engine.runtime.spec import CgroupLimits, ContainerSpec, LogTarget, Mount, ProcessSpec, Rlimit, Root

async def run(driver, name, case):
    home = folder / name
    for part in ("upper", "work"):
        (home / part).mkdir(parents=True)
    command = case.pop("command")
    process = {"env": ("PATH=/bin",), "capabilities": defaults.CAPABILITIES}
    process |= {key: case.pop(key) for key in ("user", "tty", "seccomp") if key in case}
    spec = ContainerSpec(
        id=name, bundle=str(home / "bundle"), hostname=name, process=ProcessSpec(args=tuple(command), **process),
        root=Root(kind="overlay", upper=str(home / "upper"), work=str(home / "work"), lower=(sys.argv[2],),
                  userxattr=True),
        masked_paths=defaults.MASKED_PATHS, readonly_paths=defaults.READONLY_PATHS, log=LogTarget(driver="none"),
        mounts=tuple(Mount(**mount) for mount in case.pop("mounts", ())), **case)
    try:
        running = await driver.start(spec, attach=(AttachRequest(),))
    except StartError as error:
        return {"error": str(error)}
    reader, writer = await asyncio.open_unix_connection(sock=running.streams[0])
    data = await reader.read()
    writer.close()
    out = data if spec.process.tty else b""
    while data and not spec.process.tty:
        size = int.from_bytes(data[4:8], "big")
        out, data = out + data[8:8 + size], data[8 + size:]
    record = await driver.wait(name)
    await driver.delete(name)
    return {"code": record.code, "out": out.decode(), "warnings": list(running.warnings)}

async def live(driver):
    # what is done to a running container
    for part in ("upper", "work"):
        (folder / "lived" / part).mkdir(parents=True)
    limited = {"env": ("PATH=/bin",), "capabilities": defaults.CAPABILITIES}
    spec = ContainerSpec(
        id="lived", bundle=str(folder / "lived/bundle"), hostname="lived", log=LogTarget(driver="none"),
        process=ProcessSpec(args=("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.01; done"), **limited),
        root=Root(kind="overlay", upper=str(folder / "lived/upper"), work=str(folder / "lived/work"),
                  lower=(sys.argv[2],), userxattr=True), limits=CgroupLimits(memory=1 << 30))
    running = await driver.start(spec)
    process = ProcessSpec(args=("sh", "-c", "tty; hostname; id -u; chown 3 /; exit 4"), tty=True, **limited)
    started = await driver.exec("lived", "e", process, attach=AttachRequest())
    reader, writer = await asyncio.open_unix_connection(sock=started.streams[0])
    said = (await reader.read()).decode()
    writer.close()
    record = await driver.wait_exec("lived", "e")
    state = lambda: Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0]
    await driver.pause("lived")
    for _ in range(200):  # a stop by signal arrives when the process next runs
        if state() in "TD":
            break
        await asyncio.sleep(0.02)
    paused, pids = state(), await driver.processes("lived")
    await driver.unpause("lived")
    await driver.signal("lived", 15)
    ended = await driver.wait("lived")
    await driver.delete("lived")
    return {"exec": [record.code, said], "paused": paused, "found": running.pid in pids, "code": ended.code,
            "warnings": list(running.warnings)}

async def main():
    driver = NamespacesDriver(folder / "run", net=net)
    await driver.open()
    results = {"lived": await live(driver)}
    results |= {name: await run(driver, name, case) for name, case in json.loads(sys.argv[3]).items()}
    await driver.close()
    print(json.dumps({"rung": info.rung, "ids": info.ids, "results": results}))

asyncio.run(main())
"""

CASES = {
    "identity": {"command": ["sh", "-c", "id; hostname; echo $$; cat /proc/self/uid_map"]},
    "spaces": {"command": ["sh", "-c", "for n in pid mnt net uts ipc user; do readlink /proc/self/ns/$n; done"]},
    "devices": {"command": ["sh", "-c", "echo x > /dev/null && head -c 3 /dev/zero | wc -c; ls /dev"]},
    "owners": {
        "command": ["sh", "-c", "touch /f && chown 5:6 /f && chgrp 7 /f && mkfifo /p && ls /p && su -c 'echo as root'"]
    },
    "rights": {"command": ["grep", "-E", "CapEff|NoNew|Seccomp:", "/proc/self/status"]},
    "another": {"command": ["id", "-u"], "user": "1000"},
    "terminal": {"command": ["tty"], "tty": True},
    "exit": {"command": ["sh", "-c", "exit 7"]},
    "nosuch": {"command": ["nosuch"]},
    "remade": {"command": ["sh", "-c", "rm -r /home && mkdir /home && touch /home/x && ls /home"]},
    "unconfined": {"command": ["chown", "5", "/tmp"], "seccomp": "unconfined"},
    "initial": {"command": ["sh", "-c", "exit 3"], "init": True},
}


@pytest.fixture(scope="module")
def ordinary():
    user = OrdinaryUser()
    yield user
    user.close()


@pytest.fixture(scope="module")
def rootless(ordinary):
    lower = make_busybox_root(ordinary.folder / "lower")
    (lower / "home/.keep").touch()
    if os.geteuid() == 0:  # a layer belongs to who unpacked it
        for path in (lower, *lower.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    folder = ordinary.home / "engine"
    (folder / "run").parent.mkdir(mode=0o777)
    folder.chmod(0o777)
    answer = json.loads(ordinary.run(PROGRAM, folder, lower, json.dumps(CASES)))
    if answer["rung"] != "rootless":
        pytest.skip("user namespaces are not allowed here")
    assert answer["ids"] == 1
    yield answer["results"]
    assert not processes_of(folder)


def processes_of(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes() and "zygote" not in path.with_name("comm").read_text():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_the_container_believes_to_be_root(rootless):
    lines = rootless["identity"]["out"].splitlines()
    assert lines[0].startswith("uid=0(root) gid=0(root)")
    assert lines[1:3] == ["identity", "1"]
    assert lines[3].split()[0] == "0"
    assert lines[3].split()[2] == "1"


def test_its_namespaces_are_its_own(rootless):
    kinds = ("pid", "mnt", "net", "uts", "ipc", "user")
    for kind, name in zip(kinds, rootless["spaces"]["out"].split(), strict=True):
        assert name != str(Path(f"/proc/self/ns/{kind}").readlink())


def test_devices_are_the_hosts_by_bind_mount(rootless):
    first, *names = rootless["devices"]["out"].split()
    assert first == "3"
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"} <= set(names)


def test_changing_owners_and_ids_answers_well_and_does_nothing(rootless):
    assert rootless["owners"] == {"code": 0, "out": "/p\nas root\n", "warnings": []}
    assert rootless["unconfined"]["code"] == 0


def test_capabilities_seccomp_and_no_new_privileges_are_set(rootless):
    assert rootless["rights"]["out"].replace("\t", " ").splitlines() == [
        "CapEff: 00000000a80425fb",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ]


def test_another_user_is_the_one_id_there_is_and_a_warning_says_so(rootless):
    assert rootless["another"]["out"] == "0\n"
    assert rootless["another"]["warnings"] == [
        "This rootless engine has a single user id: user 1000 of the container runs as its root."
    ]


def test_terminals_exit_codes_and_refusals_are_as_ever(rootless):
    assert rootless["terminal"]["out"] == "/dev/pts/0\r\n"
    assert rootless["exit"]["code"] == 7
    assert rootless["initial"]["code"] == 3
    assert 'exec: "nosuch": executable file not found in $PATH' in rootless["nosuch"]["error"]


def test_a_deleted_directory_can_be_made_again(rootless):
    assert rootless["remade"] == {"code": 0, "out": "x\n", "warnings": []}


def test_a_running_container_is_entered_paused_and_signalled(rootless):
    lived = rootless["lived"]
    assert lived["exec"] == [4, "/dev/pts/0\r\nlived\r\n0\r\n"]
    assert lived["paused"] in ("T", "D")  # stopped one by one, or by a freezer
    assert lived["found"]
    assert lived["code"] == 5


def test_limits_that_cannot_be_kept_are_warned_of(rootless):
    assert all("memory limit" in text for text in rootless["lived"]["warnings"])
