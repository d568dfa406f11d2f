"""Pure parts of the container service: the life-cycle table, names, mounts, merging, limits, words for states."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.containers import lifecycle, merging, validation
from pydockmagic.engine.containers.config import ContainerConfig, CreateRequest, HostConfig, RestartPolicy
from pydockmagic.engine.containers.creation import new_id
from pydockmagic.engine.containers.frames import frame, split_frames
from pydockmagic.engine.containers.health import probe_command
from pydockmagic.engine.containers.lifecycle import TABLE, Action, Lifecycle
from pydockmagic.engine.containers.names import random_name
from pydockmagic.engine.containers.records import ContainerState, HealthState
from pydockmagic.engine.containers.requests import decode_create, without_nulls
from pydockmagic.engine.containers.signals import parse_signal
from pydockmagic.engine.containers.specs import capabilities, parse_security
from pydockmagic.engine.containers.status import human_duration, status_text
from pydockmagic.engine.containers.streams import DetachKeys, parse_detach_keys
from pydockmagic.engine.errors import Conflict, EngineError, InvalidParameter, NotModified

SECOND = 1_000_000_000


# --- life cycle -----------------------------------------------------------------------------------------------------


def test_every_state_says_something_to_every_action_of_a_client():
    asked = set(Action) - {Action.CREATE, Action.DIE, Action.DIE_RESTARTING}
    for state, rules in TABLE.items():
        assert asked <= set(rules), state


def test_a_rule_either_leads_somewhere_or_refuses():
    for rules in TABLE.values():
        for rule in rules.values():
            assert (rule.to is None) != (rule.refusal is None)
            assert rule.sentence == "" or rule.refusal is not None


def test_every_state_can_be_reached_and_left_for_good():
    rows = lifecycle.rows()
    reached = {row["To"] for row in rows}
    assert {"created", "running", "paused", "restarting", "exited", "gone"} <= reached
    towards: set[str] = {"gone"}
    for _ in Lifecycle:
        towards |= {row["State"] for row in rows if row["To"] in towards}
    assert {"created", "running", "paused", "restarting", "exited", "dead"} <= towards


@pytest.mark.parametrize(
    ("state", "action", "error", "sentence"),
    [
        ("running", "start", NotModified, ""),
        ("exited", "stop", NotModified, ""),
        ("running", "rm", Conflict, ('cannot remove container "/box": container is running: '
                                    "stop the container before removing or force remove")),
        ("paused", "exec", Conflict, "Container b is paused, unpause the container before exec"),
        ("running", "unpause", EngineError, "Container ID is not paused"),
        ("removing", "rm", Conflict, "removal of container b is already in progress"),
    ],
)  # fmt: skip
def test_refusals_are_dockers(state, action, error, sentence):
    with pytest.raises(error) as caught:
        lifecycle.check(Lifecycle(state), Action(action), id_="ID", name="box", asked="b")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ({}, "created"),
        ({"started_ns": 1}, "exited"),
        ({"running": True, "started_ns": 1}, "running"),
        ({"running": True, "paused": True, "started_ns": 1}, "paused"),
        ({"running": True, "restarting": True, "started_ns": 1}, "restarting"),
        ({"running": True, "restarting": True, "paused": True}, "paused"),
        ({"dead": True, "started_ns": 1}, "dead"),
        ({"dead": True, "running": True}, "running"),
    ],
)
def test_flags_add_up_to_a_state_by_dockers_precedence(flags, state):
    assert ContainerState(**flags).lifecycle.value == state


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
        (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (2 * 3600, "2 hours"),
        (47 * 3600, "47 hours"), (48 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"), (800 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_durations_are_said_as_docker_says_them(seconds, text):
    assert human_duration(seconds * SECOND) == text


def test_the_status_column():
    now = 100 * SECOND
    up = ContainerState(running=True, started_ns=98 * SECOND)
    assert status_text(up, Lifecycle.RUNNING, now) == "Up 2 seconds"
    assert status_text(up, Lifecycle.PAUSED, now) == "Up 2 seconds (Paused)"
    up.health = HealthState()
    assert status_text(up, Lifecycle.RUNNING, now) == "Up 2 seconds (health: starting)"
    up.health.status = "unhealthy"
    assert status_text(up, Lifecycle.RUNNING, now) == "Up 2 seconds (unhealthy)"
    down = ContainerState(started_ns=SECOND, finished_ns=97 * SECOND, exit_code=137)
    assert status_text(down, Lifecycle.EXITED, now) == "Exited (137) 3 seconds ago"
    assert status_text(down, Lifecycle.RESTARTING, now) == "Restarting (137) 3 seconds ago"
    assert status_text(ContainerState(), Lifecycle.CREATED, now) == "Created"


# --- names and ids --------------------------------------------------------------------------------------------------


def test_a_random_name_has_dockers_form_and_is_free():
    adjective, _, surname = random_name(lambda _: False).partition("_")
    assert adjective.isalpha()
    assert surname.isalpha()
    taken = {random_name(lambda _: False) for _ in range(20)}
    assert random_name(taken.__contains__) not in taken
    crowded = random_name(lambda _: True)
    assert validation.check_name(crowded) == crowded


@pytest.mark.parametrize("name", ["box", "/box", "b.o-x_1", "a1"])
def test_good_names_pass(name):
    assert validation.check_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["bad name", "x", "-box", "", "/", "//box", "bö", "a/b"])
def test_bad_names_are_refused_in_dockers_words(name):
    with pytest.raises(InvalidParameter, match="only \\[a-zA-Z0-9\\]"):
        validation.check_name(name)


def test_a_short_id_is_never_all_digits():
    assert not any(new_id()[:12].isdecimal() for _ in range(200))


# --- requests -------------------------------------------------------------------------------------------------------


def test_null_means_not_given_but_not_in_maps_of_the_clients_own_keys():
    body = {"Image": "b", "User": None, "Volumes": {"/data": None}, "HostConfig": {"Memory": None, "Dns": None},
            "ExposedPorts": {"80/tcp": None}, "Env": ["A=1"]}  # fmt: skip
    request = decode_create(body)
    assert request.user == ""
    assert request.volumes == {"/data": None}
    assert request.exposed_ports == {"80/tcp": None}
    assert request.host_config.memory == 0
    assert without_nulls({"a": [{"b": None}]}) == {"a": [{}]}


@pytest.mark.parametrize(
    "body",
    [{"Image": 1}, {"Image": "b", "Env": "A=1"}, {"Image": "b", "HostConfig": {"Memory": "1m"}},
     {"Image": "b", "HostConfig": {"Binds": [1]}}, {"Image": "b", "Cmd": {}}, {"Image": "b", "Labels": {"a": 1}}],
)  # fmt: skip
def test_wrong_types_are_refused_with_their_place(body):
    with pytest.raises(
        InvalidParameter, match=r"invalid JSON: json: cannot unmarshal \w+ into Go struct field \w+\.\w+"
    ):
        decode_create(body)


def test_an_empty_config_is_refused_in_dockers_words():
    with pytest.raises(InvalidParameter, match="Config cannot be empty in order to create a container"):
        decode_create({"HostConfig": {}})


def test_the_inspect_form_keeps_dockers_keys():
    shown = msgspec.to_builtins(HostConfig())
    assert {
        "UTSMode",
        "ContainerIDFile",
        "BlkioDeviceReadIOps",
        "IOMaximumIOps",
        "CpusetCpus",
        "OomKillDisable",
    } <= set(shown)
    assert "Tmpfs" not in shown
    assert "Init" not in shown
    assert list(msgspec.to_builtins(ContainerConfig()))[:3] == ["Hostname", "Domainname", "User"]


# --- the image's config ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "image", "command"),
    [
        ({}, {"Cmd": ["sh"]}, ["sh"]),
        ({"cmd": ["ls"]}, {"Cmd": ["sh"]}, ["ls"]),
        ({}, {"Entrypoint": ["e"], "Cmd": ["d"]}, ["e", "d"]),
        ({"cmd": ["x"]}, {"Entrypoint": ["e"], "Cmd": ["d"]}, ["e", "x"]),
        ({"entrypoint": ["o"]}, {"Entrypoint": ["e"], "Cmd": ["d"]}, ["o"]),
        ({"entrypoint": [""], "cmd": ["x"]}, {"Entrypoint": ["e"], "Cmd": ["d"]}, ["x"]),
        ({"entrypoint": [], "cmd": ["x"]}, {"Entrypoint": ["e"]}, ["x"]),
        ({"cmd": "one string"}, {}, ["one string"]),
    ],
)
def test_entrypoint_and_command_come_together_as_in_docker(own, image, command):
    config = ContainerConfig(**own)
    merging.merge_image(config, image)
    assert merging.command_line(config) == command


def test_what_the_client_says_goes_before_the_image():
    config = ContainerConfig(env=["A=own"], labels={"k": "own"}, user="me", working_dir="")
    image = {"Env": ["A=image", "B=image"], "Labels": {"k": "image", "l": "image"}, "User": "you", "WorkingDir": "/w",
             "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}, "StopSignal": "SIGINT"}  # fmt: skip
    merging.merge_image(config, image)
    assert config.env == ["A=own", "B=image"]
    assert config.labels == {"k": "own", "l": "image"}
    assert (config.user, config.working_dir, config.stop_signal) == ("me", "/w", "SIGINT")
    assert config.exposed_ports == {"80/tcp": {}}
    assert config.volumes == {"/v": {}}


def test_the_environment_has_dockers_order_and_a_bare_name_takes_away():
    config = ContainerConfig(env=["A=1", "HOSTNAME=mine", "PATH"], tty=True)
    assert merging.environment(config, "box") == ["HOSTNAME=mine", "TERM=xterm", "A=1"]
    assert merging.environment(ContainerConfig(), "box") == [merging.DEFAULT_PATH, "HOSTNAME=box"]


def test_a_health_check_inherits_what_it_leaves_open():
    config = decode_create({"Image": "b", "Healthcheck": {"Retries": 5}})
    merging.merge_image(config, {"Healthcheck": {"Test": ["CMD", "true"], "Interval": SECOND, "Retries": 1}})
    assert probe_command(config.healthcheck, ["/bin/sh", "-c"]) == ["true"]
    assert (config.healthcheck.interval, config.healthcheck.retries) == (SECOND, 5)
    none = decode_create({"Image": "b", "Healthcheck": {"Test": ["NONE"]}})
    assert probe_command(none.healthcheck, ["sh"]) == []
    shell = decode_create({"Image": "b", "Healthcheck": {"Test": ["CMD-SHELL", "a b"]}})
    assert probe_command(shell.healthcheck, ["/bin/sh", "-c"]) == ["/bin/sh", "-c", "a b"]


# --- what may be asked ----------------------------------------------------------------------------------------------


EVERYTHING = frozenset(
    ("memory", "swap", "reservation", "swappiness", "oom_kill_disable", "pids", "cpu_cfs", "cpu_shares", "cpuset",
     "blkio_weight", "blkio_weight_device", "blkio_throttle")
)  # fmt: skip
"""A kernel that keeps every limit."""


@pytest.mark.parametrize(
    ("host", "config", "sentence"),
    [
        ({"Memory": 1 << 20}, {}, "Minimum memory limit allowed is 6MB"),
        ({"MemorySwap": 1 << 30}, {}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"Memory": 64 << 20, "MemorySwap": 32 << 20}, {},
         "Minimum memoryswap limit should be larger than memory limit, see usage"),
        ({"RestartPolicy": {"Name": "bogus"}}, {}, "invalid restart policy 'bogus'"),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, {},
         "can't create 'AutoRemove' container with restart policy"),
        ({"UTSMode": "host"}, {"Hostname": "x"}, "conflicting options: hostname and the UTS mode"),
        ({"NetworkMode": "container:a", "PortBindings": {"80/tcp": []}}, {},
         "conflicting options: port publishing and the container type network mode"),
        ({"CapAdd": ["BOGUS"]}, {}, 'invalid CapAdd: unknown capability: "CAP_BOGUS"'),
        ({"NanoCpus": 10**15}, {}, "Range of CPUs is from 0.01 to"),
        ({"OomScoreAdj": 2000}, {}, "Invalid value 2000, range for oom score adj is [-1000, 1000]"),
        ({"CpusetCpus": "a"}, {}, "Invalid value a for cpuset cpus"),
        ({"CpusetCpus": "4096"}, {}, "Requested CPUs are not available - requested 4096, available: "),
        ({"Runtime": "kata"}, {}, "unknown or invalid runtime name: kata"),
        ({"PidMode": "bogus"}, {}, "invalid PID mode: bogus"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_dockers_words(host, config, sentence):
    request = decode_create({"Image": "b", **config, "HostConfig": host})
    with pytest.raises(InvalidParameter) as caught:
        validation.check_host_config(request.host_config, request, "pydock", EVERYTHING)
    assert str(caught.value).startswith(sentence)


def test_capabilities_are_dockers_fourteen_plus_and_minus():
    assert len(capabilities(HostConfig())) == 14
    assert capabilities(HostConfig(cap_drop=["ALL"])) == frozenset()
    assert capabilities(HostConfig(cap_drop=["ALL"], cap_add=["CAP_CHOWN"])) == {"CAP_CHOWN"}
    assert "CAP_SYS_ADMIN" in capabilities(HostConfig(cap_add=["ALL"], cap_drop=["CAP_CHOWN"]))
    assert "CAP_CHOWN" not in capabilities(HostConfig(cap_add=["ALL"], cap_drop=["CAP_CHOWN"]))
    assert len(capabilities(HostConfig(privileged=True))) == 41


def test_defaults_fill_what_the_client_left_open():
    host = HostConfig(network_mode="default", memory=64 << 20)
    merging.fill_host_config(host, cgroup_version="2", runtime="pydock")
    assert (host.network_mode, host.ipc_mode, host.cgroupns_mode) == ("bridge", "private", "private")
    assert host.memory_swap == 128 << 20
    assert host.restart_policy == RestartPolicy(name="no")
    assert host.shm_size == 64 << 20
    assert "/proc/kcore" in host.masked_paths
    free = HostConfig(privileged=True)
    merging.fill_host_config(free, cgroup_version="1", runtime="pydock")
    assert free.masked_paths is None
    assert free.security_opt == ["label=disable"]
    assert free.cgroupns_mode == "host"


@pytest.mark.parametrize(
    ("text", "number"), [("9", 9), ("KILL", 9), ("sigterm", 15), ("RTMIN+1", 35), ("SIGRTMAX", 64)]
)
def test_signals_by_name_and_number(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["bogus", "0", "65", "-9", "", "SIG"])
def test_no_signals(text):
    with pytest.raises(InvalidParameter, match="invalid signal"):
        parse_signal(text)


def test_security_options():
    assert parse_security(["no-new-privileges"]).no_new_privileges
    assert parse_security(["seccomp=unconfined"]).seccomp == "unconfined"
    assert not parse_security(["no-new-privileges:false"]).no_new_privileges
    assert parse_security(["apparmor=mine"]).apparmor == "mine"
    for option, step in (("bogus", 1), ("bogus=x", 2), ("no-new-privileges=maybe", 2), ("systempaths=x", 2)):
        with pytest.raises(InvalidParameter, match=f'invalid --security-opt {step}: "{option}"'):
            parse_security([option])


# --- streams --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=50)), max_size=10))
def test_frames_read_back(parts):
    assert list(split_frames(b"".join(frame(stream, data) for stream, data in parts))) == parts


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b"\x10\x11"), ("ctrl-a", b"\x01"), ("a,b", b"ab"), ("ctrl-@,ctrl-[,x", b"\x00\x1bx"), ("ctrl-\\", b"\x1c")],
)
def test_detach_keys_read(text, keys):
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-A", "ab", "ctrl-p,,"])
def test_wrong_detach_keys_are_refused(text):
    with pytest.raises(InvalidParameter):
        parse_detach_keys(text)


@given(st.binary(max_size=30), st.lists(st.integers(1, 5), max_size=10))
def test_the_detach_sequence_is_found_however_the_input_is_cut(typed, cuts):
    keys = b"\x10\x11"
    typed = typed.replace(keys, b"")
    whole = typed + keys + b"after"
    found, passed, position = False, b"", 0
    detector = DetachKeys(keys)
    for size in [*cuts, len(whole)]:
        data, found = detector.feed(whole[position : position + size])
        passed += data
        position += size
        if found:
            break
    assert found
    assert passed == whole[: whole.index(keys)]


def test_what_only_begins_like_the_sequence_passes_on():
    detector = DetachKeys(b"\x10\x11")
    assert detector.feed(b"a\x10") == (b"a", False)
    assert detector.feed(b"b") == (b"\x10b", False)


def test_a_promise_of_a_stream_survives_its_reader():
    from pydockmagic.engine.containers.container import PendingAttach
    from pydockmagic.engine.runtime.driver import AttachRequest

    async def body():
        import socket

        pending = PendingAttach(AttachRequest())
        pending.stream.cancel()
        near, far = socket.socketpair()
        pending.give(near)
        assert near.fileno() == -1  # nobody will read it: it is closed
        far.close()

    asyncio.run(body())


def test_the_create_body_is_what_docker_sends():
    assert {"HostConfig", "NetworkingConfig", "Image", "Cmd", "OpenStdin", "StdinOnce"} <= set(
        msgspec.json.schema(CreateRequest)["$defs"]["CreateRequest"]["properties"]
    )
