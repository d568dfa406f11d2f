"""Routes about the engine itself, on a running engine: disk usage, events, pings, what a node without a swarm says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from support.api import Api, served

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with served(tmp_path_factory.mktemp("system"), ["--stop-containers"]) as api:
        yield api


def _past(api: Api, **filters: list[str]) -> list[dict[str, object]]:
    body = api("GET", "/events", since="0", until=str(time.time()), filters=filters).body
    return [json.loads(line) for line in body.splitlines()]


def test_disk_usage_is_told_by_kind(api):
    container, _, _ = api.run("sh", "-c", "echo 12345 > /v/f; echo abc > /f", HostConfig={"Binds": ["used:/v"]})
    everything = api.get("/system/df")
    (volume,) = everything["Volumes"]
    assert volume["UsageData"] == {"RefCount": 1, "Size": 6}
    assert everything["Containers"][0]["SizeRw"] == 4
    assert everything["LayersSize"] == everything["Images"][0]["Size"] > 0
    assert everything["BuildCache"] == []
    assert everything["Images"][0]["Containers"] == 1
    only = api.get("/system/df?type=volume&type=build-cache")
    assert only["Volumes"] == everything["Volumes"]
    assert only["Images"] is None
    assert only["Containers"] is None
    wrong = api("GET", "/system/df?type=things")
    assert (wrong.status, wrong.message) == (400, "unknown object type: things")
    assert api.get("/v1.41/system/df?type=volume")["Images"]
    api("DELETE", f"/containers/{container}")


def test_a_containers_life_is_told_in_order_with_its_volume(api):
    container, _, _ = api.run("true", HostConfig={"Binds": ["told:/v:ro"]})
    api("DELETE", f"/containers/{container}")
    told = [
        (event["Type"], event["Action"])
        for event in _past(api)
        if container in (event["Actor"]["ID"], event["Actor"]["Attributes"].get("container"))
    ]
    assert told == [
        ("container", "create"), ("network", "connect"), ("volume", "mount"), ("container", "start"),
        ("container", "die"), ("network", "disconnect"), ("volume", "unmount"), ("container", "destroy"),
    ]  # fmt: skip
    (mount,) = [event for event in _past(api, volume=["told"]) if event["Action"] == "mount"]
    assert mount["Actor"]["Attributes"] == {
        "container": container, "destination": "/v", "driver": "local", "propagation": "", "read/write": "false",
    }  # fmt: skip


def test_events_are_followed_until_a_time(api):
    with api.events(filters={"type": ["volume"], "event": ["create"]}) as events:
        api.post("/volumes/create", {"Name": "followed"})
        assert events.get(timeout=20)["Actor"]["ID"] == "followed"
    assert _past(api, volume=["follow"], event=["create"])[0]["Actor"]["ID"] == "followed"
    assert not _past(api, volume=["other"])
    wrong = api("GET", "/events", since="20", until="10")
    assert (wrong.status, wrong.message) == (400, "`since` time (20) cannot be after `until` time (10)")


@pytest.mark.parametrize("kind", ["containers", "images", "networks", "volumes", "build"])
def test_every_prune_is_told(api, kind):
    api.post(f"/{kind}/prune", filters={"label": ["nothing-has-this"]} if kind != "build" else {})
    type_ = "builder" if kind == "build" else kind.removesuffix("s")
    assert _past(api, type=[type_], event=["prune"])[-1]["Actor"] == {"ID": "", "Attributes": {"reclaimed": "0"}}


def test_a_prune_of_volumes_is_as_wide_as_the_clients_version_means_it(api):
    api.post("/volumes/create", {"Name": "named"})
    assert api.post("/v1.50/volumes/prune")["VolumesDeleted"] is None
    assert "named" in api.post("/v1.41/volumes/prune")["VolumesDeleted"]


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/swarm", 503, "This node is not a swarm manager. Use"),
        ("GET", "/nodes", 503, "This node is not a swarm manager. Use"),
        ("POST", "/services/create", 503, "This node is not a swarm manager. Use"),
        ("POST", "/swarm/leave", 503, "This node is not part of a swarm"),
        ("PUT", "/volumes/x", 503, "volume update only valid for cluster volumes, but swarm is unavailable"),
        ("DELETE", "/plugins/x", 404, 'plugin "x" not found'),
        ("POST", "/plugins/a/b:1/enable", 404, 'plugin "a/b:1" not found'),
        ("POST", "/grpc", 501, "this engine builds with the classic builder"),
        ("GET", "/nosuch", 404, "page not found"),
    ],
)
def test_a_node_without_a_swarm_says_so(api, method, path, status, sentence):
    answer = api(method, path)
    assert answer.status == status
    assert answer.message.startswith(sentence)


def test_a_ping_has_no_body_when_only_its_head_is_asked_for(api):
    head, whole = api("HEAD", "/_ping"), api("GET", "/_ping")
    assert (head.status, head.body, whole.body) == (200, b"", b"OK")
    for answer in (head, whole):
        assert answer.headers["api-version"] == "1.50"
        assert answer.headers["builder-version"] == "1"
        assert answer.headers["swarm"] == "inactive"


def test_what_is_known_of_the_engine_adds_up(api):
    info = api.get("/info")
    assert info["Containers"] == info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"]
    assert info["Plugins"]["Volume"] == ["local"]
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    version = api.get("/version")
    assert version["ApiVersion"] == version["Components"][0]["Details"]["ApiVersion"] == "1.50"
    assert info["ServerVersion"] == version["Version"]
