"""Containers end to end: the engine as a program, its API on a unix socket."""

from __future__ import annotations

import contextlib
import io
import json
import queue
import socket
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.api import Api, frames, read_all, served

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with served(tmp_path_factory.mktemp("daemon")) as api:
        yield api


@pytest.fixture
def sleeper(api: Api) -> Iterator[str]:
    with api.sleeper() as container:
        yield container


def actions(found: queue.Queue[dict[str, Any]], last: str) -> list[str]:
    result: list[str] = []
    while not result or result[-1] != last:
        event = found.get(timeout=10)
        result.append(f"{event['Type']} {event['Action']}")
    return result


def test_output_exit_code_and_streams_are_kept_apart(api):
    container = api.create("sh", "-c", "echo out; echo err >&2; exit 3")
    api.post(f"/containers/{container}/start")
    assert api.post(f"/containers/{container}/wait") == {"StatusCode": 3}
    raw = api("GET", f"/containers/{container}/logs", stdout="1", stderr="1")
    assert raw.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
    assert sorted(frames(raw.body)) == [(1, b"out\n"), (2, b"err\n")]
    state = api.state(container)
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 3, 0)
    assert state["FinishedAt"] > state["StartedAt"]


def test_a_run_tells_dockers_events_in_dockers_order(api):
    with api.events() as found:
        container = api.create("true", name="evented", HostConfig={"AutoRemove": True}, Labels={"k": "v"})
        taken, head = api.upgrade(f"/containers/{container}/attach?stream=1&stdout=1")
        assert head.startswith(b"HTTP/1.1 101")
        api.post(f"/containers/{container}/start")
        told = actions(found, "container destroy")
        read_all(taken)
    assert told == [
        "container create", "container attach", "network connect", "container start", "container die",
        "network disconnect", "container destroy",
    ]  # fmt: skip


def test_events_carry_labels_image_name_and_exit_code(api):
    with api.events(filters={"event": ["die"]}) as found:
        container, _, _ = api.run("sh", "-c", "exit 4", Labels={"k": "v"}, name="dying")
        event = found.get(timeout=10)
    attributes = event["Actor"]["Attributes"]
    assert event["Actor"]["ID"] == event["id"] == container
    assert {"k": "v", "image": "busybox", "name": "dying", "exitCode": "4"}.items() <= attributes.items()
    assert list(attributes) == sorted(attributes)


def test_past_events_are_told_again_until_a_moment(api):
    before = time.time()
    api.run("true")
    answer = api("GET", "/events", since=f"{before:.6f}", until=f"{time.time() + 0.05:.6f}")
    told = [json.loads(line)["Action"] for line in answer.body.splitlines()]
    assert told[0] == "create"
    assert "die" in told


def test_wait_flushes_its_head_before_the_container_starts(api):
    container = api.create("sh", "-c", "exit 6", HostConfig={"AutoRemove": True})
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as waiting:
        waiting.settimeout(10)
        waiting.connect(api.path)
        waiting.sendall(f"POST /containers/{container}/wait?condition=removed HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += waiting.recv(4096)
        assert head.startswith(b"HTTP/1.1 200")
        api.post(f"/containers/{container}/start")
        rest = head.partition(b"\r\n\r\n")[2]
        while b"StatusCode" not in rest:
            rest += waiting.recv(4096)
        assert b'{"StatusCode":6}' in rest
    assert api("GET", f"/containers/{container}/json").status == 404


def test_an_attached_client_feeds_and_ends_stdin(api):
    container = api.create("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    taken, head = api.upgrade(f"/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1")
    assert b"application/vnd.docker.multiplexed-stream" in head
    taken.sendall(b"before the start\n")
    api.post(f"/containers/{container}/start")
    taken.sendall(b"after it\n")
    taken.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in frames(read_all(taken))) == b"before the start\nafter it\n"
    assert api.post(f"/containers/{container}/wait") == {"StatusCode": 0}


def test_a_terminal_is_raw_sized_and_left_by_the_detach_keys(api):
    container = api.create("sh", Tty=True, OpenStdin=True)
    taken, head = api.upgrade(f"/containers/{container}/attach?stream=1&stdin=1&stdout=1")
    assert b"application/vnd.docker.raw-stream" in head
    api.post(f"/containers/{container}/start")
    assert api("POST", f"/containers/{container}/resize", h="30", w="100").status == 200
    taken.sendall(b"stty size; echo do''ne\n")
    seen = b""
    while b"done" not in seen:
        seen += taken.recv(4096)
    assert b"30 100" in seen
    with api.events(filters={"event": ["detach"]}) as found:
        taken.sendall(b"\x10\x11")
        read_all(taken)
        assert found.get(timeout=10)["Action"] == "detach"
    assert api.state(container)["Running"]
    api("DELETE", f"/containers/{container}", force="1")


def test_exec_gives_streams_and_an_exit_code_that_is_there_when_they_end(api, sleeper):
    made = api.post(f"/containers/{sleeper}/exec", {"Cmd": ["sh", "-c", "cat; exit 5"], "AttachStdin": True,
                                                   "AttachStdout": True})["Id"]  # fmt: skip
    taken, head = api.upgrade(f"/exec/{made}/start", {"Detach": False, "Tty": False})
    assert head.startswith(b"HTTP/1.1 101")
    taken.sendall(b"hello")
    taken.shutdown(socket.SHUT_WR)
    assert list(frames(read_all(taken))) == [(1, b"hello")]
    shown = api.get(f"/exec/{made}/json")
    assert (shown["ExitCode"], shown["Running"]) == (5, False)
    again = api("POST", f"/exec/{made}/start", {"Detach": True})
    assert again.status == 409
    assert again.message == f"Error: Exec command {made} has already run"


@pytest.mark.parametrize(("has", "expected"), [(True, b"\1\0\0\0\0\0\0\4hi\r\n"), (False, b"hi\n")])
def test_the_start_of_an_exec_says_whether_its_stream_is_framed(api, sleeper, has, expected):
    made = api.post(f"/containers/{sleeper}/exec", {"Cmd": ["echo", "hi"], "Tty": has, "AttachStdout": True})["Id"]
    taken, _ = api.upgrade(f"/exec/{made}/start", {"Tty": not has})
    assert read_all(taken) == expected


def test_exec_of_a_missing_command_says_so_in_the_stream(api, sleeper):
    made = api.post(f"/containers/{sleeper}/exec", {"Cmd": ["nosuchcmd"], "AttachStdout": True})["Id"]
    taken, _ = api.upgrade(f"/exec/{made}/start", {})
    text = b"".join(data for _, data in frames(read_all(taken))).decode()
    assert text == (
        'OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuchcmd": '
        "executable file not found in $PATH: unknown\r\n"
    )
    assert api.get(f"/exec/{made}/json")["ExitCode"] == 126


def test_a_detached_exec_runs_on_its_own(api, sleeper):
    made = api.post(f"/containers/{sleeper}/exec", {"Cmd": ["touch", "/made"]})["Id"]
    api.post(f"/exec/{made}/start", {"Detach": True})
    deadline = time.monotonic() + 10
    while api.get(f"/exec/{made}/json")["ExitCode"] is None:
        assert time.monotonic() < deadline
    assert {"Path": "/made", "Kind": 1} in api.get(f"/containers/{sleeper}/changes")


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        (["nosuchcmd"], 127, 'exec: "nosuchcmd": executable file not found in $PATH'),
        (["/etc"], 126, 'exec: "/etc": permission denied'),
    ],
)
def test_a_start_that_fails_leaves_the_container_created_with_its_reason(api, command, code, sentence):
    container = api.create(*command)
    answer = api("POST", f"/containers/{container}/start")
    assert answer.status == 400
    assert sentence in answer.message
    state = api.state(container)
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", code, answer.message)
    assert api("DELETE", f"/containers/{container}").status == 204


def test_a_name_in_use_an_unknown_image_and_a_missing_command_are_refused_with_nothing_made(api, sleeper):
    name = api.get(f"/containers/{sleeper}/json")["Name"].removeprefix("/")
    before = len(api.get("/containers/json", all="1"))
    taken = api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]}, name=name)
    assert taken.status == 409
    assert taken.message == (
        f'Conflict. The container name "/{name}" is already in use by container "{sleeper}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    missing = api("POST", "/containers/create", {"Image": "nosuch"})
    assert (missing.status, missing.message) == (404, "No such image: nosuch:latest")
    assert api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["x"], "Env": ["=x"]}).status == 400
    assert len(api.get("/containers/json", all="1")) == before


def test_an_ambiguous_prefix_is_an_error_not_a_guess(api):
    made = [api.create("true") for _ in range(17)]
    firsts = [container[0] for container in made]
    prefix = next(first for first in firsts if firsts.count(first) > 1)
    answer = api("GET", f"/containers/{prefix}/json")
    assert (answer.status, answer.message) == (400, f"Multiple IDs found with provided prefix: {prefix}")
    assert api.get(f"/containers/{made[0][:12]}/json")["Id"] == made[0]
    api.post("/containers/prune")


def test_stop_sends_the_stop_signal_first_and_kills_after_the_time(api):
    patient = api.create("sh", "-c", "trap 'exit 0' INT; echo ready; while :; do sleep 0.05; done", StopSignal="SIGINT")
    api.post(f"/containers/{patient}/start")
    while "ready" not in api.logs(patient):
        pass
    api.post(f"/containers/{patient}/stop")
    assert api.state(patient)["ExitCode"] == 0
    stubborn = api.create("sleep", "600")
    api.post(f"/containers/{stubborn}/start")
    api.post(f"/containers/{stubborn}/stop", t="0")
    assert api.state(stubborn)["ExitCode"] == 137
    assert api("POST", f"/containers/{stubborn}/stop").status == 304


def test_a_restart_policy_counts_and_gives_up(api):
    container = api.create(
        "sh", "-c", "exit 1", HostConfig={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}
    )
    with api.events(filters={"event": ["die"], "container": [container]}) as found:
        api.post(f"/containers/{container}/start")
        for _ in range(3):
            found.get(timeout=10)
    shown = api.get(f"/containers/{container}/json")
    assert (shown["RestartCount"], shown["State"]["Status"]) == (2, "exited")


def test_a_health_check_turns_healthy_and_unhealthy(api):
    check = {"Test": ["CMD", "test", "-e", "/ok"], "Interval": 50_000_000, "Retries": 1}
    container = api.create("sleep", "600", Healthcheck=check)
    with api.events(filters={"container": [container]}) as found:
        api.post(f"/containers/{container}/start")
        told: list[str] = []
        while "health_status: unhealthy" not in told:
            told.append(found.get(timeout=10)["Action"])
        made = api.post(f"/containers/{container}/exec", {"Cmd": ["touch", "/ok"]})["Id"]
        api.post(f"/exec/{made}/start", {"Detach": True})
        while "health_status: healthy" not in told:
            told.append(found.get(timeout=10)["Action"])
    shown = api.state(container)["Health"]
    assert shown["Status"] == "healthy"
    assert shown["Log"][-1]["ExitCode"] == 0
    [row] = api.get("/containers/json", filters={"health": ["healthy"]})
    assert row["Status"].endswith("(healthy)")
    api("DELETE", f"/containers/{container}", force="1")


def test_top_lists_the_containers_processes_only(api, sleeper):
    shown = api.get(f"/containers/{sleeper}/top")
    assert shown["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [row[-1] for row in shown["Processes"]] == ["sleep 600"]
    assert api.get(f"/containers/{sleeper}/top", ps_args="-o pid,comm")["Titles"] == ["PID", "COMMAND"]


def test_stats_have_what_docker_stats_computes_with(api, sleeper):
    shown = api.get(f"/containers/{sleeper}/stats", stream="0", **{"one-shot": "1"})
    assert shown["id"] == sleeper
    assert {"cpu_stats", "precpu_stats", "memory_stats", "pids_stats", "networks", "read"} <= set(shown)


def test_files_go_in_and_out(api):
    container = api.create("true")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("new/file")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
    assert api("PUT", f"/containers/{container}/archive", buffer.getvalue(), path="/tmp").status == 200
    answer = api("GET", f"/containers/{container}/archive", path="/tmp/new")
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        assert archive.getnames() == ["new", "new/file"]
        assert archive.extractfile("new/file").read() == b"hello"
    assert "x-docker-container-path-stat" in answer.headers
    missing = api("GET", f"/containers/{container}/archive", path="/nosuch")
    assert missing.status == 404
    assert missing.message == f"Could not find the file /nosuch in container {container}"
    exported = api("GET", f"/containers/{container}/export")
    with tarfile.open(fileobj=io.BytesIO(exported.body)) as archive:
        assert "tmp/new/file" in archive.getnames()


def test_a_hostile_upload_stays_inside_the_root(api, tmp_path):
    container = api.create("true")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        escape = tarfile.TarInfo("out/file")
        archive.addfile(escape, io.BytesIO())
        archive.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
    api("PUT", f"/containers/{container}/archive", buffer.getvalue(), path="/tmp")
    assert list(tmp_path.iterdir()) == []


def test_volumes_are_filled_from_the_image_kept_and_shared(api):
    container, code, _ = api.run("sh", "-c", "test -e /etc/passwd && echo kept > /etc/new",
                                 HostConfig={"Binds": ["conf:/etc"]})  # fmt: skip
    assert code == 0
    _, _, text = api.run("cat", "/d/new", HostConfig={"Binds": ["conf:/d:ro"]})
    assert text == "kept\n"
    refused = api("DELETE", "/volumes/conf")
    assert (refused.status, "volume is in use" in refused.message) == (409, True)
    api.clear(v="1")
    assert api("DELETE", "/volumes/conf").status == 204
    assert container


def test_anonymous_volumes_go_with_a_container_that_removes_itself(api):
    before = {volume["Name"] for volume in api.get("/volumes")["Volumes"]}
    container = api.create("true", Volumes={"/data": {}}, HostConfig={"AutoRemove": True})
    with api.events(filters={"event": ["destroy"], "type": ["container"]}) as found:
        api.post(f"/containers/{container}/start")
        found.get(timeout=10)
    assert {volume["Name"] for volume in api.get("/volumes")["Volumes"]} == before


def test_options_reach_the_process(api):
    script = "id -u; pwd; hostname; echo $A; cat /proc/self/limits | grep open; touch /x 2>&1; df /t | tail -1"
    _, _, text = api.run(
        "sh", "-c", script, User="1000", WorkingDir="/var/new", Hostname="named", Env=["A=1"],
        HostConfig={"ReadonlyRootfs": True, "Tmpfs": {"/t": "size=1m"},
                    "Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 128}]},
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[:4] == ["1000", "/var/new", "named", "1"]
    assert lines[4].split()[-3:-1] == ["64", "128"]
    assert "Read-only file system" in lines[5]
    assert lines[6].split()[1] == "1024"


def test_namespaces_can_be_joined(api, sleeper):
    _, _, text = api.run("sh", "-c", "hostname; ps | grep -c 'sleep 600'", HostConfig={
        "NetworkMode": f"container:{sleeper}", "PidMode": f"container:{sleeper}"})  # fmt: skip
    assert text.splitlines()[0] == sleeper[:12]
    assert int(text.splitlines()[1]) >= 1
    for space in ("PidMode", "IpcMode"):
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {space: "container:nosuch"}}
        missing = api("POST", "/containers/create", body)
        assert (missing.status, missing.message) == (400, "No such container: nosuch")
    # Whose network it is, dockerd asks only at the start.
    made = api.create("true", HostConfig={"NetworkMode": "container:nosuch"})
    missing = api("POST", f"/containers/{made}/start")
    assert (missing.status, missing.message) == (404, "No such container: nosuch")
    api("DELETE", f"/containers/{made}")


def test_the_list_is_filtered_as_docker_filters(api):
    made = {name: api.create("sleep", "600", name=name, Labels={"group": "lists", "who": name})
            for name in ("one", "two", "three")}  # fmt: skip
    api.post("/containers/two/start")

    def names(**filters):
        chosen = {"label": ["group=lists"], **filters}
        return [row["Names"][0] for row in api.get("/containers/json", all="1", filters=chosen)]

    assert names() == ["/three", "/two", "/one"]
    assert names(status=["running"]) == ["/two"]
    assert names(name=["^o"]) == ["/one"]
    assert names(id=[made["one"][:12]]) == ["/one"]
    assert names(before=["two"]) == ["/one"]
    assert names(since=["two"]) == ["/three"]
    assert names(ancestor=["busybox"]) == ["/three", "/two", "/one"]
    assert names(network=["bridge"]) == ["/three", "/two", "/one"]
    assert len(api.get("/containers/json", all="1", limit="2")) == 2
    for wrong in ({"bogus": ["1"]}, {"status": ["bogus"]}, {"exited": ["x"]}):
        assert api("GET", "/containers/json", filters=wrong).status == 400
    for name in made:
        api("DELETE", f"/containers/{name}", force="1")


def test_inspect_has_every_key_of_dockers(api, sleeper):
    shown = api.get(f"/containers/{sleeper}/json", size="1")
    assert {
        "Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath",
        "Name", "RestartCount", "Driver", "Platform", "MountLabel", "ProcessLabel", "AppArmorProfile", "ExecIDs",
        "HostConfig", "GraphDriver", "Mounts", "Config", "NetworkSettings", "SizeRw", "SizeRootFs",
    } <= set(shown)  # fmt: skip
    assert shown["SizeRootFs"] > 1_000_000
    assert shown["NetworkSettings"]["IPAddress"]
    assert shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == shown["NetworkSettings"]["IPAddress"]
    assert shown["Config"]["Env"]
    assert shown["HostConfig"]["NetworkMode"] == "bridge"


def test_states_are_remembered(api):
    container, _, _ = api.run("sh", "-c", "exit 2")
    shown = api.get(f"/pydock/containers/{container}/states")
    assert [(step["Action"], step["From"], step["To"]) for step in shown["History"]] == [
        ("create", "", "created"), ("start", "created", "running"), ("die", "running", "exited"),
    ]  # fmt: skip
    assert shown["History"][-1]["ExitCode"] == 2
    assert {"State": "running", "Action": "pause", "To": "paused", "Event": "pause"} in api.get("/pydock/lifecycle")


def test_a_containers_layers_end_with_its_writable_one(api):
    container, _, _ = api.run("sh", "-c", "echo hi > /new; rm /etc/passwd")
    layers = api.get(f"/pydock/containers/{container}/layers")["Layers"]
    assert layers[-1]["Writable"]
    assert layers[-1]["Size"] == 3
    columns = api.get(f"/pydock/containers/{container}/files")["Columns"]
    assert dict(zip(columns["Path"], columns["Change"], strict=True)) == {"etc": "C", "etc/passwd": "D", "new": "A"}


def test_commit_makes_an_image_of_what_changed(api):
    container, _, _ = api.run("sh", "-c", "echo hi > /new; rm /etc/passwd; rm -r /home; mkdir /home")
    made = api.post("/commit", {}, container=container, repo="committed", tag="1", changes='CMD ["cat","/new"]',
                    comment="why", author="me")["Id"]  # fmt: skip
    shown = api.get("/images/committed:1/json")
    assert shown["Id"] == made
    assert (shown["Author"], shown["Comment"]) == ("me", "why")
    _, code, text = api.run(image="committed:1")
    assert (code, text) == (0, "hi\n")
    _, code, _ = api.run("test", "-e", "/etc/passwd", image="committed:1")
    assert code == 1


def test_removing_what_runs_needs_force_and_an_unknown_one_is_404(api, sleeper):
    assert api("DELETE", f"/containers/{sleeper}").status == 409
    missing = api("DELETE", "/containers/nosuch")
    assert (missing.status, missing.message) == (404, "No such container: nosuch")
    killed = api("POST", "/containers/nosuch/kill")
    assert killed.message == "cannot kill container: nosuch: No such container: nosuch"


def test_what_docker_has_and_this_engine_has_not_is_said(api):
    swarm = api("GET", "/services")
    assert swarm.status == 503
    assert swarm.message.startswith("This node is not a swarm manager.")
    assert api.get("/plugins") == []


def test_every_family_answers_and_garbage_is_a_400(api):
    for path in ("/version", "/info", "/containers/json", "/images/json", "/networks", "/volumes", "/system/df",
                 "/pydock", "/pydock/doctor"):  # fmt: skip
        assert api("GET", path).status == 200, path
    for body in ({"Image": 5}, {}, {"Image": "busybox", "HostConfig": {"Binds": "x"}}):
        assert api("POST", "/containers/create", body).status == 400
    assert api("GET", "/containers/json", filters="notjson").status == 400
