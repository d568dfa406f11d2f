"""Lists, inspection, history and disk usage, as the API gives them."""

from __future__ import annotations

import re

import pytest
from support.images import ImageWorld

from pydockmagic.engine.errors import InvalidParameter, NoSuchImage
from pydockmagic.engine.images.times import parse_config_time, parse_filter_time, rfc3339

SECOND = 10**9


def test_the_newest_image_comes_first(world: ImageWorld) -> None:
    for number in (2, 3, 1):
        world.image({"f": str(number)}, name=f"i{number}", created_ns=number * SECOND)
    assert world.listed() == ["i3:latest", "i2:latest", "i1:latest"]


def test_a_row_has_what_the_api_describes(world: ImageWorld) -> None:
    base = world.image({"a": "12"}, name="base")
    image = world.image({"b": "345"}, parent=base, name="x:1", config={"Labels": {"k": "v"}}, created_ns=7 * SECOND)
    world.run(world.images.tag(image.id, "y"))
    row = next(row for row in world.images.list() if row["Id"] == image.id)
    assert row == {
        "Id": image.id,
        "ParentId": base.id,
        "RepoTags": ["x:1", "y:latest"],
        "RepoDigests": [],
        "Created": 7,
        "Size": 5,
        "SharedSize": -1,
        "Labels": {"k": "v"},
        "Containers": -1,
    }


def test_shared_sizes_and_containers_are_counted_when_asked(world: ImageWorld) -> None:
    base = world.image({"a": "12"}, name="base")
    image = world.image({"b": "345"}, parent=base, name="x")
    world.use(image)
    rows = {row["Id"]: row for row in world.images.list(shared_size=True, containers=True)}
    assert (rows[base.id]["SharedSize"], rows[image.id]["SharedSize"]) == (2, 2)
    assert (rows[base.id]["Containers"], rows[image.id]["Containers"]) == (0, 1)
    usage = world.images.disk_usage()
    assert usage["LayersSize"] == 5
    assert len(usage["Images"]) == 2


def test_steps_of_builds_are_listed_only_among_all(world: ImageWorld) -> None:
    base = world.image({"a": "1"}, name="base", created_ns=SECOND)
    step = world.image({"b": "1"}, parent=base, created_ns=2 * SECOND)
    world.image({"c": "1"}, parent=step, name="app", created_ns=3 * SECOND)
    assert world.listed() == ["app:latest", "base:latest"]
    assert world.listed(all=True) == ["app:latest", step.id[7:19], "base:latest"]


def test_dangling_images(world: ImageWorld) -> None:
    old = world.image({"a": "1"}, name="x", created_ns=SECOND)
    world.image({"a": "2"}, name="x", created_ns=2 * SECOND)
    assert world.listed() == ["x:latest", old.id[7:19]]
    assert world.listed(filters={"dangling": ["true"]}) == [old.id[7:19]]
    assert world.listed(filters={"dangling": ["false"]}) == ["x:latest"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("ubuntu", ["ubuntu:22,ubuntu:latest"]),
        ("ubuntu:22", ["ubuntu:22"]),
        ("*/ubuntu", ["stackbrew/ubuntu:latest"]),
        ("ub*", ["ubuntu:22,ubuntu:latest"]),
        ("nosuch", []),
    ],
)
def test_reference_patterns_choose_names(world: ImageWorld, pattern: str, found: list[str]) -> None:
    image = world.image({"a": "1"}, name="ubuntu")
    world.run(world.images.tag(image.id, "ubuntu:22"))
    world.image({"b": "1"}, name="stackbrew/ubuntu")
    world.image({"c": "1"})
    assert world.listed(filters={"reference": [pattern]}) == found


def test_labels_times_and_other_images_choose(world: ImageWorld) -> None:
    for number, name in enumerate(["a", "b", "c"], 1):
        world.image({"f": name}, name=name, created_ns=number * SECOND, config={"Labels": {"n": name, name: ""}})
    assert world.listed(filters={"before": ["b"]}) == ["a:latest"]
    assert world.listed(filters={"since": ["b"]}) == ["c:latest"]
    assert world.listed(filters={"until": ["3"]}) == ["b:latest", "a:latest"]
    assert world.listed(filters={"label": ["n=b"]}) == ["b:latest"]
    assert world.listed(filters={"label": ["c"]}) == ["c:latest"]
    assert world.listed(filters={"label": ["n", "a"]}) == ["a:latest"]
    with pytest.raises(NoSuchImage):
        world.listed(filters={"before": ["nosuch"]})
    with pytest.raises(InvalidParameter, match=r"^Invalid filter 'nosuch'$"):
        world.listed(filters={"nosuch": ["1"]})
    with pytest.raises(InvalidParameter, match="syntax error in pattern"):
        world.listed(filters={"reference": ["[a"]})


def test_inspect_describes_an_image(world: ImageWorld) -> None:
    config = {"Cmd": ["sh"], "Env": ["A=1"], "Hostname": "x", "ExposedPorts": {"80/tcp": {}}, "User": ""}
    base = world.image({"a": "1"})
    image = world.image({"b": "1"}, parent=base, name="x:1", config=config, created_ns=1_500_000_000)
    shown = world.images.inspect("x:1")
    top, bottom = world.images.layer_dirs(image.chain_ids)
    assert shown["Id"] == image.id
    assert shown["RepoTags"] == ["x:1"]
    assert shown["Parent"] == base.id
    assert shown["Created"] == "1970-01-01T00:00:01.5Z"
    assert shown["Config"] == {"Cmd": ["sh"], "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}}
    assert shown["Size"] == 2
    assert shown["RootFS"]["Layers"] == [world.images.layer(chain).diff_id for chain in image.chain_ids]
    assert shown["GraphDriver"]["Name"] == "overlay2"
    assert shown["GraphDriver"]["Data"]["UpperDir"] == str(top)
    assert shown["GraphDriver"]["Data"]["LowerDir"] == str(bottom)
    assert re.fullmatch(r"20\d\d-.*Z", shown["Metadata"]["LastTagTime"])


def test_older_clients_find_the_fields_that_later_versions_left_out(world: ImageWorld) -> None:
    world.image({"a": "1"}, name="x:1", config={"Cmd": ["sh"]})
    assert world.images.inspect("x:1", (1, 50))["Config"] == {"Cmd": ["sh"]}
    config = world.images.inspect("x:1", (1, 49))["Config"]
    assert config["Cmd"] == ["sh"]
    assert config["OnBuild"] is None
    assert config["Tty"] is False
    assert "Container" not in world.images.inspect("x:1", (1, 45))
    assert world.images.inspect("x:1", (1, 44))["Container"] == ""
    assert "VirtualSize" not in world.images.inspect("x:1", (1, 44))
    old = world.images.inspect("x:1", (1, 43))
    assert old["VirtualSize"] == old["Size"]


def test_an_image_from_scratch_has_no_layers(world: ImageWorld) -> None:
    world.image(name="empty", config={"Cmd": ["/x"]})
    shown = world.images.inspect("empty")
    assert shown["RootFS"] == {"Type": "layers"}
    assert shown["Size"] == 0
    assert "GraphDriver" in shown
    assert world.images.layers("empty")["Layers"][0]["Empty"] is True


def test_history_names_the_steps_that_are_here(world: ImageWorld) -> None:
    base = world.image({"a": "12"}, {"b": "3"}, name="base", created_ns=SECOND)
    step = world.image({"c": "4567"}, parent=base, created_ns=2 * SECOND)
    history = [*world.images.config(step.id)["history"], {"created_by": "CMD x", "empty_layer": True, "comment": "c"}]
    top = world.image(parent=step, history=history, name="app", created_ns=3 * SECOND)
    rows = world.images.history("app")
    assert [(row["Id"], row["Created"], row["Size"], row["Tags"]) for row in rows] == [
        (top.id, 3, 0, ["app:latest"]),
        (step.id, 2, 4, None),
        (base.id, 1, 1, ["base:latest"]),
        ("<missing>", 0, 2, None),
    ]
    assert (rows[0]["CreatedBy"], rows[0]["Comment"]) == ("CMD x", "c")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("0001-01-01T00:00:00Z", -62_135_596_800 * SECOND),
        ("yesterday", None),
        ("1970-13-01T00:00:00Z", None),
        (None, None),
    ],
)
def test_config_times(text: str | None, nanoseconds: int | None) -> None:
    assert parse_config_time(text) == nanoseconds


def test_times_are_written_as_docker_writes_them() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(1_234_500_000) == "1970-01-01T00:00:01.2345Z"
    assert rfc3339(-62_135_596_800 * SECOND) == "0001-01-01T00:00:00Z"


def test_filter_times_are_moments_or_ages() -> None:
    now = 10_000 * SECOND
    assert parse_filter_time("12.5", now) == 12_500_000_000
    assert parse_filter_time("1h30m", now) == now - 5400 * SECOND
    assert parse_filter_time("1970-01-01T00:00:02Z", now) == 2 * SECOND
    with pytest.raises(InvalidParameter):
        parse_filter_time("soon", now)
