import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pydockmagic.engine.runtime import cgroups, cgroups_v1, cgroups_v2
from pydockmagic.engine.runtime.cgroups_base import discarded, remove_tree
from pydockmagic.engine.runtime.driver import CgroupStats

PARENT = f"/pydock-test-{os.getpid()}"
writable = pytest.mark.skipif(
    cgroups.layout().version == 0 and not os.environ.get("CI"), reason="no cgroup is writable here"
)
needs_v1 = pytest.mark.skipif(cgroups.layout().version != 1, reason="cgroup v1 is not mounted here")


@pytest.fixture
def make():
    made = []

    def make_(limits=None, name="one"):
        made.append(cgroups.create(PARENT, name, limits or {}))
        return made[-1]

    yield make_
    tops = set()
    for group in made:
        group.kill()
        group.remove()
        tops.update(Path(path).parent for path in group.paths().values())
    for top in tops:
        remove_tree(str(top), 0)
    assert not [path for group in made for path in group.paths().values() if Path(path).exists()]


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import signal; print(flush=True); signal.pause()"], stdout=-1)
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def read(group, controller, file):
    return Path(group.paths()[controller], file).read_text().strip()


@writable
@pytest.mark.root
def test_a_process_that_enters_is_in_every_hierarchy(make, sleeper):
    group = make()
    group.enter(sleeper.pid)
    assert group.procs() == [sleeper.pid]
    lines = Path(f"/proc/{sleeper.pid}/cgroup").read_text().split()
    ours = [line for line in lines if line.endswith(f":{PARENT}/one")]
    assert len(ours) == len(group.paths())


@writable
@pytest.mark.root
def test_a_loaded_cgroup_is_the_same_one(make, sleeper):
    group = make()
    group.enter(sleeper.pid)
    again = cgroups.load(group.paths())
    assert type(again) is type(group)
    assert again.procs() == [sleeper.pid]


@writable
@pytest.mark.root
def test_kill_ends_frozen_processes_too(make, sleeper):
    group = make()
    group.enter(sleeper.pid)
    group.freeze()
    group.kill()
    assert sleeper.wait(10) == -9


@writable
@pytest.mark.root
def test_thaw_lets_a_frozen_process_answer(make):
    group = make()
    with subprocess.Popen(["/bin/cat"], stdin=-1, stdout=-1) as cat:
        group.enter(cat.pid)
        group.freeze()
        cat.stdin.write(b"hello\n")
        cat.stdin.flush()
        os.set_blocking(cat.stdout.fileno(), False)
        assert cat.stdout.read() is None
        os.set_blocking(cat.stdout.fileno(), True)
        group.thaw()
        assert cat.stdout.readline() == b"hello\n"
        cat.stdin.close()
        assert cat.wait(10) == 0


@writable
@pytest.mark.root
def test_remove_waits_for_the_dying_and_is_idempotent(make, sleeper):
    group = make()
    group.enter(sleeper.pid)
    for path in group.paths().values():
        Path(path, "below").mkdir()
    group.kill()
    group.remove()
    assert not [path for path in group.paths().values() if Path(path).exists()]
    group.remove()


@writable
@pytest.mark.root
def test_stats_are_the_fields_of_the_driver_record(make, sleeper):
    group = make({"pids": 7, "memory": 32 << 20})
    group.enter(sleeper.pid)
    stats = CgroupStats(**group.stats())
    assert stats.pids == 1
    assert stats.pids_limit == 7
    assert stats.memory_limit == 32 << 20
    assert stats.cpu_usage_ns is not None


@writable
@pytest.mark.root
def test_memory_that_is_exceeded_is_counted_as_an_oom_kill(make):
    group = make({"memory": 16 << 20, "memory_swap": 16 << 20})
    program = "import sys; sys.stdin.readline(); b'x' * (64 << 20)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stderr=-1) as hungry:
        group.enter(hungry.pid)
        assert group.oom_count() == 0
        hungry.communicate(b"\n")
    assert hungry.returncode == -9
    assert group.oom_count() == 1


@needs_v1
@pytest.mark.root
def test_limits_stand_in_the_files_that_docker_writes(make):
    group = make(
        {
            "memory": 64 << 20,
            "memory_swap": 128 << 20,
            "memory_reservation": 32 << 20,
            "nano_cpus": 500_000_000,
            "cpu_shares": 512,
            "cpuset_cpus": "0",
            "pids": 5,
        }
    )
    assert read(group, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert read(group, "memory", "memory.memsw.limit_in_bytes") == str(128 << 20)
    assert read(group, "memory", "memory.soft_limit_in_bytes") == str(32 << 20)
    assert read(group, "cpu", "cpu.cfs_quota_us") == "50000"
    assert read(group, "cpu", "cpu.cfs_period_us") == "100000"
    assert read(group, "cpu", "cpu.shares") == "512"
    assert read(group, "cpuset", "cpuset.cpus") == "0"
    assert read(group, "pids", "pids.max") == "5"
    group.update({"memory": 256 << 20, "memory_swap": -1})
    assert read(group, "memory", "memory.limit_in_bytes") == str(256 << 20)
    group.update({"memory": 20 << 20, "memory_swap": 20 << 20})
    assert read(group, "memory", "memory.memsw.limit_in_bytes") == str(20 << 20)


@needs_v1
@pytest.mark.root
def test_the_device_list_is_dockers(make):
    # Recorded from dockerd 20.10.24: docker run --rm busybox cat /sys/fs/cgroup/devices/devices.list
    recorded = """b *:* m, c *:* m, c 1:3 rwm, c 1:5 rwm, c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, c 5:0 rwm, c 5:1 rwm,
        c 5:2 rwm, c 10:200 rwm, c 136:* rwm"""
    lines = read(make(), "devices", "devices.list").splitlines()
    assert lines == [line.strip() for line in recorded.split(",")]
    more = read(make({"device_rules": ("c 1:11 r",)}, "two"), "devices", "devices.list").splitlines()
    assert set(more) - set(lines) == {"c 1:11 r"}
    assert read(make({"device_rules": ("a *:* rwm",)}, "three"), "devices", "devices.list") == "a *:* rwm"


@needs_v1
@pytest.mark.root
def test_a_value_that_the_kernel_refuses_leaves_nothing_behind(make):
    make()
    with pytest.raises(OSError, match=r"failed to write '4095' to .*cpuset\.cpus"):
        cgroups.create(PARENT, "refused", {"cpuset_cpus": "4095"})
    assert not list(Path("/sys/fs/cgroup").glob(f"*{PARENT}/refused"))


def test_without_a_writable_cgroup_each_limit_is_a_warning_of_docker(monkeypatch):
    monkeypatch.setattr(cgroups, "_known", [cgroups.Layout({})])
    group = cgroups.create("/docker", "x", {"memory": 1 << 30, "nano_cpus": 1, "cpu_quota": 2, "pids": 3})
    assert isinstance(group, cgroups.NullCgroup)
    assert group.warnings == [
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
        "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
        "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    ]
    assert group.paths() == {}
    assert isinstance(cgroups.load({}), cgroups.NullCgroup)
    with pytest.raises(OSError, match="cannot be paused"):
        group.freeze()


def test_block_io_weight_warns_in_the_recorded_words():
    # Recorded from dockerd 20.10.24: docker run --rm --blkio-weight 300 busybox true
    assert discarded({"blkio_weight": 300}, ()) == [
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
    ]


def test_swap_is_only_missed_where_memory_is_limited():
    limits = {"memory": 1 << 30, "memory_swap": 2 << 30}
    sentence = (
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
        "Memory limited without swap."
    )
    assert discarded(limits, {"memory"}) == [sentence]
    assert discarded({"memory": 1 << 30, "memory_swap": -1}, {"memory"}) == []
    assert discarded(limits, {"memory", "swap"}) == []


@pytest.fixture
def unified(tmp_path):
    """A directory that looks like a v2 tree: the kernel's files are plain ones, so what is written can be read."""
    for path in (tmp_path, tmp_path / "docker", tmp_path / "docker/one"):
        path.mkdir(exist_ok=True)
        for file in ("cgroup.procs", "cgroup.subtree_control"):
            (path / file).touch()
        (path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    for file in (
        "memory.max",
        "memory.swap.max",
        "memory.low",
        "pids.max",
        "cpu.weight",
        "cpu.max",
        "io.weight",
        "cgroup.freeze",
    ):
        (tmp_path / "docker/one" / file).touch()
    return tmp_path


def test_v2_limits_are_converted(unified):
    machine = cgroups.Layout({"unified": str(unified)})
    assert machine.version == 2
    assert {"memory", "pids", "cpu_cfs", "cpuset", "blkio_throttle", "freezer"} <= machine.support
    group = cgroups_v2.CgroupV2.create(str(unified), "", "docker/one")
    group.update(
        {"memory": 100, "memory_swap": 150, "nano_cpus": 1_500_000_000, "cpu_shares": 1024, "pids": -1,
         "memory_reservation": 50, "blkio_weight": 500}
    )  # fmt: skip
    files = {path.name: path.read_text() for path in (unified / "docker/one").iterdir()}
    assert files["memory.max"] == "100"
    assert files["memory.swap.max"] == "50"
    assert files["memory.low"] == "50"
    assert files["cpu.max"] == "150000 100000"
    assert files["cpu.weight"] == "39"
    assert files["pids.max"] == "max"
    assert files["io.weight"] == "4950"
    assert isinstance(cgroups.load(group.paths()), cgroups_v2.CgroupV2)


def test_v2_limits_that_were_not_delegated_are_warned_of(unified, monkeypatch):
    monkeypatch.setattr(cgroups, "_known", [cgroups.Layout({"unified": str(unified)})])
    (unified / "docker/one/cgroup.controllers").write_text("memory pids\n")
    group = cgroups.create("/docker", "one", {"nano_cpus": 1, "memory": 1 << 20, "memory_swap": -1, "pids": 1})
    assert group.warnings == ["Your kernel does not support CPU CFS scheduler. CPU period/quota discarded."]


@pytest.fixture
def hybrid_top():
    """A directory of the v2 tree of a hybrid machine, with the only controller that is left to v2 there."""
    tree = Path("/sys/fs/cgroup/unified")
    offered = tree / "cgroup.controllers"
    if not offered.exists() or "hugetlb" not in offered.read_text():
        pytest.skip("no hybrid v2 tree here")
    was_on = "hugetlb" in (tree / "cgroup.subtree_control").read_text()
    (tree / "cgroup.subtree_control").write_text("+hugetlb")
    top = tree / f"pydock-top-{os.getpid()}"
    top.mkdir()
    yield top
    remove_tree(str(top), time.monotonic() + 10)
    if not was_on:
        (tree / "cgroup.subtree_control").write_text("-hugetlb")


@pytest.mark.root
def test_v2_inside_a_container_makes_room_for_limits(tmp_path, hybrid_top):
    """A cgroup namespace whose top holds processes: an engine as root inside a privileged container."""
    program = """
import os, sys
from pydockmagic.engine.runtime import cgroups_v2, linux
top, mounted = sys.argv[1:]
with open(top + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWCGROUP)
linux.mount("", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
linux.mount("cgroup2", mounted, "cgroup2")
cgroups_v2._CONTROLLERS = ("hugetlb",)
group = cgroups_v2.CgroupV2.create(mounted, "", "docker/one")
print(cgroups_v2.read_text(group.paths()["unified"] + "/cgroup.controllers"))
print(cgroups_v2.read_text("/proc/self/cgroup").split("0::")[1])
"""
    command = [sys.executable, "-c", program, hybrid_top, tmp_path]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["hugetlb", "/init"]


def test_v2_counters_are_read_in_nanoseconds(unified):
    one = unified / "docker/one"
    (one / "cpu.stat").write_text(
        "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 4\nnr_throttled 1\nthrottled_usec 9\n"
    )
    (one / "memory.current").write_text("4096\n")
    (one / "memory.max").write_text("max\n")
    (one / "memory.events").write_text("low 0\noom 2\noom_kill 2\n")
    (one / "io.stat").write_text("254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n")
    group = cgroups.load({"unified": str(one)})
    stats = group.stats()
    assert (stats["cpu_usage_ns"], stats["cpu_user_ns"], stats["cpu_system_ns"]) == (5000, 3000, 2000)
    assert stats["throttled"] == (4, 1, 9000)
    assert stats["memory_usage"] == 4096
    assert stats["memory_limit"] is None
    assert stats["blkio_bytes"] == ((254, 0, "Read", 10), (254, 0, "Write", 20))
    assert group.oom_count() == 2
    CgroupStats(**stats)


def test_v1_support_is_judged_by_files(tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").touch()
    assert cgroups_v1.support({"memory": str(tmp_path / "memory")}) == {"memory"}


def test_an_ordinary_user_without_delegation_gets_no_cgroup():
    """The zygote may be anybody: importing and asking must not fail, only find nothing."""
    program = (
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from pydockmagic.engine.runtime import cgroups\n"
        "print(type(cgroups.create('/docker', 'x', {'memory': 1})).__name__)"
    )
    if os.geteuid() != 0:
        program = program.partition("\n")[2]
    run = subprocess.run(
        ["/usr/bin/env", sys.executable, "-c", _preloaded(program)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() in ("NullCgroup", "CgroupV2")


def _preloaded(program):
    """Import before privileges are dropped: an ordinary user may not be able to read this tree."""
    return f"import pydockmagic.engine.runtime.cgroups, contextlib, encodings.ascii\n{program}"


def test_the_module_stays_small_for_the_zygote():
    heavy = "{'msgspec', 'asyncio', 'subprocess', 'pathlib', 'typing_extensions', 'socket'}"
    program = f"import sys; import pydockmagic.engine.runtime.cgroups; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"],
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert run.stdout.strip() == "[]"
