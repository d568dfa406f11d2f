"""Efficiency, wasted bytes and layer sizes of six images against the figures of the tool dive."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile

import pytest
from support.vectors import conformance_root

from pydockmagic.oci.layer import Kind, LayerEntry, LayerIndex, MergedView, efficiency, index_tar, open_stream

pytestmark = pytest.mark.conformance

ROOT = conformance_root() / "vectors" / "layers"
EXPECTED = json.loads((ROOT / "expected.json").read_text())
IMAGES = [name for name in EXPECTED if name.endswith(".tar") and (ROOT / name).exists()]


def blobs_of(archive):
    names = archive.getnames()
    if "manifest.json" in names:
        return json.load(archive.extractfile("manifest.json"))[0]["Layers"]
    index = json.load(archive.extractfile("index.json"))
    manifest = json.load(archive.extractfile("blobs/" + index["manifests"][0]["digest"].replace(":", "/")))
    return ["blobs/" + layer["digest"].replace(":", "/") for layer in manifest["layers"]]


def layers_of(name):
    if "zstd" in name and shutil.which("zstd") is None and not os.environ.get("CI"):
        pytest.skip("needs the program zstd")
    with tarfile.open(ROOT / name) as archive:
        found = []
        for blob in blobs_of(archive):
            member = archive.extractfile(blob)
            with open_stream(io.BytesIO(member.read())) as stream:
                found.append(index_tar(stream).index)
        return found


def test_all_six_archives_are_there():
    assert len(IMAGES) == 6


@pytest.mark.parametrize("name", [name for name in IMAGES if not EXPECTED[name]["error"]])
def test_figures_are_those_of_dive(name):
    layers = layers_of(name)
    expected = EXPECTED[name]
    assert [[n, layer.content_size, len(layer)] for n, layer in enumerate(layers)] == expected["layers"]
    found = efficiency(layers)
    assert found.score == pytest.approx(expected["efficiency"], rel=1e-12)
    assert found.wasted_bytes == expected["wastedBytes"]
    assert found.total_bytes == expected["sizeBytes"]
    assert found.user_bytes == expected["userSizeBytes"]
    assert found.user_wasted == (pytest.approx(percent) if (percent := expected["wastedUserPercent"]) else None)
    listed = [{"path": "/" + i.path, "count": i.count, "cumulativeSize": i.size} for i in found.inefficiencies]
    key = json.dumps
    assert sorted(listed, key=lambda i: key(i, sort_keys=True)) == sorted(
        expected["inefficiencies"], key=lambda i: key(i, sort_keys=True)
    )


@pytest.mark.parametrize("name", [name for name in IMAGES if EXPECTED[name]["error"]])
def test_what_is_no_image_has_no_manifest(name):
    with tarfile.open(ROOT / name) as archive:
        assert not {"manifest.json", "index.json"} & set(archive.getnames())


def layer(sizes):
    """Make an index as dive's own unit test makes trees: directories are implied and have no size."""
    entries = {}
    for path, size in sizes.items():
        head, _, base = path.strip("/").rpartition("/")
        if base.startswith(".wh."):
            entry = LayerEntry(f"{head}/{base[4:]}", Kind.WHITEOUT)
        else:
            entry = LayerEntry(path.strip("/"), Kind.FILE, size)
        entries[entry.path] = entry
    return LayerIndex.from_entries(entries.values())


@pytest.mark.parametrize("name", ["TestEfficiency", "scratch"])
def test_small_examples_score_as_in_dive(name):
    case = EXPECTED["_unit"][name]
    found = efficiency([layer(sizes) for sizes in case["layers"]])
    assert found.score == case["score"]
    assert [["/" + i.path, i.size] for i in found.inefficiencies] == case.get("inefficient", [])


def test_the_merged_view_of_the_docker_image_has_no_deleted_file():
    view = MergedView(layers_of("test-docker-image.tar"))
    assert "root/example/somefile1.txt" not in view
    assert "root/saved.txt" in view
