import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.ordinary import NOBODY, OrdinaryUser

from pydockmagic.engine.runtime import sandbox

SHOW = """
import dataclasses, json, os, sys
from pydockmagic.engine.runtime import linux, sandbox
def show(info):
    spaces = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "mnt", "net")}
    print(json.dumps({**dataclasses.asdict(info), **spaces, "now": [os.getuid(), os.getgid()],
        "map": open("/proc/self/uid_map").read().split()}), flush=True)
"""
ENTER = SHOW + "show(sandbox.enter(sys.argv[1]))\n"
KEEP = (
    SHOW
    + """
import pathlib, subprocess
from pydockmagic.engine.runtime import wire
info = sandbox.enter(sys.argv[1]); show(info)
network = sandbox.open_network(info); print(os.readlink(f"/proc/self/fd/{network}"), flush=True)
launch = pathlib.Path(sandbox.__file__).with_name("launch.py")
subprocess.run([sys.executable, "-I", "-S", launch, sys.argv[1], str(network)], pass_fds=[network], check=True)
engine = wire.connect(sys.argv[1], f"{wire.zygote_name()}.sock")
wire.send(engine, {"id": 1, "op": "hello"})
print(wire.Receiver(engine).receive()[0]["ok"]["pid"], flush=True); sys.stdin.read()
"""
)
NO_NEW_PRIVILEGES = "import ctypes; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"


@pytest.fixture(scope="module")
def user():
    ordinary = OrdinaryUser()
    yield ordinary
    ordinary.close()


def ours(kind):
    return str(Path(f"/proc/self/ns/{kind}").readlink())


def enter_here(tmp_path, prefix=()):
    command = [*prefix, sys.executable, "-c", ENTER, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.root
def test_root_gets_a_mount_namespace_and_keeps_the_rest(tmp_path):
    info = enter_here(tmp_path)
    assert info["rung"] == "root"
    assert info["mnt"] != ours("mnt")
    assert (info["user"], info["net"]) == (ours("user"), ours("net"))
    assert not info["private_net"]
    assert info["reasons"] == []


@pytest.mark.root
def test_root_without_the_capability_falls_back_to_a_user_namespace_with_every_id(tmp_path):
    info = enter_here(tmp_path, ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"])
    assert info["rung"] == "rootless"
    assert info["user"] != ours("user")
    assert info["private_net"]
    assert info["ids"] > 65536


@pytest.mark.rootless
def test_an_ordinary_user_becomes_root_inside_and_stays_in_the_hosts_network(user):
    info = json.loads(user.run(ENTER, user.home))
    assert info["rung"] == "rootless"
    assert info["now"] == [0, 0]
    assert info["private_net"]
    assert info["net"] == ours("net")
    assert info["user"] != ours("user")
    assert info["mnt"] != ours("mnt")
    if os.geteuid() == 0:
        assert (info["uid"], info["gid"]) == (NOBODY, NOBODY)


@pytest.mark.rootless
def test_no_new_privs_means_one_id_and_says_so(user):
    info = json.loads(user.run(NO_NEW_PRIVILEGES + ENTER, user.home))
    assert info["ids"] == 1
    assert any("no_new_privs" in reason for reason in info["reasons"])


@pytest.mark.root
@pytest.mark.rootless
def test_subordinate_ids_are_mapped_by_newuidmap(user):
    for name in ("subuid", "subgid"):
        (user.folder / name).write_text(f"nobody:300000:65536\n{NOBODY}:700000:10\n")
    # The test may not edit /etc, so newuidmap sees another one: bind mounts in a mount namespace of its own.
    script = 'mount --bind "$0/subuid" /etc/subuid; mount --bind "$0/subgid" /etc/subgid; exec "$@"'
    drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    command = ["unshare", "-m", "sh", "-ec", script, str(user.folder), *drop, *user.command(ENTER, user.home)]
    options = {key: value for key, value in user.options().items() if key in ("env", "cwd", "text")}
    run = subprocess.run(command, capture_output=True, check=False, **options)
    assert run.returncode == 0, run.stderr
    info = json.loads(run.stdout)
    assert info["reasons"] == []
    assert info["ids"] == 1 + 65536 + 10
    assert info["now"] == [0, 0]
    assert info["map"] == ["0", str(NOBODY), "1", "1", "300000", "65536", "65537", "700000", "10"]


@pytest.mark.rootless
def test_a_restarted_engine_enters_the_user_namespace_of_the_running_zygote(user):
    with user.start(KEEP, user.home) as engine:
        first, network, zygote = (
            json.loads(engine.stdout.readline()),
            engine.stdout.readline(),
            engine.stdout.readline(),
        )
        again = (
            "info = sandbox.enter(sys.argv[1]); show(info)\n"
            "print(os.readlink(f'/proc/self/fd/{sandbox.open_network(info)}'))"
        )
        shown, found = user.run(SHOW + again, user.home).splitlines()
        second = json.loads(shown)
        assert found == network.strip() != ours("net")
        assert second["keeper"] == int(zygote)
        assert second["user"] == first["user"]
        assert second["mnt"] not in (first["mnt"], ours("mnt"))
        assert second["now"] == [0, 0]
        engine.stdin.close()
    after = json.loads(user.run(ENTER, user.home))
    assert after["keeper"] == 0


@pytest.mark.rootless
def test_refused_user_namespaces_become_a_sentence(user):
    """The limit of a user namespace inside ours plays the machine that forbids them."""
    program = (
        SHOW
        + "sandbox.enter(sys.argv[1]); open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
        + "sandbox.has_capability = lambda name: False\n"
        + "show(sandbox.enter(sys.argv[1]))"
    )
    info = json.loads(user.run(program, user.home))
    assert info["rung"] == "none"
    assert "user.max_user_namespaces" in info["reasons"][0]


def test_a_socket_that_nobody_serves_is_no_keeper(tmp_path):
    with sandbox.keeper(tmp_path) as pid:
        assert pid == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(tmp_path / "zygote-1.sock"))
    (tmp_path / "zygote-2.sock").touch()
    with sandbox.keeper(tmp_path) as pid:
        assert pid == 0


def test_subordinate_ranges_are_found_by_name_and_number(tmp_path):
    file = Path(tmp_path, "subuid")
    file.write_text("root:1:2\n0:5:6\nsomebody:7:8\nroot:broken\n\nroot:x:1\n")
    assert sandbox.subordinate_ranges(file, 0) == [(1, 2), (5, 6)]
    assert sandbox.subordinate_ranges(tmp_path / "missing", 0) == []


def test_refusals_are_told_apart(monkeypatch):
    settings = {}
    monkeypatch.setattr(sandbox, "_sysctl", lambda name: settings.get(name, ""))
    assert "seccomp" in sandbox.explain_refusal("user", errno.EPERM)
    assert sandbox.explain_refusal("mount", errno.EPERM) == "mounting is refused: Operation not permitted"
    settings["kernel/apparmor_restrict_unprivileged_userns"] = "1"
    assert "AppArmor" in sandbox.explain_refusal("mount", errno.EACCES)
    settings["kernel/unprivileged_userns_clone"] = "0"
    assert "kernel.unprivileged_userns_clone=0" in sandbox.explain_refusal("user", errno.EPERM)
    assert "max_user_namespaces" in sandbox.explain_refusal("user", errno.ENOSPC)
