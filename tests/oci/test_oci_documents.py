"""Digests, manifests, configs and platforms in the project's own words."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.oci import media_types
from pydockmagic.oci.config import Healthcheck, History, ImageConfig, Nothing, RootFS, RunConfig, decode_config
from pydockmagic.oci.digest import (
    StreamDigest,
    chain_id,
    chain_ids,
    hex_of,
    is_digest,
    parse_digest,
    sha256_digest,
    verify,
)
from pydockmagic.oci.documents import MAX_DOCUMENT
from pydockmagic.oci.errors import InvalidDigest, InvalidDocument
from pydockmagic.oci.manifest import (
    LAYOUT_FILE,
    ArchiveImage,
    Descriptor,
    Index,
    Manifest,
    decode_archive_manifest,
    decode_index,
    decode_layout,
    decode_manifest,
    decode_manifest_or_index,
    descriptor_of,
    encode_archive_manifest,
    image_index,
    image_manifest,
)
from pydockmagic.oci.platform import Platform, host_platform, normalize_architecture, parse_platform

A, B = sha256_digest(b"a"), sha256_digest(b"b")
LAYER = Descriptor(media_types.OCI_LAYER_GZIP, A, 5)


def test_digests_are_sha256_of_bytes_or_pieces():
    assert sha256_digest(b"abc") == sha256_digest([b"a", b"", b"bc"]) == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    assert hex_of(A) == A[7:]
    verify(A, b"a")
    with pytest.raises(InvalidDigest, match="content has digest"):
        verify(A, b"b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "format"), ("sha256", "format"), ("sha256:", "format"), (A.upper(), "format"),
        ("sha256:" + "g" * 64, "format"),
        ("sha256:" + "A" * 64, "format"), ("sha256:" + "a" * 63, "length"), ("md5:" + "a" * 32, "unsupported"),
        ("../../etc:x", "format"), (A + "\n", "format"), ("sha256:../" + "a" * 61, "format"),
    ],
)  # fmt: skip
def test_what_is_no_digest_is_refused(text, words):
    assert not is_digest(text)
    with pytest.raises(InvalidDigest, match=words):
        parse_digest(text)


def test_chain_ids_name_a_layer_with_all_below_it():
    assert chain_ids([]) == ()
    assert chain_id([]) == ""
    assert chain_ids([A]) == (A,)
    assert chain_ids([A, B]) == (A, sha256_digest(f"{A} {B}".encode()))
    assert chain_ids([A, B, A])[:2] == chain_ids([A, B])
    assert chain_id([A, B]) != chain_id([B, A])


def test_manifests_come_back_as_they_were_made():
    manifest = image_manifest(b"{}", [LAYER])
    assert decode_manifest(manifest.encode()) == manifest
    assert manifest.config == descriptor_of(b"{}", media_types.OCI_CONFIG)
    assert list(json.loads(manifest.encode())) == ["schemaVersion", "mediaType", "config", "layers"]
    docker = image_manifest(b"{}", [], docker=True)
    assert docker.media_type == media_types.DOCKER_MANIFEST
    assert docker.config.media_type == media_types.DOCKER_CONFIG
    assert decode_manifest(docker.encode()).layers == ()
    with pytest.raises(InvalidDocument, match="no layers"):
        decode_manifest(docker.encode(), strict=True)


def test_equal_documents_give_equal_bytes():
    one = Manifest(schema_version=2, config=LAYER, layers=(), annotations={"b": "1", "a": "2"})
    two = Manifest(schema_version=2, config=LAYER, layers=(), annotations={"a": "2", "b": "1"})
    assert one.encode() == two.encode()


def test_a_manifest_or_index_is_told_by_type_or_fields_and_both_at_once_is_refused():
    manifest, index = image_manifest(b"{}", [LAYER]), image_index([LAYER])
    assert decode_manifest_or_index(manifest.encode()) == manifest
    assert decode_manifest_or_index(index.encode()) == index
    bare = Index(schema_version=2, manifests=(LAYER,))
    assert decode_manifest_or_index(bare.encode()) == bare
    both = {**json.loads(manifest.encode()), "manifests": []}
    with pytest.raises(InvalidDocument, match="both"):
        decode_manifest_or_index(json.dumps(both).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1}, {"mediaType": media_types.OCI_INDEX}, {"config": None}, {"layers": None}, {"layers": {}},
        {"config": {"mediaType": "x", "digest": A, "size": 1}}, {"artifactType": "x"},
    ],
)  # fmt: skip
def test_broken_manifests_are_refused(change):
    document = {**json.loads(image_manifest(b"{}", [LAYER]).encode()), **change}
    with pytest.raises(InvalidDocument):
        decode_manifest(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"1"])
def test_what_is_no_document_is_refused(data):
    for decode in (decode_manifest, decode_index, decode_manifest_or_index, decode_layout, decode_config):
        with pytest.raises(InvalidDocument):
            decode(data)
    if data != b"[]":
        with pytest.raises(InvalidDocument):
            decode_archive_manifest(data)


def test_oversized_documents_are_refused_unread():
    with pytest.raises(InvalidDocument, match="too many"):
        decode_config(b" " * (MAX_DOCUMENT + 1))


def test_layouts_have_version_one():
    assert LAYOUT_FILE == b'{"imageLayoutVersion":"1.0.0"}'
    assert decode_layout(LAYOUT_FILE).image_layout_version == "1.0.0"
    with pytest.raises(InvalidDocument, match="not supported"):
        decode_layout(b'{"imageLayoutVersion":"2.0.0"}')


def test_archives_list_their_images():
    images = [ArchiveImage(config="c.json", repo_tags=None, layers=("a/layer.tar",))]
    data = encode_archive_manifest(images)
    assert json.loads(data) == [{"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar"]}]
    assert decode_archive_manifest(data) == images


def test_the_manifest_of_the_machines_platform_is_chosen():
    def of(digest, architecture, variant=""):
        return Descriptor(
            media_types.OCI_MANIFEST, digest, 1, platform=Platform(architecture, "linux", variant=variant)
        )

    v6, v7, amd = of(A, "arm", "v6"), of(B, "arm", "v7"), of(A, "amd64")
    index = image_index([v6, v7, amd])
    assert index.for_platform(Platform("arm", "linux", variant="v7")) == v7
    assert index.for_platform(Platform("arm", "linux", variant="v6")) == v6
    assert index.for_platform(Platform("arm", "linux", variant="v5")) is None
    assert index.for_platform(Platform("amd64", "linux")) == amd
    assert index.for_platform(Platform("s390x", "linux")) is None
    assert image_index([LAYER]).for_platform(Platform("s390x", "linux")) == LAYER


CONFIG = ImageConfig(
    architecture="amd64",
    os="linux",
    config=RunConfig(
        cmd=("sh",),
        entrypoint=(),
        env=("PATH=/bin",),
        exposed_ports={"80/tcp": Nothing()},
        healthcheck=Healthcheck(test=("CMD", "true"), interval=10**9),
        on_build=("RUN x",),
        shell=("/bin/bash", "-c"),
        labels={"a": "b"},
        stop_timeout=3,
    ),
    created="2024-01-02T03:04:05Z",
    docker_version="28",
    history=(History(created_by="ADD", created="2024-01-02T03:04:05Z"), History(created_by="CMD", empty_layer=True)),
    rootfs=RootFS(diff_ids=(A,)),
)


def test_configs_keep_dockers_own_fields():
    encoded = json.loads(CONFIG.encode())
    assert encoded["config"] == {
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin"],
        "Cmd": ["sh"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9},
        "Entrypoint": [],
        "OnBuild": ["RUN x"],
        "Labels": {"a": "b"},
        "StopTimeout": 3,
        "Shell": ["/bin/bash", "-c"],
    }
    assert list(encoded) == sorted(encoded)
    assert decode_config(CONFIG.encode(), strict=True) == CONFIG
    assert CONFIG.image_id() == sha256_digest(CONFIG.encode())
    assert CONFIG.diff_ids == CONFIG.chain_ids == (A,)
    assert str(CONFIG.platform) == "linux/amd64"


def test_nulls_of_docker_are_read():
    data = (
        b'{"os":"linux","architecture":"amd64","config":{"Cmd":null,"Env":null,"Volumes":null,"Labels":null,'
        b'"OnBuild":null,"Entrypoint":null},"history":null,"rootfs":{"type":"layers","diff_ids":null}}'
    )
    config = decode_config(data)
    assert config.diff_ids == ()
    assert config.config == RunConfig()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "no RootFS key"),
        ({"rootfs": {"type": "tar", "diff_ids": []}}, "rootfs type 'tar'"),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:../x"]}}, "digest"),
        ({"rootfs": {"type": "layers", "diff_ids": []}, "config": {"Cmd": "sh"}}, "Cmd"),
    ],
)
def test_configs_that_make_no_image_are_refused(document, words):
    with pytest.raises(InvalidDocument, match=words):
        decode_config(json.dumps(document).encode())


@pytest.mark.parametrize("created", ["yesterday", "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00"])
def test_strict_reading_checks_times(created):
    document = json.loads(CONFIG.encode()) | {"created": created}
    decode_config(json.dumps(document).encode())
    with pytest.raises(InvalidDocument, match="RFC 3339"):
        decode_config(json.dumps(document).encode(), strict=True)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_any_json_is_a_document_or_an_error(value):
    data = json.dumps(value).encode()
    for decode in (decode_manifest_or_index, decode_config, decode_layout):
        with pytest.raises(InvalidDocument):
            decode(data)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", "linux/amd64"), ("linux/x86_64", "linux/amd64"), ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"), ("linux/armhf", "linux/arm/v7"), ("Linux/ARM/6", "linux/arm/v6"),
        ("aarch64", "linux/arm64"), ("windows/amd64", "windows/amd64"), ("linux/i686", "linux/386"),
    ],
)  # fmt: skip
def test_platforms_are_normalized(text, platform):
    assert str(parse_platform(text)) == platform


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "nothing", "li nux/amd64"])
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidDocument, match="invalid argument"):
        parse_platform(text)


def test_this_machine_runs_its_own_platform():
    host = host_platform()
    assert host.runs(host)
    assert parse_platform("linux") == host
    assert normalize_architecture("AMD64", "v1") == ("amd64", "")
    assert not Platform("amd64", "linux").runs(Platform("amd64", "linux", variant="v3"))
    assert not host.runs(Platform(host.architecture, "windows"))


def test_layer_types_follow_the_compression():
    assert media_types.layer_type(None) == media_types.OCI_LAYER
    assert media_types.layer_type("gzip", docker=True) == media_types.DOCKER_LAYER_GZIP
    assert {
        media_types.layer_type(c, docker=d) for c in (None, "gzip", "zstd") for d in (0, 1)
    } <= media_types.LAYER_TYPES


@given(st.lists(st.sampled_from([b"", b"a", b"x" * 70_000, b"y" * (1 << 20)]), max_size=12))
def test_a_stream_hashed_beside_the_work_has_the_same_digest(chunks):
    stream = StreamDigest()
    for count, chunk in enumerate(chunks):
        stream.update(chunk)
        if count == 5:
            assert stream.digest() == sha256_digest(chunks[:6])
    assert stream.digest() == sha256_digest(chunks)
