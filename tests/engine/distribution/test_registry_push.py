"""Pushing."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from support.distribution import LOGIN, RegistryWorld, lines
from support.images import ImageWorld, tar_of
from support.registry import FakeRegistry

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.media_types import DOCKER_LAYER_GZIP, DOCKER_MANIFEST


def shorts(world: ImageWorld, name: str) -> list[str]:
    """Give the short diff ids of an image, topmost first: the order in which they are told."""
    return [diff[7:19] for diff in reversed(world.images.inspect(name)["RootFS"]["Layers"])]


def test_a_push_tells_what_docker_tells(world: RegistryWorld, registry: FakeRegistry) -> None:
    name = world.name("lab/app")
    world.image({"a": "1"}, {"b": "2"}, name=f"{name}:latest")
    top, bottom = shorts(world, name)
    messages = world.push("lab/app")
    shown = lines(messages)
    assert shown[:3] == [f"The push refers to repository [{name}]", f"{top}: Preparing", f"{bottom}: Preparing"]
    assert sorted(shown[3:5]) == sorted([f"{top}: Pushed", f"{bottom}: Pushed"])
    kind, data = registry.manifests["lab/app", "latest"]
    digest = sha256_digest(data)
    assert shown[5:] == [f"latest: digest: {digest} size: {len(data)}"]
    assert messages[-1] == {"progressDetail": {}, "aux": {"Tag": "latest", "Digest": digest, "Size": len(data)}}
    assert world.images.inspect(name)["RepoDigests"] == [f"{name}@{digest}"]
    assert world.actions()[-1] == ("push", name)
    document = json.loads(data)
    assert kind == document["mediaType"] == DOCKER_MANIFEST
    assert {layer["mediaType"] for layer in document["layers"]} == {DOCKER_LAYER_GZIP}
    assert data.startswith(b'{\n   "schemaVersion": 2,\n   "mediaType"'), "as dockerd writes it: its size is shown"
    for blob in (document["config"], *document["layers"]):
        assert len(registry.blobs[blob["digest"]]) == blob["size"]
    assert world.debris() == []


def test_the_same_image_has_the_same_digest_on_each_push(world: RegistryWorld, registry: FakeRegistry) -> None:
    name = world.name("app")
    world.image({"a": "1"}, {"b": "2"}, name=f"{name}:latest")
    first = lines(world.push("app"))[-1]
    again = lines(world.push("app"))
    assert again[-1] == first
    assert sum(line.endswith("Layer already exists") for line in again) == 2
    world.restart()
    assert lines(world.push("app"))[-1] == first
    registry.blobs.clear()
    registry.repositories.clear()
    assert lines(world.push("app"))[-1] == first
    assert len(registry.blobs) == 3


def test_what_came_by_a_manifest_leaves_by_it(world: RegistryWorld, registry: FakeRegistry) -> None:
    digest = registry.image("app:1", {"a": "1"}, {"b": "2"}, oci=True)
    world.pull("app:1")
    image = world.images.inspect(world.name("app:1"))["Id"]
    world.run(world.images.tag(image, world.name("copy:2")))
    shown = lines(world.push("copy", "2"))
    assert shown[-1].startswith(f"2: digest: {digest} size: ")
    assert sum(line.endswith(": Mounted from app") for line in shown) == 2
    assert registry.manifests["copy", "2"] == registry.manifests["app", "1"]


def test_an_image_of_many_platforms_leaves_by_its_own_manifest(world: RegistryWorld, registry: FakeRegistry) -> None:
    own = registry.image("app:1", {"a": "1"})
    registry.index("app:1", {"amd64": own, "arm64": own})
    world.pull("app:1")
    image = world.images.inspect(world.name("app:1"))["Id"]
    world.run(world.images.tag(image, world.name("copy:1")))
    assert lines(world.push("copy", "1"))[-1].startswith(f"1: digest: {own} ")


def test_a_layer_that_the_other_repository_lost_is_sent(world: RegistryWorld, registry: FakeRegistry) -> None:
    name = world.name("one:1")
    image = world.image({"a": "1"}, name=name)
    world.push("one", "1")
    registry.repositories["one"].clear()
    world.run(world.images.tag(image.id, world.name("two:1")))
    shown = lines(world.push("two", "1"))
    assert any(line.endswith(": Pushed") for line in shown)
    assert registry.uploads == {}


def test_all_tags_of_a_repository_are_pushed(world: RegistryWorld, registry: FakeRegistry) -> None:
    image = world.image({"a": "1"}, name=world.name("app:1"))
    world.run(world.images.tag(image.id, world.name("app:2")))
    shown = lines(world.push("app", ""))
    assert shown[0] == f"The push refers to repository [{world.name('app')}]"
    assert [line.partition(":")[0] for line in shown if " size: " in line] == ["1", "2"]


def test_what_is_not_here_is_told_in_the_stream(world: RegistryWorld) -> None:
    world.image({"a": "1"}, name=world.name("app:1"))
    with pytest.raises(EngineError, match=f"^An image does not exist locally with the tag: {world.name('nosuch')}$"):
        world.push("nosuch")
    with pytest.raises(EngineError, match=f"^tag does not exist: {world.name('app')}:2$"):
        world.push("app", "2")
    with pytest.raises(InvalidParameter, match="invalid tag format"):
        world.push("app", "a b")


def test_a_registry_that_wants_a_password_is_told_of_shortly(world: RegistryWorld, registry: FakeRegistry) -> None:
    world.image({"a": "1"}, name=world.name("app:latest"))
    registry.auth = "basic"
    with pytest.raises(EngineError, match=r"^no basic auth credentials$"):
        world.push("app")
    world.push("app", auth=LOGIN)
    assert ("app", "latest") in registry.manifests


def test_a_token_for_a_push_covers_both_directions_and_the_source_of_a_mount(
    world: RegistryWorld, registry: FakeRegistry
) -> None:
    image = world.image({"a": "1"}, name=world.name("one:1"))
    registry.auth = "token"
    world.push("one", "1", auth=LOGIN)
    assert "scope=repository%3Aone%3Apull%2Cpush" in registry.asked("GET", "/token")[0].path
    world.run(world.images.tag(image.id, world.name("two:1")))
    world.push("two", "1", auth=LOGIN)
    last = registry.asked("GET", "/token")[-1].path
    assert "repository%3Aone%3Apull" in last
    assert "repository%3Atwo%3Apull%2Cpush" in last


def test_a_broken_upload_is_given_up_and_begun_anew(world: RegistryWorld, registry: FakeRegistry) -> None:
    world.image({"a": "1" * 5000}, name=world.name("app:latest"))
    registry.fault("PATCH", "/uploads/", lambda handler: handler.answer(503))
    shown = lines(world.push("app"))
    assert any("Retrying in 5 seconds" in line for line in shown)
    assert len(registry.abandoned) == 1
    assert registry.uploads == {}
    assert ("app", "latest") in registry.manifests


def test_a_refused_upload_is_not_tried_again(world: RegistryWorld, registry: FakeRegistry) -> None:
    world.image({"a": "1"}, name=world.name("app:latest"))
    registry.fault("POST", "/uploads/", lambda h: h.refuse(403, "DENIED", "requested access to the resource is denied"))
    with pytest.raises(EngineError, match=r"^denied: requested access to the resource is denied$"):
        world.push("app")
    assert len(registry.asked("POST", "/uploads/")) == 1
    assert world.debris() == []


def test_a_client_that_leaves_leaves_no_half_upload(world: RegistryWorld, registry: FakeRegistry) -> None:
    world.image({"a": "1"}, name=world.name("app:latest"))
    stalled, go_on = threading.Event(), threading.Event()

    def stall(_handler) -> bool:
        stalled.set()
        go_on.wait(30)
        return True

    registry.fault("PATCH", "/uploads/", stall)

    async def leave() -> None:
        messages = world.distribution.push(world.name("app"), "latest")
        await anext(messages)
        await asyncio.to_thread(stalled.wait, 30)
        await messages.aclose()

    world.run(leave())
    go_on.set()
    assert len(registry.abandoned) == 1
    assert registry.uploads == {}
    assert world.debris() == []


def test_a_plain_layer_of_an_archive_is_packed_on_its_way_out(world: RegistryWorld, registry: FakeRegistry) -> None:
    world.image({"a": "1"}, name="local:1")
    data = world.save("local:1")
    world.run(world.images.remove("local:1"))
    world.load(data)
    world.run(world.images.tag(world.images.get("local:1").id, world.name("app:1")))
    world.push("app", "1")
    (digest,) = registry.layer_digests("app", "1")
    assert registry.blobs[digest].startswith(b"\x1f\x8b")


def test_an_image_that_came_back_is_the_same(world: RegistryWorld, registry: FakeRegistry) -> None:
    name = world.name("app:1")
    image = world.image({"a": "1", "d/": "", "d/l": "-> ../a"}, {"b": "2"}, name=name)
    world.push("app", "1")
    world.run(world.images.remove(name))
    world.pull("app:1")
    assert world.images.get(name).id == image.id
    assert sha256_digest(tar_of({})) not in registry.blobs
