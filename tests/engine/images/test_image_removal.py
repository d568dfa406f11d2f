"""Untagging, deleting, the conflicts in Docker's words, and pruning."""

from __future__ import annotations

import re

import pytest
from support.images import ImageWorld

from pydockmagic.engine.errors import Conflict, InvalidParameter, NoSuchImage
from pydockmagic.oci.reference import parse_normalized

CONTAINER = "7c7c5e41bc1c" + "0" * 52


def short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:12]


def test_a_name_among_several_is_only_untagged(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    world.run(world.images.tag(image.id, "student/web:v1"))
    assert world.run(world.images.remove("student/web:v1")) == [{"Untagged": "student/web:v1"}]
    assert world.listed() == ["x:latest"]


def test_the_last_name_takes_the_image_and_its_layers_along(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, {"b": "1"}, name="x")
    assert world.run(world.images.remove("x")) == [
        {"Untagged": "x:latest"},
        {"Deleted": image.id},
        {"Deleted": image.chain_ids[1]},
        {"Deleted": image.chain_ids[0]},
    ]
    assert world.actions() == [("tag", "x:latest"), ("untag", image.id), ("delete", image.id)]


def test_steps_of_the_build_go_along_until_something_needs_them(world: ImageWorld) -> None:
    base = world.image({"a": "1"}, name="base")
    step = world.image({"b": "1"}, parent=base)
    meta = world.image(parent=step, config={"Cmd": ["x"]}, history=[{"empty_layer": True}])
    top = world.image({"c": "1"}, parent=meta, name="app")
    assert world.run(world.images.remove("app")) == [
        {"Untagged": "app:latest"},
        {"Deleted": top.id},
        {"Deleted": top.chain_ids[-1]},
        {"Deleted": meta.id},
        {"Deleted": step.id},
        {"Deleted": step.chain_ids[-1]},
    ]
    assert world.listed() == ["base:latest"]


def test_no_prune_leaves_the_steps(world: ImageWorld) -> None:
    base = world.image({"a": "1"}, name="base")
    step = world.image({"b": "1"}, parent=base)
    world.image({"c": "1"}, parent=step, name="app")
    world.run(world.images.remove("app", prune=False))
    assert world.listed() == [short(step.id), "base:latest"]


def test_an_id_removes_the_image_with_its_single_name(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    rows = world.run(world.images.remove(short(image.id)))
    assert rows[:2] == [{"Untagged": "x:latest"}, {"Deleted": image.id}]


def test_an_id_with_names_in_several_repositories_conflicts(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    world.run(world.images.tag(image.id, "y"))
    sentence = (
        f"conflict: unable to delete {short(image.id)} (must be forced) - image is referenced in multiple repositories"
    )
    with pytest.raises(Conflict, match=re.escape(sentence)):
        world.run(world.images.remove(short(image.id)))
    rows = world.run(world.images.remove(short(image.id), force=True))
    assert rows[:3] == [{"Untagged": "x:latest"}, {"Untagged": "y:latest"}, {"Deleted": image.id}]


def test_a_name_in_use_by_a_container_conflicts(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="alpine")
    world.use(image, container_id=CONTAINER)
    sentence = (
        'conflict: unable to remove repository reference "alpine" (must force) - '
        f"container 7c7c5e41bc1c is using its referenced image {short(image.id)}"
    )
    with pytest.raises(Conflict, match=re.escape(sentence)):
        world.run(world.images.remove("alpine"))
    assert world.listed() == ["alpine:latest"]


def test_an_id_in_use_by_a_stopped_container_conflicts(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    world.use(image, container_id=CONTAINER)
    sentence = (
        f"conflict: unable to delete {short(image.id)} (must be forced) - "
        "image is being used by stopped container 7c7c5e41bc1c"
    )
    with pytest.raises(Conflict, match=re.escape(sentence)):
        world.run(world.images.remove(image.id))


def test_an_id_in_use_by_a_running_container_cannot_be_forced(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    world.use(image, container_id=CONTAINER, running=True)
    sentence = (
        f"conflict: unable to delete {short(image.id)} (cannot be forced) - "
        "image is being used by running container 7c7c5e41bc1c"
    )
    with pytest.raises(Conflict, match=re.escape(sentence)):
        world.run(world.images.remove(image.id, force=True))


def test_an_image_with_children_cannot_be_forced_away(world: ImageWorld) -> None:
    base = world.image({"a": "1"}, name="busybox")
    world.image({"b": "1"}, parent=base, name="app")
    sentence = f"conflict: unable to delete {short(base.id)} (cannot be forced) - image has dependent child images"
    with pytest.raises(Conflict, match=re.escape(sentence)):
        world.run(world.images.remove(base.id, force=True))
    assert world.run(world.images.remove("busybox")) == [{"Untagged": "busybox:latest"}]
    assert len(world.listed(all=True)) == 2


def test_forcing_the_name_of_a_running_containers_image_only_untags(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="alpine")
    world.use(image, running=True)
    assert world.run(world.images.remove("alpine", force=True)) == [{"Untagged": "alpine:latest"}]
    assert world.listed() == [short(image.id)]


def test_a_digest_goes_with_the_last_tag_of_its_repository(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x:1")
    world.run(world.images.tag(image.id, "x:2"))
    digest = "x@sha256:" + "1" * 64
    world.run(world.images._store.point(image.id, [parse_normalized(digest)]))
    assert world.run(world.images.remove("x:1")) == [{"Untagged": "x:2".replace("2", "1")}]
    rows = world.run(world.images.remove("x:2"))
    assert rows[:3] == [{"Untagged": "x:2"}, {"Untagged": digest}, {"Deleted": image.id}]


def test_removing_what_is_not_there(world: ImageWorld) -> None:
    with pytest.raises(NoSuchImage, match=r"^No such image: nosuch:latest$"):
        world.run(world.images.remove("nosuch", force=True))


def test_pruning_takes_dangling_images_only(world: ImageWorld) -> None:
    world.image({"a": "1"}, name="kept")
    old = world.image({"b": "12345"}, name="app")
    world.image({"b": "2"}, name="app")
    answer = world.run(world.images.prune({}))
    assert answer == {
        "ImagesDeleted": [{"Deleted": old.id}, {"Deleted": old.chain_ids[0]}],
        "SpaceReclaimed": 5,
    }
    assert sorted(world.listed()) == ["app:latest", "kept:latest"]
    assert world.run(world.images.prune({"dangling": ["true"]})) == {"ImagesDeleted": None, "SpaceReclaimed": 0}


def test_pruning_all_takes_what_no_container_uses(world: ImageWorld) -> None:
    used = world.image({"a": "1"}, name="used")
    world.image({"b": "1"}, name="unused")
    world.use(used)
    answer = world.run(world.images.prune({"dangling": ["false"]}))
    assert answer["ImagesDeleted"][0] == {"Untagged": "unused:latest"}
    assert world.listed() == ["used:latest"]


def test_pruning_takes_the_steps_of_what_was_built(world: ImageWorld) -> None:
    base = world.image({"a": "1"}, name="base")
    step = world.image({"b": "1"}, parent=base)
    top = world.image({"c": "1"}, parent=step)
    deleted = [row["Deleted"] for row in world.run(world.images.prune({}))["ImagesDeleted"]]
    assert deleted == [top.id, top.chain_ids[-1], step.id, step.chain_ids[-1]]


def test_pruning_by_label_and_age(world: ImageWorld) -> None:
    for number, label in enumerate(["a", "b", "c"]):
        world.image({"f": str(number)}, config={"Labels": {"stage": label, label: ""}}, created_ns=(number + 1) * 10**9)
    world.run(world.images.prune({"label": ["stage=a"]}))
    assert len(world.listed()) == 2
    world.run(world.images.prune({"label!": ["b"]}))
    assert len(world.listed()) == 1
    world.run(world.images.prune({"until": ["1"]}))
    assert len(world.listed()) == 1
    world.run(world.images.prune({"until": ["1h"]}))
    assert world.listed() == []


def test_unknown_filters_are_refused(world: ImageWorld) -> None:
    with pytest.raises(InvalidParameter, match=r"^Invalid filter 'nosuch'$"):
        world.run(world.images.prune({"nosuch": ["1"]}))
    with pytest.raises(InvalidParameter, match=re.escape("Invalid filter 'dangling=[maybe]'")):
        world.run(world.images.prune({"dangling": ["maybe"]}))
