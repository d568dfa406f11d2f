"""Limits of a container: refusals, and warnings where the kernel cannot keep them; platforms, joins, sysctls."""

import pytest

from pydockmagic.engine.containers import platforms
from pydockmagic.engine.containers.config import (
    HostConfig,
    RestartPolicy,
    ThrottleDevice,
    UpdateRequest,
    WeightDevice,
)
from pydockmagic.engine.containers.resources import check_resources, kernel_memory, updated
from pydockmagic.engine.containers.security import check_sysctls, missing_capabilities
from pydockmagic.engine.errors import Conflict, InvalidParameter, NotFound, StartError

EVERYTHING = frozenset(
    ("memory", "swap", "reservation", "swappiness", "oom_kill_disable", "pids", "cpu_cfs", "cpu_shares", "cpuset",
     "blkio_weight", "blkio_weight_device", "blkio_throttle")
)  # fmt: skip
MANY = {
    "memory": 64 << 20, "memory_reservation": 32 << 20, "memory_swappiness": 10, "oom_kill_disable": True,
    "pids_limit": 5, "cpu_shares": 512, "cpu_quota": 50_000, "cpuset_cpus": "0", "blkio_weight": 300,
    "blkio_weight_device": [WeightDevice(path="/dev/null", weight=200)],
    "blkio_device_read_bps": [ThrottleDevice(path="/dev/null", rate=1)],
    "blkio_device_write_iops": [ThrottleDevice(path="/dev/null", rate=1)],
}  # fmt: skip


def test_a_kernel_that_keeps_everything_warns_of_nothing():
    host = HostConfig(**MANY)
    assert check_resources(host, EVERYTHING) == []
    assert host == HostConfig(**MANY)


def test_what_the_kernel_cannot_keep_is_told_in_dockers_words_and_taken_out():
    host = HostConfig(**MANY)
    warnings = check_resources(host, ())
    assert warnings == [
        f"Your kernel does not support {rest}"
        for rest in (
            "memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
            "memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
            "memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
            "OomKillDisable. OomKillDisable discarded.",
            "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
            "CPU shares or the cgroup is not mounted. Shares discarded.",
            "CPU CFS scheduler. CPU period/quota discarded.",
            "cpuset or the cgroup is not mounted. Cpuset discarded.",
            "Block I/O weight or the cgroup is not mounted. Weight discarded.",
            "Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
            "BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
            "IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
        )
    ]
    assert host == HostConfig(
        memory_swap=-1, blkio_weight_device=[], blkio_device_read_bps=[], blkio_device_write_iops=[]
    )


def test_without_swap_accounting_memory_is_limited_without_swap():
    host = HostConfig(memory=64 << 20)
    (warning,) = check_resources(host, EVERYTHING - {"swap"})
    assert warning.endswith("Memory limited without swap.")
    assert (host.memory, host.memory_swap) == (64 << 20, -1)


def test_a_kernel_without_quotas_discards_cpus_with_a_warning():
    host = HostConfig(nano_cpus=10**9)
    (warning,) = check_resources(host, EVERYTHING - {"cpu_cfs"})
    assert warning.endswith("CPU CFS scheduler. CPU period/quota discarded.")
    assert host.nano_cpus == 0


def test_no_oom_killer_and_no_limit_is_warned_of():
    (warning,) = check_resources(HostConfig(oom_kill_disable=True), EVERYTHING)
    assert warning.startswith("OOM killer is disabled for the container, but no memory limit is set")


def test_kernel_memory_is_a_thing_of_the_past():
    assert kernel_memory(0) == []
    assert kernel_memory(10 << 20) == [
        "Specifying a kernel memory limit is deprecated and will be removed in a future release."
    ]
    with pytest.raises(InvalidParameter, match="Minimum kernel memory limit allowed is 6MB"):
        kernel_memory(1 << 20)


# --- update ---------------------------------------------------------------------------------------------------------


def test_an_update_changes_only_what_it_names():
    old = HostConfig(memory=64 << 20, memory_swap=128 << 20, cpu_shares=512, pids_limit=7)
    new, warnings = updated(old, UpdateRequest(cpu_shares=100, restart_policy=RestartPolicy(name="always")), EVERYTHING)
    assert warnings == []
    assert (new.cpu_shares, new.memory, new.pids_limit) == (100, 64 << 20, 7)
    assert new.restart_policy.name == "always"
    assert updated(old, UpdateRequest(pids_limit=-1), EVERYTHING)[0].pids_limit == 0


@pytest.mark.parametrize(
    ("old", "asked", "sentence"),
    [
        ({}, {"memory": 64 << 20}, "Memory limit should be smaller than already set memoryswap limit"),
        ({"memory": 10 << 20, "memory_swap": 20 << 20}, {"memory": 64 << 20}, "Memory limit should be smaller"),
        ({"cpu_period": 5000}, {"nano_cpus": 10**9}, "Nano CPUs cannot be updated as CPU Period has already been set"),
        ({"cpu_quota": 5000}, {"nano_cpus": 10**9}, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        ({"nano_cpus": 1}, {"cpu_period": 5000}, "CPU Period cannot be updated as NanoCPUs has already been set"),
        ({"nano_cpus": 1}, {"cpu_quota": 5000}, "CPU Quota cannot be updated as NanoCPUs has already been set"),
    ],
)
def test_an_update_that_contradicts_what_is_set_is_a_conflict(old, asked, sentence):
    with pytest.raises(Conflict, match=sentence):
        updated(HostConfig(**old), UpdateRequest(**asked), EVERYTHING)


def test_an_update_warns_as_a_create_does():
    _, warnings = updated(HostConfig(), UpdateRequest(blkio_weight=300, kernel_memory=10 << 20), ())
    assert warnings == [
        "Specifying a kernel memory limit is deprecated and will be removed in a future release.",
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    ]


# --- capabilities ---------------------------------------------------------------------------------------------------


def test_a_capability_that_the_engine_lacks_itself_is_warned_of():
    chown, kill = 1 << 0, 1 << 5
    assert missing_capabilities(HostConfig(), 0) == []
    assert missing_capabilities(HostConfig(cap_add=["CAP_CHOWN"]), chown) == []
    (warning,) = missing_capabilities(HostConfig(cap_add=["CAP_CHOWN", "CAP_KILL"]), chown)
    assert warning == "The engine itself does not have the capability CAP_KILL. Capability discarded."
    assert len(missing_capabilities(HostConfig(privileged=True), kill)) == 40
    assert len(missing_capabilities(HostConfig(cap_add=["ALL"], cap_drop=["CAP_CHOWN"]), kill)) == 39


# --- platforms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("linux/amd64", "linux/amd64"), ("Linux/X86_64", "linux/amd64"), ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"), ("windows/amd64", "windows/amd64"), ("aarch64", "linux/arm64"),
    ],
)  # fmt: skip
def test_platforms_are_read_and_normalised(text, read):
    assert str(platforms.parse(text)) == read


@pytest.mark.parametrize("text", ["nosuch", "a/b/c/d", "linux/", "/amd64"])
def test_no_platforms(text):
    with pytest.raises(InvalidParameter, match="invalid argument"):
        platforms.parse(text)


def test_an_image_of_another_platform_is_refused_where_asked_for_and_warned_of_else():
    here = platforms.of_machine()
    foreign = {"os": "linux", "architecture": "s390x"}
    assert platforms.check({"os": "linux", "architecture": here.architecture}, "", "b") == []
    assert platforms.check(foreign, "linux/s390x", "b") == []
    (warning,) = platforms.check(foreign, "", "b")
    assert warning == (
        f"The requested image's platform (linux/s390x) does not match the detected host platform ({here}) "
        "and no specific platform was requested"
    )
    with pytest.raises(NotFound, match="does not match the specified platform: wanted linux/ppc64le, actual: linux/s3"):
        platforms.check(foreign, "linux/ppc64le", "b")


# --- sysctls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "name", "problem"),
    [
        ({}, "vm.swappiness", 'sysctl "vm.swappiness" is not in a separate kernel namespace'),
        ({}, "fs/file-max", 'sysctl "fs.file-max" is not in a separate kernel namespace'),
        ({}, "kernel.hostname", 'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname"'),
        ({"uts_mode": "host"}, "kernel.domainname", 'sysctl "kernel.domainname" is not in a separate kernel namespace'),
        ({"network_mode": "host"}, "net.core.somaxconn", "not allowed in host network namespace"),
        ({"ipc_mode": "host"}, "kernel.shmmax", "is not allowed in the hosts ipc namespace"),
    ],
)
def test_a_setting_that_would_be_the_hosts_is_refused(host, name, problem):
    with pytest.raises(StartError, match=problem):
        check_sysctls(HostConfig(**host, sysctls={name: "1"}))


@pytest.mark.parametrize("name", ["net.ipv4.ip_forward", "kernel.shmmax", "fs.mqueue.msg_max", "kernel.domainname"])
def test_a_containers_own_settings_are_its_own(name):
    check_sysctls(HostConfig(sysctls={name: "1"}))
