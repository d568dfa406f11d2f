"""Pulling from a registry that does what it should."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from support.distribution import LOGIN, RegistryWorld, lines
from support.images import tar_of
from support.registry import FakeRegistry

from pydockmagic.engine.errors import EngineError, InvalidParameter, NotFound
from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.platform import host_platform
from pydockmagic.oci.reference import parse_docker


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


@pytest.mark.parametrize("oci", [False, True])
def test_a_pull_tells_what_docker_tells(world: RegistryWorld, registry: FakeRegistry, oci: bool) -> None:
    digest = registry.image("lab/app:1", {"a": "1"}, {"b": "2"}, oci=oci)
    one, two = map(short, registry.layer_digests("lab/app", "1"))
    shown = lines(world.pull("lab/app:1"))
    assert shown[:3] == ["1: Pulling from lab/app", f"{one}: Pulling fs layer", f"{two}: Pulling fs layer"]
    for layer in (one, two):
        mine = [line.partition(": ")[2] for line in shown if line.startswith(layer)]
        assert mine == ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"]
    assert shown.index(f"{one}: Pull complete") < shown.index(f"{two}: Pull complete")
    name = world.name("lab/app")
    assert shown[-2:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {name}:1"]
    found = world.images.inspect(f"{name}:1")
    assert found["RepoDigests"] == [f"{name}@{digest}"]
    assert found["Id"] == world.images.inspect(f"{name}@{digest}")["Id"]
    assert world.actions() == [("pull", name)]
    assert world.debris() == []


def test_bytes_are_counted_on_the_way(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:latest", {"a": b"x" * 100_000})
    (digest,) = registry.layer_digests("app", "latest")
    total = len(registry.blobs[digest])
    counted = [message for message in world.pull("app") if "progress" in message]
    for status in ("Downloading", "Extracting"):
        last = [message for message in counted if message["status"] == status][-1]
        assert last["progressDetail"] == {"current": total, "total": total}
        assert last["progress"].startswith("[" + "=" * 50 + ">] ")


def test_what_is_here_is_not_brought_again(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"})
    registry.image("app:2", {"a": "1"}, {"b": "2"})
    world.pull("app:1")
    again = lines(world.pull("app:1"))
    assert again[-1] == f"Status: Image is up to date for {world.name('app')}:1"
    assert "Pulling fs layer" not in " ".join(again)
    base, new = map(short, registry.layer_digests("app", "2"))
    shown = lines(world.pull("app:2"))
    assert shown[1:3] == [f"{base}: Already exists", f"{new}: Pulling fs layer"]
    assert len(registry.asked("GET", registry.layer_digests("app", "1")[0])) == 1


def test_the_same_image_by_another_name_brings_no_layer(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("one:1", {"a": "1"})
    registry.image("two:1", {"a": "1"})
    world.pull("one:1")
    shown = lines(world.pull("two:1"))
    assert len(shown) == 3
    assert shown[-1] == f"Status: Downloaded newer image for {world.name('two')}:1"


def test_a_pull_by_digest_gives_a_name_with_that_digest_alone(world: RegistryWorld, registry: FakeRegistry) -> None:
    digest = registry.image("app:1", {"a": "1"})
    shown = lines(world.pull(f"app@{digest}"))
    assert shown[0] == f"{digest}: Pulling from app"
    assert shown[-1] == f"Status: Downloaded newer image for {world.name('app')}@{digest}"
    (row,) = world.images.list()
    assert (row["RepoTags"], row["RepoDigests"]) == ([], [f"{world.name('app')}@{digest}"])


def test_all_tags_come_one_after_the_other(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"})
    registry.image("app:2", {"a": "1"}, {"b": "2"})
    shown = lines(world.pull("app", all_tags=True))
    assert [line for line in shown if "Pulling from" in line] == ["1: Pulling from app", "2: Pulling from app"]
    assert shown[-1] == f"Status: Downloaded newer image for {world.name('app')}"
    assert sum(line.startswith("Digest: ") for line in shown) == 2
    assert sorted(world.listed()) == [f"{world.name('app')}:1", f"{world.name('app')}:2"]


@pytest.mark.parametrize("oci", [False, True])
def test_of_many_platforms_this_machines_is_taken(world: RegistryWorld, registry: FakeRegistry, oci: bool) -> None:
    host = host_platform().architecture
    mine = registry.image("app:mine", {"a": "mine"}, oci=oci, tag=False)
    other = registry.image("app:other", {"a": "other"}, oci=oci, architecture="s390x", tag=False)
    digest = registry.index("app:1", {"s390x": other, host: mine}, oci=oci)
    shown = lines(world.pull("app:1"))
    assert f"Digest: {digest}" in shown
    assert world.images.inspect(world.name("app:1"))["Architecture"] == host
    assert world.images.inspect(world.name("app:1"))["RepoDigests"] == [f"{world.name('app')}@{digest}"]
    world.pull("app:1", "linux/s390x")
    assert world.images.inspect(world.name("app:1"))["Architecture"] == "s390x"
    with pytest.raises(NotFound, match="no matching manifest for linux/riscv64 in the manifest list entries"):
        world.pull("app:1", "linux/riscv64")
    assert world.debris() == []


def test_a_single_image_of_another_platform_is_refused_where_one_was_asked_for(
    world: RegistryWorld, registry: FakeRegistry
) -> None:
    registry.image("app:1", {"a": "1"}, architecture="s390x")
    world.pull("app:1")
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/arm64\)"):
        world.pull("app:1", "linux/arm64")
    with pytest.raises(InvalidParameter, match="unknown operating system or architecture"):
        world.pull("app:1", "nonsense")


def test_the_first_kind_of_manifest_is_refused(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.manifest("old", "1", {"schemaVersion": 1, "name": "old", "tag": "1"})
    with pytest.raises(EngineError, match="Docker Image manifest version 2, schema 1 support is disabled by default"):
        world.pull("old:1")


def test_what_is_no_image_is_refused(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("chart:1", {"a": "1"}, oci=True)
    kind, data = registry.manifests["chart", "1"]
    data = data.replace(b"application/vnd.oci.image.config.v1+json", b"application/vnd.cncf.helm.config.v1+json")
    registry.manifests["chart", "1"] = registry.manifests["chart", sha256_digest(data)] = (kind, data)
    with pytest.raises(EngineError, match=r'Encountered remote "application/vnd.cncf.helm.config.v1\+json"'):
        world.pull("chart:1")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nosuch", "manifest for HOST/nosuch:latest not found: manifest unknown: manifest unknown"),
        ("app:none", "manifest for HOST/app:none not found: manifest unknown: manifest unknown"),
    ],
)
def test_what_is_not_there_is_told_before_anything_else(
    world: RegistryWorld, registry: FakeRegistry, name: str, sentence: str
) -> None:
    registry.image("app:1", {"a": "1"})
    with pytest.raises(NotFound, match=f"^{sentence.replace('HOST', registry.host)}$"):
        world.pull(name)


def test_two_pulls_of_one_image_bring_each_layer_once(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("one:1", {"a": b"1" * 50_000}, {"b": "2"})
    registry.image("two:1", {"a": b"1" * 50_000}, {"b": "2"}, {"c": "3"})

    async def both() -> None:
        async def one(name: str) -> None:
            async for _ in world.distribution.pull(parse_docker(world.name(name))):
                pass

        await asyncio.gather(one("one:1"), one("two:1"))

    world.run(both())
    assert sorted(world.listed()) == [world.name("one:1"), world.name("two:1")]
    for digest in registry.layer_digests("two", "1"):
        assert len(registry.asked("GET", digest)) == 1
    assert world.debris() == []


def test_layers_come_three_at_a_time(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", *({str(at): "x" * at} for at in range(6)))
    shown = lines(world.pull("app:1"))
    assert sum("Waiting" in line for line in shown) == 3
    assert sum("Pull complete" in line for line in shown) == 6


def test_an_image_without_layers_comes_too(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("empty:1")
    world.pull("empty:1")
    assert world.listed() == [world.name("empty:1")]


def test_a_pulled_image_outlives_the_engine(world: RegistryWorld, registry: FakeRegistry) -> None:
    digest = registry.image("app:1", {"a": "1"})
    world.pull("app:1")
    world.restart()
    assert world.debris() == []
    assert world.images.inspect(world.name("app:1"))["RepoDigests"] == [f"{world.name('app')}@{digest}"]
    world.run(world.images.remove(world.name("app:1")))
    assert world.debris() == []
    assert world.images.list() == []


def test_a_name_is_looked_for_here_then_in_the_registry_then_among_the_starters(
    world: RegistryWorld, registry: FakeRegistry
) -> None:
    world.choose(hub=f"http://{registry.host}", index=f"http://{registry.host}")
    digest = registry.image("library/busybox:latest", {"a": "from the registry"})
    shown = lines(world.start(lambda: world.images.pull("busybox")))
    assert shown[0] == "latest: Pulling from library/busybox"
    assert shown[-2:] == [f"Digest: {digest}", "Status: Downloaded newer image for busybox:latest"]
    assert not any("Starter" in line for line in shown)
    shown = lines(world.start(lambda: world.images.pull("hello-world")))
    assert any(line.startswith("Starter image, the registry has none of this name: ") for line in shown)
    with pytest.raises(NotFound, match=r"^manifest for nosuch:latest not found: manifest unknown: manifest unknown$"):
        world.start(lambda: world.images.pull("nosuch"))
    asked = len(registry.seen)
    assert world.run(world.images.ensure("busybox")).origin == "pull"
    assert len(registry.seen) == asked


def test_what_a_registry_has_is_described_without_pulling(world: RegistryWorld, registry: FakeRegistry) -> None:
    host = host_platform().architecture
    one = registry.image("app:1", {"a": "1"})
    found = world.run(world.distribution.describe(world.name("app:1"), None))
    kind, data = registry.manifests["app", "1"]
    assert found["Descriptor"] == {"mediaType": kind, "digest": one, "size": len(data)}
    assert found["Platforms"] == [{"architecture": host, "os": "linux"}]
    registry.index("app:many", {host: one, "s390x": one})
    found = world.run(world.distribution.describe(world.name("app:many"), None))
    assert [row["architecture"] for row in found["Platforms"]] == [host, "s390x"]


def test_a_layer_that_is_not_what_the_config_says_is_refused(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"}, {"b": "2"}, diff_ids=[sha256_digest(tar_of({"a": "1"})), "sha256:" + "0" * 64])
    with pytest.raises(InvalidParameter, match="layer is damaged: its content has sha256:"):
        world.pull("app:1")
    assert world.images.list() == []
    assert world.debris() == []


def test_gzip_of_two_members_is_one_layer(world: RegistryWorld, registry: FakeRegistry) -> None:
    tar = tar_of({"a": b"1" * 5000})
    registry.image("app:1", {"a": b"1" * 5000})
    data = gzip.compress(tar[:2048], mtime=0) + gzip.compress(tar[2048:], mtime=0)
    kind, manifest = registry.manifests["app", "1"]
    old = registry.layer_digests("app", "1")[0]
    size = len(registry.blobs[old])
    manifest = manifest.replace(old.encode(), registry.blob("app", data).encode())
    manifest = manifest.replace(f'"size": {size}'.encode(), f'"size": {len(data)}'.encode())
    registry.manifests["app", "1"] = registry.manifests["app", sha256_digest(manifest)] = (kind, manifest)
    world.pull("app:1")
    assert world.listed() == [world.name("app:1")]


def test_credentials_are_shown_where_they_are_wanted(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"a": "1"})
    registry.auth = "basic"
    url = f"http://{registry.host}/v2/app/manifests/1"
    with pytest.raises(EngineError, match=f'^Head "{url}": no basic auth credentials$'):
        world.pull("app:1")
    world.pull("app:1", auth=LOGIN)
    assert world.listed() == [world.name("app:1")]
