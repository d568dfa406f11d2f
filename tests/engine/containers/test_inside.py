import os

import pytest

from pydockmagic.engine.containers.inside import read_inside
from pydockmagic.engine.runtime.host import host_namespaces, namespaces_of


def process(proc, pid, parent, inner, *, name="sh", command="", namespaces=None, more=""):
    home = proc / str(pid)
    (home / "ns").mkdir(parents=True)
    numbers = "\t".join(map(str, (pid, inner) if inner else (pid,)))
    home.joinpath("status").write_text(
        f"Name:\t{name}\nState:\tS (sleeping)\nPPid:\t{parent}\nUid:\t100000\t0\t0\t0\nThreads:\t2\n"
        f"NSpid:\t{numbers}\n{more}"
    )
    home.joinpath("cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    for kind, number in (namespaces or {}).items():
        (home / "ns" / kind).symlink_to(f"{kind}:[{number}]")
    return home


@pytest.fixture
def document(tmp_path):
    process(tmp_path, 1, 0, 0, name="systemd", command="/sbin/init secret")
    process(tmp_path, 40, 1, 0, name="supervisor")
    more = "CapEff:\t0000000000000001\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\n"
    home = process(tmp_path, 50, 40, 1, command="sh -c x", namespaces={"pid": 7, "user": 8}, more=more)
    process(tmp_path, 51, 50, 9, command="sleep 5")
    home.joinpath("mountinfo").write_text(
        "1 0 0:4 / / rw,relatime - overlay overlay rw,upperdir=/x\n"
        "2 1 8:1 /a\\040b /data\\040x ro master:1 shared:2 - ext4 /dev/vda rw\n"
    )
    home.joinpath("uid_map").write_text("         0     100000      65536\n")
    home.joinpath("cgroup").write_text("4:memory:/docker/abc\n0::/\n")
    return read_inside(50, [50, 51, 52], str(tmp_path))


def test_each_process_has_the_pid_of_the_host_and_that_in_the_container(document):
    rows = [(each["Pid"], each["InnerPid"], each["Parent"]) for each in document["Processes"] if each["Within"]]
    assert rows == [(50, 1, 40), (51, 9, 50)]


def test_the_way_down_from_the_first_process_of_the_machine_is_told_by_names_alone(document):
    above = [each for each in document["Processes"] if not each["Within"]]
    assert [(each["Pid"], each["Name"], each["Command"]) for each in above] == [
        (1, "systemd", ""),
        (40, "supervisor", ""),
    ]


def test_mounts_are_read_with_their_blanks_and_optional_fields(document):
    mount = document["Mounts"][1]
    assert (mount["Target"], mount["Root"], mount["Type"], mount["Options"]) == ("/data x", "/a b", "ext4", ["ro"])


def test_namespaces_ids_cgroup_and_capabilities_are_told(document):
    assert document["Namespaces"] == {"pid": 7, "user": 8}
    assert document["UidMap"] == [{"Inside": 0, "Outside": 100000, "Count": 65536}]
    assert document["Cgroup"]["Path"] == "/docker/abc"
    assert document["Capabilities"]["Effective"] == ["CAP_CHOWN"]
    assert len(document["Capabilities"]["Bounding"]) == 14
    assert document["NoNewPrivileges"] is True
    assert document["Seccomp"] == "filter"


def test_the_hosts_namespaces_are_those_of_the_start():
    assert host_namespaces()["pid"] == namespaces_of(str(os.getpid()))["pid"]


def test_an_engine_in_a_user_namespace_tells_users_as_the_host_numbers_them(tmp_path):
    home = process(tmp_path, 60, 1, 1)
    myself = tmp_path / "self"
    (myself / "ns").mkdir(parents=True)
    (myself / "ns" / "user").symlink_to("user:[1]")
    myself.joinpath("uid_map").write_text("0 1000 1\n1 100000 200000\n")
    assert home.joinpath("status").read_text().count("100000") == 1
    assert read_inside(60, [60], str(tmp_path))["Processes"][0]["Uid"] == 199999
