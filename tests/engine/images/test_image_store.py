"""Layers are shared, names and images appear together, and a killed engine leaves nothing half made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.images import GONE, ImageWorld

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.images.records import BuildStep


def layer_directories(world: ImageWorld) -> list[Path]:
    return list((world.root / "layers").iterdir())


def blobs(world: ImageWorld) -> list[Path]:
    return list((world.root / "image/blobs/sha256").iterdir())


def test_an_image_id_is_the_digest_of_its_config(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    config = world.root / "image/blobs/sha256" / image.id.removeprefix("sha256:")
    assert "sha256:" + hashlib.sha256(config.read_bytes()).hexdigest() == image.id
    document = world.images.config(image.id)
    assert document["rootfs"] == {"type": "layers", "diff_ids": [world.images.layer(image.chain_ids[0]).diff_id]}
    assert document["os"] == "linux"


def test_the_same_content_gives_the_same_image_and_one_layer(world: ImageWorld) -> None:
    first = world.image({"a": "1"}, name="x")
    second = world.image({"a": "1"}, name="y")
    assert first.id == second.id
    assert len(layer_directories(world)) == 1
    assert world.images.names(first.id) == ["x:latest", "y:latest"]


def test_layers_are_shared_by_chain_not_by_content_alone(world: ImageWorld) -> None:
    base = world.image({"a": "1"})
    other = world.image({"b": "1"})
    one = world.image({"c": "1"}, parent=base)
    two = world.image({"c": "1"}, parent=other)
    assert world.images.layer(one.chain_ids[1]).diff_id == world.images.layer(two.chain_ids[1]).diff_id
    assert one.chain_ids[1] != two.chain_ids[1]
    assert len(layer_directories(world)) == 4


def test_layer_directories_come_topmost_first(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, {"b": "2"})
    top, bottom = world.images.layer_dirs(image.chain_ids)
    assert (top / "b").read_text() == "2"
    assert (bottom / "a").read_text() == "1"


def test_an_added_directory_is_taken_over(world: ImageWorld, tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / "a").write_text("1")
    record = world.run(world.images.add_layer(directory, None))
    assert not directory.exists()
    assert (record.size, record.files, record.parent) == (1, 1, None)
    again = tmp_path / "again"
    again.mkdir()
    (again / "a").write_text("2")
    other = world.run(world.images.add_layer(again, record.chain_id))
    assert not again.exists()
    assert other.parent == record.chain_id


def test_everything_is_there_after_a_restart(world: ImageWorld) -> None:
    step = BuildStep(instruction="RUN x", first_line=2, last_line=3, seconds=0.5)
    image = world.image({"a": "1"}, {"b": "2"}, name="x:1", step=step)
    world.restart()
    found = world.images.get("x:1")
    assert found == image
    assert found.step == step
    assert (world.images.layer_dirs(found.chain_ids)[0] / "b").read_text() == "2"
    assert world.images.layers("x:1")["Size"] == 2


def test_what_no_record_names_is_swept_at_start(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    (world.root / "layers/.new-1/diff").mkdir(parents=True)
    (world.root / "layers" / ("0" * 64)).mkdir()
    (world.root / "image/blobs/sha256/.tmp-1").write_bytes(b"half")
    (world.root / "image/blobs/sha256" / ("0" * 64)).write_bytes(b"nobody's")
    (world.root / "incoming/load-1").mkdir()
    world.layer({"never": "used"})
    world.restart()
    assert [path.name for path in layer_directories(world)] == [image.chain_ids[0].removeprefix("sha256:")]
    assert [path.name for path in blobs(world)] == [image.id.removeprefix("sha256:")]
    assert list((world.root / "incoming").iterdir()) == []
    assert list(world.images._store.layers) == list(image.chain_ids)


def test_an_image_whose_content_is_lost_is_not_listed(world: ImageWorld) -> None:
    lost = world.image({"a": "1"}, name="lost")
    kept = world.image({"b": "1"}, name="kept")
    world.layer_path = world.images.layer_dirs(lost.chain_ids)[0].parent
    world.layer_path.rename(world.root / "elsewhere")
    world.restart()
    assert world.listed() == ["kept:latest"]
    world.run(world.images.tag(kept.id, "again"))
    world.restart()
    assert world.state.load("image", type(lost)).keys() == {kept.id}
    assert world.images.find("lost") is None


def test_removing_the_last_image_takes_its_layers_along(world: ImageWorld) -> None:
    base = world.image({"a": "1"}, name="base")
    world.image({"b": "1"}, parent=base, name="child")
    world.run(world.images.remove("child"))
    assert len(layer_directories(world)) == 1
    world.run(world.images.remove("base"))
    assert layer_directories(world) == []
    assert blobs(world) == []


def test_a_layer_that_waits_for_its_image_is_not_collected(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    again = world.layer({"a": "1"})
    world.run(world.images.remove("x"))
    assert len(layer_directories(world)) == 1
    assert again.chain_id == image.chain_ids[0]
    world.run(world.images.release([again.chain_id]))
    assert layer_directories(world) == []


def test_layers_of_a_forcibly_removed_image_stay_for_its_containers(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x")
    world.use(image)
    rows = world.run(world.images.remove("x", force=True))
    assert rows == [{"Untagged": "x:latest"}, {"Deleted": image.id}]
    assert world.images.find("x") is None
    assert (world.images.layer_dirs(image.chain_ids)[0] / "a").exists()
    world.restart()
    assert (world.images.layer_dirs(image.chain_ids)[0] / "a").exists()
    assert world.images.layers_of(image.id, image.chain_ids)["Size"] == 1
    world.users.clear()
    world.run(world.images.collect())
    assert layer_directories(world) == []
    assert blobs(world) == []


def test_an_image_of_unknown_layers_is_refused(world: ImageWorld) -> None:
    with pytest.raises(EngineError, match="layer does not exist"):
        world.run(world.images.create(config={}, chain_ids=["sha256:" + "0" * 64], origin="build"))


def test_a_layer_goes_out_as_it_was_made_or_not_at_all(world: ImageWorld) -> None:
    image = world.image({"a": "1", "gone": GONE, "link": "-> a", "d/e": "x"}, name="x")
    record = world.images.layer(image.chain_ids[0])
    store = world.images._store
    data = b"".join(store.layer_files.tar(record))
    assert "sha256:" + hashlib.sha256(data).hexdigest() == record.diff_id
    assert len(data) == record.tar_size
    (world.images.layer_dirs(image.chain_ids)[0] / "a").write_text("touched")
    with pytest.raises(EngineError, match="is not what it was"):
        list(store.layer_files.tar(record))


def test_noting_how_a_step_was_come_by_changes_nothing_else(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="x", step=BuildStep(instruction="RUN", first_line=1, last_line=1, seconds=1))
    cached = BuildStep(instruction="RUN", first_line=4, last_line=4, seconds=0, cached=True, reason="same")
    world.run(world.images.note_step(image.id, cached))
    world.restart()
    assert world.images.get("x").step == cached
    assert world.images.get("x").created_ns == image.created_ns
