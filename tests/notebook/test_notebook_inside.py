import httpx
import pytest
from support.markup_check import check_static

from pydockmagic.client import Client, parse_address
from pydockmagic.notebook.insides import read_inside, read_usage
from pydockmagic.notebook.widgets.inside import inside_sheet
from pydockmagic.notebook.widgets.inside_records import (
    Capabilities,
    Cgroup,
    Host,
    IdRange,
    Inside,
    MountSeen,
    ProcessSeen,
)

OWN = {"pid": 71, "net": 72, "mnt": 73, "user": 8}
HOST = {"pid": 1, "net": 2, "mnt": 3, "user": 8}
SEEN = Inside(
    id="c" * 64,
    name="web",
    state="running",
    pid=500,
    host=Host(name="machine", namespaces=HOST),
    processes=[
        ProcessSeen(pid=1, name="systemd", within=False),
        ProcessSeen(pid=400, parent=1, name="supervisor", within=False),
        ProcessSeen(pid=500, inner_pid=1, parent=400, uid=100000, command="sh -c '<b>'", namespaces=OWN),
        ProcessSeen(pid=77, inner_pid=2, parent=500, uid=100000, command="sleep 5", namespaces=OWN),
    ],
    namespaces=OWN,
    mounts=[
        MountSeen(target="/", type="overlay", options=["rw"], super_options=["lowerdir=a:b", "upperdir=c"]),
        MountSeen(target="/data", root="/srv/data", type="ext4", source="/dev/vda", options=["ro"]),
        MountSeen(target="/proc/keys", root="/null", type="tmpfs", options=["rw"]),
        MountSeen(target="/proc/sys", root="/sys", type="proc", options=["ro"]),
    ],
    uid_map=[IdRange(inside=0, outside=100000, count=65536)],
    cgroup=Cgroup(version="2", path="/docker/c", memory_usage=1_000_000, memory_limit=4_000_000, pids=2, cpus=4,
                  cpu_nanoseconds=1_500_000_000, cpu_limit=0.5),
    capabilities=Capabilities(
        effective=["CAP_CHOWN", "CAP_SYS_ADMIN"], all=["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"]
    ),
    no_new_privileges=True,
    seccomp="filter",
)  # fmt: skip


def section(sheet, title):
    found = next(each for each in sheet.sections if each.title == title)
    return [[cell if isinstance(cell, str) else cell.text for cell in row] for row in found.rows], found


def test_each_process_stands_under_its_parent_with_both_its_pids():
    rows, found = section(inside_sheet(SEEN), "Processes")
    assert [row[:3] for row in rows] == [
        ["1", "not visible", "systemd"],
        ["400", "not visible", "└─ supervisor"],
        ["500", "1", "   └─ sh -c '<b>'"],
        ["77", "2", "      └─ sleep 5"],
    ]
    assert "500 on the host is 1 in the container" in found.notes[0]


def test_same_and_different_namespaces_are_told_in_words():
    rows, _ = section(inside_sheet(SEEN), "Namespaces")
    assert ["pid", "71", "≠ different", "1"] in [row[:4] for row in rows]
    assert ["user", "8", "= same as the host", "8"] in [row[:4] for row in rows]


def test_limits_users_mounts_and_capabilities_are_told():
    sheet = inside_sheet(SEEN)
    text = check_static(sheet.html())
    assert "1MB used" in text
    assert "of 4MB" in text
    assert "at most 0.5 of 4 CPUs" in text
    assert "Root in the container is user 100000 on the host" in text
    mounts = {row[0]: row[2:] for row in section(sheet, "Mounts")[0]}
    assert mounts["/"][1] == "overlay of 2 layers"
    assert mounts["/data"] == ["read-only", "/srv/data", ""]
    assert mounts["/proc/keys"][2] == "hidden: it looks empty from in there"
    assert "may look, but not change" in mounts["/proc/sys"][2]
    rights = {row[0]: (row[1], row[3]) for row in section(sheet, "Capabilities")[0]}
    assert rights == {
        "CHOWN": ("has", ""),
        "SYS_ADMIN": ("has", "more than docker gives by itself"),
        "NET_RAW": ("has not", "taken away"),
    }
    assert "cannot gain more rights" in text


def test_a_container_that_does_not_run_has_nothing_inside():
    sheet = inside_sheet(Inside(id="c", name="web", state="exited"))
    assert "web is exited: no process runs" in str(sheet)
    assert not sheet.sections


def test_a_reading_of_stats_takes_the_place_of_the_figures():
    now = read_usage(SEEN.cgroup, {"memory_stats": {"usage": 7}, "pids_stats": {"current": 3}, "cpu_stats": {}})
    assert (now.memory_usage, now.pids, now.cpu_nanoseconds, now.memory_limit) == (7, 3, 1_500_000_000, 4_000_000)


INSPECT = {
    "Id": "c" * 64,
    "Name": "/web",
    "State": {"Status": "running", "Pid": 500},
    "HostConfig": {"NetworkMode": "host", "PidMode": "", "IpcMode": "private", "CgroupnsMode": "private", "Memory": 5},
}


def plain_daemon(request):
    path = request.url.path.removeprefix("/v1.41")
    if path == "/_ping":
        return httpx.Response(200, headers={"Api-Version": "1.41"})
    answers = {
        "/containers/web/json": INSPECT,
        f"/containers/{'c' * 64}/top": {
            "Titles": ["PID", "PPID", "UID", "PIDNS", "COMMAND"],
            "Processes": [["500", "1", "0", "71", "sh"]],
        },
        f"/containers/{'c' * 64}/stats": {"memory_stats": {"usage": 4}},
        "/info": {"NCPU": 2, "SecurityOptions": ["name=seccomp"], "CgroupVersion": "2"},
    }
    if path in answers:
        return httpx.Response(200, json=answers[path])
    return httpx.Response(404, json={"message": "page not found"})


@pytest.fixture
def plain():
    with Client(parse_address("tcp://127.0.0.1:1"), transport=httpx.MockTransport(plain_daemon)) as client:
        yield client


def test_of_a_plain_daemon_is_told_what_it_tells_and_what_cannot_be_known(plain):
    seen = read_inside(plain, "web")
    text = check_static(inside_sheet(seen).html())
    rows, _ = section(inside_sheet(seen), "Namespaces")
    words = {row[0]: row[2] for row in rows}
    assert words["net"] == "= same as the host"
    assert words["pid"] == "≠ different"
    assert words["user"] == "= same as the host"
    assert "no shell in the container could be asked" in text
    assert "What stands above the container on the host is not known" in text
