"""Our layers and documents in other people's hands, and theirs in ours: umoci and skopeo."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess

import pytest
from support.trees import directory, file, hardlink, snapshot, symlink, tar_of, whiteout

from pydockmagic.oci import media_types
from pydockmagic.oci.config import ImageConfig, RootFS, RunConfig, decode_config
from pydockmagic.oci.digest import hex_of, sha256_digest
from pydockmagic.oci.layer import (
    GzipStream,
    Kind,
    LayerEntry,
    MergedView,
    extract,
    index_tar,
    iter_tar,
    open_stream,
    scan,
)
from pydockmagic.oci.manifest import (
    LAYOUT_FILE,
    Descriptor,
    decode_index,
    decode_manifest_or_index,
    descriptor_of,
    image_index,
    image_manifest,
)

pytestmark = [pytest.mark.conformance, pytest.mark.root]

for tool in ("umoci", "skopeo"):
    if shutil.which(tool) is None and not os.environ.get("CI"):
        pytest.skip(f"needs {tool}", allow_module_level=True)

LAYERS = [
    [
        directory("etc", mtime=5), file("etc/passwd", b"root", mode=0o600, mtime=6), directory("opq", mtime=7),
        file("opq/old", b"old"), directory("gone", mtime=1), file("gone/f", b"x"), file("tool", b"tool", mode=0o4755),
        hardlink("alias", "tool"), symlink("sh", "t" * 150, mtime=9),
        LayerEntry("pipe", Kind.FIFO, mode=0o622, mtime=3),
        LayerEntry("null", Kind.CHARACTER_DEVICE, mode=0o666, device=(1, 3), mtime=4),
        file("n" * 120 + "é", b"long", uid=3_000_000, gid=7, mtime=8),
    ],
    [
        directory("etc", mode=0o700, mtime=10), whiteout("etc/passwd"), directory("opq", opaque=True, mtime=11),
        file("opq/new", b"new", mtime=12), whiteout("gone"),
        file("x", b"", xattrs=(("user.note", b"\0\xff"),), mtime=13),
    ],
]  # fmt: skip


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, **options)


@pytest.fixture
def layout(tmp_path):
    """An image layout with our two layers, made from directories in overlay form."""
    folder = tmp_path / "layout"
    (folder / "blobs/sha256").mkdir(parents=True)

    def put(data):
        (folder / "blobs/sha256" / hex_of(sha256_digest(data))).write_bytes(data)
        return data

    descriptors, diff_ids = [], []
    for number, members in enumerate(LAYERS):
        disk = tmp_path / f"disk{number}"
        disk.mkdir()
        diff_ids.append(extract(tar_of(*members), disk).diff_id)
        stream = GzipStream(iter_tar(disk))
        put(b"".join(stream))
        blob = stream.result()
        assert blob.diff_id == scan(disk).diff_id
        diff_ids[-1] = blob.diff_id
        descriptors.append(Descriptor(media_types.OCI_LAYER_GZIP, blob.digest, blob.size))
    config = ImageConfig(
        architecture="amd64", os="linux", config=RunConfig(cmd=("sh",)), rootfs=RootFS(diff_ids=tuple(diff_ids))
    )
    manifest = put(image_manifest(put(config.encode()), descriptors).encode())
    top = descriptor_of(manifest, media_types.OCI_MANIFEST)
    tagged = Descriptor(
        top.media_type, top.digest, top.size, annotations={"org.opencontainers.image.ref.name": "latest"}
    )
    (folder / "index.json").write_bytes(image_index([tagged]).encode())
    (folder / "oci-layout").write_bytes(LAYOUT_FILE)
    return folder


@pytest.fixture
def ours(tmp_path):
    """The same two layers, applied by us."""
    folder = tmp_path / "ours"
    folder.mkdir()
    for members in LAYERS:
        extract(tar_of(*members), folder, whiteouts="apply")
    return folder


def test_umoci_unpacks_our_image_to_the_same_tree(layout, ours, tmp_path):
    run("umoci", "unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    assert snapshot(tmp_path / "bundle/rootfs") == snapshot(ours)


def test_the_layer_that_umoci_makes_of_changes_reads_as_those_changes(layout, tmp_path):
    bundle = tmp_path / "bundle"
    run("umoci", "unpack", "--image", f"{layout}:latest", bundle)
    (bundle / "rootfs/tool").unlink()
    (bundle / "rootfs/opq/new").write_text("changed")
    (bundle / "rootfs/added").write_text("added")
    shutil.rmtree(bundle / "rootfs/opq")
    run("umoci", "repack", "--image", f"{layout}:latest", bundle)
    descriptor = next(
        d for d in decode_index((layout / "index.json").read_bytes()).manifests if (d.annotations or {}).values()
    )
    manifest = decode_manifest_or_index((layout / "blobs/sha256" / hex_of(descriptor.digest)).read_bytes())
    config = decode_config((layout / "blobs/sha256" / hex_of(manifest.config.digest)).read_bytes(), strict=True)
    indexes = []
    for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
        with open_stream(io.BytesIO((layout / "blobs/sha256" / hex_of(layer.digest)).read_bytes())) as stream:
            read = index_tar(stream)
        assert read.diff_id == diff_id
        indexes.append(read.index)
    assert len(indexes) == 3
    view = MergedView(indexes)
    assert {"added", "alias"} <= set(view)
    assert not {"tool", "opq", "opq/new", "gone"} & set(view)
    assert view.content("alias").size == 4


def test_umoci_finds_nothing_wrong_with_our_documents(layout):
    run("umoci", "stat", "--json", "--image", f"{layout}:latest")
    run("umoci", "gc", "--layout", layout)
    assert run("umoci", "ls", "--layout", layout).stdout.split() == [b"latest"]


def test_skopeo_carries_our_image_to_docker_and_back(layout, ours, tmp_path):
    archive, again = tmp_path / "docker.tar", tmp_path / "again"
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    copy = ("skopeo", "--policy", policy, "copy", "--quiet")
    run(*copy, f"oci:{layout}:latest", f"docker-archive:{archive}:example:latest")
    run(*copy, f"docker-archive:{archive}", f"oci:{again}:latest")
    (descriptor,) = decode_index((again / "index.json").read_bytes()).manifests
    manifest = decode_manifest_or_index((again / "blobs/sha256" / hex_of(descriptor.digest)).read_bytes())
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for layer in manifest.layers:
        with open_stream(io.BytesIO((again / "blobs/sha256" / hex_of(layer.digest)).read_bytes())) as stream:
            extract(stream, folder, whiteouts="apply")
    assert snapshot(folder) == snapshot(ours)


def test_skopeo_reads_the_config_as_we_do(layout):
    shown = json.loads(run("skopeo", "inspect", "--config", f"oci:{layout}:latest").stdout)
    assert shown["config"]["Cmd"] == ["sh"]
    assert len(shown["rootfs"]["diff_ids"]) == 2
