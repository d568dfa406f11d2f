"""Killed at any instant, a full disk, one user for all files: what is finished is whole, the rest is gone."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.images import ImageWorld, tar_of

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.storage import Trash

_WORKER = """
import itertools, pathlib, sys
sys.path.insert(0, sys.argv[2])
from support.images import ImageWorld
world = ImageWorld(pathlib.Path(sys.argv[1]))
base = world.image({"base": "b" * 1000}, name="base")
for number in itertools.count():
    text = str(number) * 50
    image = world.image({"f": text, **{f"d/{n}": text for n in range(30)}}, parent=base, name=f"i{number}")
    print("made", image.id, flush=True)
    if number % 3 == 2:
        world.run(world.images.remove(f"i{number - 1}"))
        print("removed", number - 1, flush=True)
"""


def check_whole(world: ImageWorld) -> None:
    """See that every image listed is complete, and that nothing else lies on the disk."""
    store = world.images._store
    chains = set()
    for row in world.images.list(all=True):
        image = world.images.get(row["Id"])
        assert "sha256:" + hashlib.sha256(store.config_bytes(image.id)).hexdigest() == image.id
        chains |= set(image.chain_ids)
        for chain in image.chain_ids:
            record = world.images.layer(chain)
            digest = hashlib.sha256()
            for chunk in store.layer_files.tar(record):
                digest.update(chunk)
            assert "sha256:" + digest.hexdigest() == record.diff_id
            assert len(store.layer_files.index(chain)) == len(store.layer_files.changes(chain).kinds) == record.files
    assert {entry.name for entry in (world.root / "layers").iterdir()} == {chain[7:] for chain in chains}
    blobs = {entry.name for entry in (world.root / "image/blobs/sha256").iterdir()}
    assert blobs == {row["Id"][7:] for row in world.images.list(all=True)}
    assert list((world.root / "incoming").iterdir()) == []
    assert set(store.references) == {f"docker.io/library/{name}" for name in world.listed(all=True)}


@pytest.mark.parametrize("lines", [1, 2, 4, 7])
def test_an_engine_killed_while_it_makes_images_comes_back_whole(tmp_path: Path, lines: int) -> None:
    tests = str(Path(__file__).resolve().parents[2])
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, tmp_path, tests], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    told = [worker.stdout.readline().split() for _ in range(lines)]
    worker.kill()
    worker.wait()
    told += [line.split() for line in worker.stdout]
    worker.stdout.close()
    world = ImageWorld(tmp_path)
    check_whole(world)
    removed = {int(number) for word, number in (line for line in told if len(line) == 2) if word == "removed"}
    made = [line[1] for line in told if len(line) == 2 and line[0] == "made"]
    for number, image_id in enumerate(made[:-1]):
        # The last one may have been on its way out again.
        assert (world.images.find(image_id) is None) == (number in removed) or number == len(made) - 2
    world.image({"f": "after"}, name="after")
    check_whole(world)
    world.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", root], check=True)
    yield root
    subprocess.run(["umount", "-l", root], check=True)


@pytest.mark.root
def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path) -> None:
    world = ImageWorld(small_disk)
    kept = world.image({"a": "1"}, name="kept")
    large = tar_of({"large": os.urandom(3 << 20)})
    with pytest.raises(EngineError, match="no space left on device"):
        world.start(lambda: world.images.import_(_pieces(large), "large"))
    with pytest.raises(EngineError, match="no space left on device"):
        world.load(tar_of({"manifest.json": "[]", "layer.tar": large}))
    assert Trash(small_disk / "trash").wait(30)
    assert world.listed(all=True) == ["kept:latest"]
    check_whole(world)
    assert (world.images.layer_dirs(kept.chain_ids)[0] / "a").read_text() == "1"
    world.image({"b": "1"}, name="another")
    world.close()


async def _pieces(data: bytes):
    for at in range(0, len(data), 100_000):
        yield data[at : at + 100_000]


def test_true_owners_are_kept_where_the_disk_has_one_user(world: ImageWorld) -> None:
    layers = world.images._store.layer_files
    layers._one_owner = True
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, uid in (("www", 33), ("root", 0)):
            member = tarfile.TarInfo(name)
            member.uid = member.gid = uid
            member.size = 1
            archive.addfile(member, io.BytesIO(b"1"))
    world.start(lambda: world.images.import_(_pieces(buffer.getvalue()), "base"))
    base = world.images.get("base")
    assert (layers.directory(base.chain_ids[0]) / "www").stat().st_uid == os.geteuid()
    child = world.image({"www": "changed", "new": "1"}, parent=base)
    record = world.images.layer(child.chain_ids[1])
    with tarfile.open(fileobj=io.BytesIO(b"".join(layers.tar(record)))) as archive:
        assert {member.name: (member.uid, member.gid) for member in archive} == {
            "new": (0, 0),
            "www": (33, 33),
        }
