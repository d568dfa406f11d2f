"""Six image archives of other tools, loaded: their layers have the sizes and entries that the tool dive tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.images import ImageWorld
from support.vectors import conformance_root

from pydockmagic.engine.errors import InvalidParameter

pytestmark = pytest.mark.conformance

ROOT = conformance_root() / "vectors" / "layers"
EXPECTED = {
    name: figures
    for name, figures in json.loads((ROOT / "expected.json").read_text()).items()
    if (ROOT / name).exists()
}


@pytest.fixture
def world(tmp_path: Path):
    made = ImageWorld(tmp_path)
    yield made
    made.close()


def symlink_bytes(world: ImageWorld, chain: str) -> int:
    """Docker counts the texts of symlinks as content, dive does not."""
    columns = world.images.files(chain)["Columns"]
    return sum(
        len(target) for kind, target in zip(columns["Kind"], columns["Target"], strict=True) if kind == "symlink"
    )


@pytest.mark.parametrize("name", [name for name, figures in EXPECTED.items() if not figures["error"]])
def test_an_archive_is_loaded_with_the_layers_that_it_has(world: ImageWorld, name: str) -> None:
    world.load((ROOT / name).read_bytes())
    (row,) = world.images.list()
    layers = [layer for layer in world.images.layers(row["Id"])["Layers"] if not layer["Empty"]]
    links = [symlink_bytes(world, layer["ChainId"]) for layer in layers]
    found = [[n, layer["Size"] - links[n], layer["Files"]] for n, layer in enumerate(layers)]
    assert found == EXPECTED[name]["layers"]
    assert world.images.inspect(row["Id"])["Size"] - sum(links) == EXPECTED[name]["sizeBytes"]
    saved = world.save(row["Id"])
    world.run(world.images.remove(row["Id"], force=True))
    world.load(saved)
    assert [row["Id"] for row in world.images.list()] == [row["Id"]]


@pytest.mark.parametrize("name", [name for name, figures in EXPECTED.items() if figures["error"]])
def test_what_is_no_image_is_refused(world: ImageWorld, name: str) -> None:
    with pytest.raises(InvalidParameter, match="unrecognized image format"):
        world.load((ROOT / name).read_bytes())
