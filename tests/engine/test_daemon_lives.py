"""Lives of containers end to end, in the corners where Docker has sentences and habits of its own."""

from __future__ import annotations

import io
import json
import queue
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.api import Api, frames, served
from support.leaks import until

pytestmark = pytest.mark.root

_NO_LOG = "failed to initialize logging driver: "
_NO_FIELD = "can't evaluate field Foo in type *logger.Info"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with served(tmp_path_factory.mktemp("lives")) as api:
        yield api


@pytest.fixture
def sleeper(api: Api) -> Iterator[str]:
    with api.sleeper() as container:
        yield container


def started(api: Api, *command: str, **fields: Any) -> str:
    container = api.create(*command, **fields)
    api.post(f"/containers/{container}/start")
    return container


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def executed(api: Api, container: str, *command: str) -> str:
    made = api.post(f"/containers/{container}/exec", {"Cmd": list(command), "AttachStdout": True})["Id"]
    return b"".join(data for _, data in frames(api("POST", f"/exec/{made}/start", {}).body)).decode()


def next_of(found: queue.Queue[dict[str, Any]], prefix: str) -> dict[str, Any]:
    while True:
        event = found.get(timeout=15)
        if event["Action"].startswith(prefix):
            return event


# --- files -------------------------------------------------------------------------------------------------------


def test_export_of_a_running_container_shows_its_root_alone_and_mounts_nothing_over_it(api):
    container = started(api, "sh", "-c", "echo new > /new; rm /bin/vi; sleep 600", HostConfig={"Binds": ["kept:/data"]})
    until(lambda: "new" in executed(api, container, "cat", "/new"))
    raw = api("GET", f"/containers/{container}/export").body
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        names = archive.getnames()
        assert archive.extractfile("new").read() == b"new\n"  # type: ignore[union-attr]  # a regular file
    assert "bin/vi" not in names
    assert "bin/sh" in names
    assert not [name for name in names if name.startswith(("proc/", "data/"))]
    upper = Path(api.get(f"/containers/{container}/json")["GraphDriver"]["Data"]["UpperDir"])
    until(lambda: not (upper.parent / "view").exists(), "the view is still there")
    api("DELETE", f"/containers/{container}", force="1", v="1")


def test_a_read_only_container_takes_files_into_its_volume_only(api, tmp_path):
    container = started(
        api, "sleep", "600", HostConfig={"ReadonlyRootfs": True, "Binds": ["taken:/data", f"{tmp_path}:/ro:ro"]}
    )  # fmt: skip
    put = {
        path: api("PUT", f"/containers/{container}/archive", tar_of(x=b"1"), path=path)
        for path in ("/data", "/ro", "/")
    }
    assert put["/data"].status == 200
    assert executed(api, container, "cat", "/data/x") == "1"
    assert (put["/ro"].status, put["/ro"].message) == (403, "mounted volume is marked read-only")
    assert (put["/"].status, put["/"].message) == (403, "container rootfs is marked read-only")
    api("DELETE", f"/containers/{container}", force="1", v="1")


def test_what_the_kernel_shows_in_a_container_is_not_copied(api, sleeper):
    answer = api("GET", f"/containers/{sleeper}/archive", path="/proc/cpuinfo")
    assert (answer.status, answer.message) == (404, f"Could not find the file /proc/cpuinfo in container {sleeper}")


# --- health ------------------------------------------------------------------------------------------------------


def test_a_check_that_takes_too_long_is_killed_and_told_with_what_it_said(api):
    check = {"Test": ["CMD-SHELL", "echo begun; sleep 60"], "Interval": 10**8, "Timeout": 3 * 10**8, "Retries": 1}
    container = api.create("sleep", "600", Healthcheck=check)
    with api.events(filters={"container": [container]}) as found:
        api.post(f"/containers/{container}/start")
        assert next_of(found, "exec_die")["Actor"]["Attributes"]["exitCode"] == "137"
        assert next_of(found, "health_status")["Action"] == "health_status: unhealthy"
    probe = api.state(container)["Health"]["Log"][0]
    assert (probe["ExitCode"], probe["Output"]) == (-1, "Health check exceeded timeout (300ms): begun\n")
    api("DELETE", f"/containers/{container}", force="1")


def test_a_check_says_at_most_4096_bytes_and_is_remembered_over_a_restart(api):
    check = {"Test": ["CMD-SHELL", "head -c 9000 /dev/zero | tr '\\0' x"], "Interval": 10**8}
    container = started(api, "sleep", "600", Healthcheck=check)
    until(lambda: api.state(container)["Health"]["Status"] == "healthy", "it does not get healthy")
    assert api.state(container)["Health"]["Log"][0]["Output"] == "x" * 4096 + "..."
    until(lambda: len(api.state(container)["Health"]["Log"]) == 5, "it is not checked again")
    api.post(f"/containers/{container}/kill")
    until(lambda: not api.state(container)["Running"])
    assert api.state(container)["Health"]["Status"] == "unhealthy"
    api.post(f"/containers/{container}/start")
    health = api.state(container)["Health"]
    assert (health["Status"], len(health["Log"])) == ("starting", 5)
    api("DELETE", f"/containers/{container}", force="1")


def test_a_paused_container_is_not_checked(api):
    container = started(api, "sleep", "600", Healthcheck={"Test": ["CMD", "true"], "Interval": 10**8})
    until(lambda: api.state(container)["Health"]["Status"] == "healthy", "it does not get healthy")
    with api.events(filters={"container": [container]}) as found:
        api.post(f"/containers/{container}/pause")
        next_of(found, "pause")
        before = len(api.state(container)["Health"]["Log"])
        api.post(f"/containers/{container}/unpause")
        while (event := found.get(timeout=10))["Action"] != "unpause":
            assert event["Action"].startswith("exec_die")  # of the check that was under way
        next_of(found, "exec_create: true ")
    assert before <= 5
    api("DELETE", f"/containers/{container}", force="1")


# --- sentences ---------------------------------------------------------------------------------------------------


def test_a_new_name_is_refused_in_the_words_of_rename(api, sleeper):
    other = api.create("true", name="holder")
    answer = api("POST", f"/containers/{sleeper}/rename", name="holder")
    assert answer.status == 409
    assert answer.message.startswith(
        'Error when allocating new name: Conflict. The container name "/holder" is already'
    )
    answer = api("POST", f"/containers/{sleeper}/rename", name="a b")
    assert (answer.status, answer.message) == (
        400,
        "Error when allocating new name: Invalid container name (/a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    )
    api("DELETE", f"/containers/{other}")


def test_a_container_that_removes_itself_takes_no_restart_policy(api):
    container = started(api, "sleep", "600", HostConfig={"AutoRemove": True})
    answer = api("POST", f"/containers/{container}/update", {"RestartPolicy": {"Name": "always"}})
    assert answer.message == (
        f"Cannot update container {container}: "
        "Restart policy cannot be updated because AutoRemove is enabled for the container"
    )
    api("DELETE", f"/containers/{container}", force="1")


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"since": ["nosuch"]}, "no such container nosuch"),
        ({"health": ["x"]}, "Unrecognised filter value for health: x"),
        ({"is-task": ["x"]}, "Invalid filter 'is-task=[x]'"),
        ({"expose": ["x"]}, 'error while looking up for expose x: strconv.ParseUint: parsing "x": invalid syntax'),
        (
            {"publish": ["1-x"]},
            'error while looking up for publish 1-x: strconv.ParseUint: parsing "x": invalid syntax',
        ),
    ],
)
def test_a_filter_of_no_sense_is_refused(api, sleeper, filters, sentence):
    answer = api("GET", "/containers/json", filters=filters)
    assert (answer.status, answer.message) == (400, sentence)


def test_isolation_and_tasks_tell_nothing_apart_here(api, sleeper):
    everything = {row["Id"] for row in api.get("/containers/json")}
    for filters in ({"isolation": ["x"]}, {"is-task": ["false"]}):
        assert {row["Id"] for row in api.get("/containers/json", filters=filters)} == everything
    assert api.get("/containers/json", filters={"is-task": ["true"]}) == []


@pytest.mark.parametrize(
    ("driver", "options", "refused", "sentence"),
    [
        ("nosuch", {}, "create", 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
        ("json-file", {"foo": "1"}, "create", "unknown log opt 'foo' for json-file log driver"),
        ("local", {"labels": "1"}, "create", "unknown log opt 'labels' for log driver local"),
        ("json-file", {"mode": "x"}, "create", "logger: logging mode not supported: x"),
        ("json-file", {"max-size": "1x"}, "start", "failed to initialize logging driver: invalid size: '1x'"),
        ("json-file", {"max-file": "0"}, "start", f"{_NO_LOG}max-file cannot be less than 1"),
        (
            "json-file", {"compress": "true"}, "start",
            f"{_NO_LOG}compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        (
            "local", {"max-file": "1"}, "start",
            "failed to initialize logging driver: compression cannot be enabled when max file count is 1",
        ),
        (
            "json-file", {"tag": "{{.Foo}}"}, "start",
            f'{_NO_LOG}template: log-tag:1:2: executing "log-tag" at <.Foo>: {_NO_FIELD}',
        ),
    ],
)  # fmt: skip
def test_log_options_are_checked_where_docker_checks_them(api, driver, options, refused, sentence):
    log = {"Type": driver, "Config": options}
    answer = api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"LogConfig": log}})
    if refused == "create":
        assert (answer.status, answer.message) == (400, sentence)
        return
    container = answer.json["Id"]
    answer = api("POST", f"/containers/{container}/start")
    assert (answer.status, answer.message) == (500, sentence)
    state = api.state(container)
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 128, sentence)
    api("DELETE", f"/containers/{container}")


def test_what_lines_carry_is_shown_with_details(api):
    log = {"Type": "json-file", "Config": {"labels": "tier", "env-regex": "^APP_", "tag": "{{.Name}}"}}
    container, _, _ = api.run(
        "echo", "hi", name="tagged", Labels={"tier": "web front", "other": "x"}, Env=["APP_A=1", "B=2"],
        HostConfig={"LogConfig": log},
    )  # fmt: skip
    raw = api("GET", f"/containers/{container}/logs", stdout="1", details="1").body
    assert [data for _, data in frames(raw)] == [b"APP_A=1,tag=tagged,tier=web+front hi\n"]
    path = Path(api.get(f"/containers/{container}/json")["LogPath"])
    assert json.loads(path.read_text())["attrs"] == {"APP_A": "1", "tag": "tagged", "tier": "web front"}
    api("DELETE", f"/containers/{container}")


# --- counters ----------------------------------------------------------------------------------------------------


def test_stats_come_once_or_again_and_again_with_what_went_before(api, sleeper):
    once = api.get(f"/containers/{sleeper}/stats", **{"stream": "0", "one-shot": "1"})
    assert once["preread"] == "0001-01-01T00:00:00Z"
    assert "system_cpu_usage" not in once["precpu_stats"]
    twice = api.get(f"/containers/{sleeper}/stats", stream="0")
    assert twice["preread"] < twice["read"]
    assert 0 < twice["precpu_stats"]["system_cpu_usage"] < twice["cpu_stats"]["system_cpu_usage"]
    assert twice["networks"]["eth0"].keys() >= {"rx_bytes", "tx_bytes", "rx_packets", "tx_dropped"}
    stopped = api.create("true")
    nothing = api.get(f"/containers/{stopped}/stats", stream="0")
    assert (nothing["memory_stats"], nothing["pids_stats"], nothing["read"]) == ({}, {}, "0001-01-01T00:00:00Z")
    api("DELETE", f"/containers/{stopped}")


def test_top_takes_the_arguments_of_ps_but_no_column_called_pid(api, sleeper):
    shown = api.get(f"/containers/{sleeper}/top", ps_args="-o pid,comm")
    assert (shown["Titles"], [row[1] for row in shown["Processes"]]) == (["PID", "COMMAND"], ["sleep"])
    answer = api("GET", f"/containers/{sleeper}/top", ps_args="-o comm=PID")
    assert answer.status == 500
    answer = api("GET", f"/containers/{sleeper}/top", ps_args="--nonsense")
    assert answer.message == "ps: error: unknown gnu long option"


def test_a_commit_is_told_with_the_short_name(api, sleeper):
    with api.events(filters={"event": ["commit"]}) as found:
        answer = api("POST", "/commit", {}, container=sleeper, repo="kept", tag="v1", comment="why")
        assert answer.status == 201
        attributes = found.get(timeout=10)["Actor"]["Attributes"]
    assert (attributes["imageRef"], attributes["comment"]) == ("kept:v1", "why")
    answer = api("POST", "/commit", {}, container=sleeper, changes="RUN true")
    assert (answer.status, answer.message) == (400, "run is not a valid change command")
    api("DELETE", "/images/kept:v1")
