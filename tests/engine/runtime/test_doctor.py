import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.ordinary import OrdinaryUser

from pydockmagic.engine import doctor
from pydockmagic.engine.runtime.doctor import Capability
from pydockmagic.engine.runtime.sandbox import SandboxInfo

DOCTOR = "import sys; from pydockmagic.engine.doctor import main; sys.exit(main(['--json']))"
INSIDE = """
import os, sys
from pydockmagic.engine.doctor import examine
from pydockmagic.engine.runtime.sandbox import enter
import json; info = enter(sys.argv[1]); print(json.dumps(examine(info, __import__("pathlib").Path(sys.argv[1]))))
"""
SYSTEM_CALL_REFUSED = """
import ctypes, struct
filter = struct.pack("HBBI", 0x20, 0, 0, 0)  # load the number of the system call
for number in {numbers}:
    filter += struct.pack("HBBI", 0x15, 0, 1, number) + struct.pack("HBBI", 0x06, 0, 0, 0x00050001)  # EPERM
filter += struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
buffer = ctypes.create_string_buffer(filter, len(filter))
program = struct.pack("HxxxxxxP", len(filter) // 8, ctypes.addressof(buffer))
assert libc.prctl(22, 2, program, 0, 0) == 0
"""


@pytest.fixture(scope="module")
def user():
    ordinary = OrdinaryUser()
    yield ordinary
    ordinary.close()


def by_name(text):
    return {row["Name"]: row for row in json.loads(text)["Capabilities"]}


@pytest.mark.root
def test_as_root_everything_a_container_needs_is_there():
    run = subprocess.run([sys.executable, "-c", DOCTOR], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = by_name(run.stdout)
    for name in ("engine", "mounts", "overlay", "namespaces", "seccomp", "bridge networking", "published ports"):
        assert found[name]["Available"], found[name]
    assert found["engine"]["Consequence"] == "driver: namespaces, as root"
    assert found["overlay"]["Consequence"] == "storage driver: overlay2"
    assert found["outbound access"]["Consequence"] == "routed, under the host's address"


@pytest.mark.rootless
def test_an_ordinary_user_reads_what_is_different(user):
    found = by_name(user.run(DOCTOR))
    assert found["engine"]["Consequence"].endswith("(rootless)")
    assert found["overlay"]["Available"]
    assert found["bridge networking"]["Available"]
    assert "relay" in found["outbound access"]["Reason"]
    assert not found["device nodes"]["Available"]


@pytest.mark.rootless
def test_an_engine_in_its_sandbox_tells_the_same(user):
    outside, inside = by_name(user.run(DOCTOR)), by_name(user.run(INSIDE, user.home))
    assert set(outside) == set(inside)
    differing = {name for name in outside if outside[name]["Available"] != inside[name]["Available"]}
    assert differing == set()
    assert inside["subordinate ids"] == outside["subordinate ids"]


@pytest.mark.rootless
@pytest.mark.skipif(sys.platform != "linux" or __import__("platform").machine() != "x86_64", reason="x86_64 numbers")
@pytest.mark.parametrize(
    ("refused", "wanted"),
    [
        ([272], {"engine": False, "user namespaces": False}),  # unshare
        ([165, 429], {"engine": False, "user namespaces": True}),  # mount, move_mount
        ([101], {"engine": True, "ptrace": False}),
    ],
)
def test_refusals_of_a_seccomp_filter_are_seen(user, refused, wanted):
    """Kubernetes and Docker refuse by such filters."""
    program = SYSTEM_CALL_REFUSED.format(numbers=refused)
    run = subprocess.run(user.command(program + DOCTOR), capture_output=True, check=False, **user.options())
    found = by_name(run.stdout)
    assert {name: found[name]["Available"] for name in wanted} == wanted
    assert run.returncode == (0 if found["engine"]["Available"] else 1)


def test_nothing_is_left_of_the_trials(tmp_path):
    before = set(Path("/proc/self/mountinfo").read_text().splitlines())
    subprocess.run(
        [sys.executable, "-m", "pydockmagic.engine.doctor", "--data-root", tmp_path], capture_output=True, check=False
    )
    assert list(tmp_path.iterdir()) == []
    assert set(Path("/proc/self/mountinfo").read_text().splitlines()) == before


def test_the_table_says_what_follows():
    rows = [
        Capability("overlay", True, "mounted on /data", "storage driver: overlay2"),
        Capability("x", False, "a", "b"),
    ]
    assert doctor.table(rows) == (
        "yes  overlay  mounted on /data\n"
        "              -> storage driver: overlay2\n"
        "no   x        a\n"
        "              -> b\n"
    )  # fmt: skip


def test_an_examination_that_fails_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.sys, "executable", "/nonexistent/python")
    answer = doctor.examine(SandboxInfo("root", 0, 0), tmp_path)
    assert answer["Capabilities"] == []
    assert "No such file" in answer["Error"]
