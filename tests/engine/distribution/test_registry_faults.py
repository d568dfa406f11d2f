"""Registries that break off, lie, stall or refuse: the sentence is clear, and nothing is left behind."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.distribution import LOGIN, RegistryWorld, lines
from support.registry import FakeRegistry, fake_registry

from pydockmagic.engine.errors import EngineError, NotFound
from pydockmagic.oci.reference import parse_docker

BIG = {"a": bytes(range(256)) * 2000}


def layer_of(registry: FakeRegistry, name: str = "app", tag: str = "1", at: int = -1) -> str:
    return registry.layer_digests(name, tag)[at]


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def cut(share: float):
    """Answer with the beginning of a body, then close."""

    def act(handler) -> bool:
        data = handler.registry.blobs[handler.path.rpartition("/")[2]]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: int(len(data) * share)])
        handler.wfile.flush()
        handler.close_connection = True
        return True

    return act


def status(number: int):
    return lambda handler: handler.answer(number, b"", Retry_After="1")


def test_a_layer_with_another_digest_is_refused(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"base": "1"}, BIG)
    digest = layer_of(registry)
    data = registry.blobs[digest]
    registry.blobs[digest] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(EngineError, match=f"^filesystem layer verification failed for digest {digest}$"):
        world.pull("app:1")
    assert len(registry.asked("GET", digest)) == 1
    assert world.images.list() == []
    assert world.debris() == []


def test_a_broken_transfer_goes_on_where_it_stopped(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", BIG)
    digest = layer_of(registry)
    registry.fault("GET", digest, cut(0.5))
    shown = lines(world.pull("app:1"))
    first, second = registry.asked("GET", digest)
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={len(registry.blobs[digest]) // 2}-"
    assert f"{short(digest)}: Retrying in 5 seconds" in shown
    assert f"{short(digest)}: Retrying in 1 second" in shown
    assert world.listed() == [world.name("app:1")]


def test_a_registry_that_cannot_go_on_in_the_middle_begins_anew(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", BIG)
    digest = layer_of(registry)
    registry.fault("GET", digest, cut(0.3))
    registry.fault(
        "GET", digest, lambda handler: handler.answer(200, registry.blobs[digest], "application/octet-stream")
    )
    world.pull("app:1")
    assert world.listed() == [world.name("app:1")]


@pytest.mark.parametrize("number", [429, 500, 503])
def test_a_busy_registry_is_asked_again(world: RegistryWorld, registry: FakeRegistry, number: int) -> None:
    registry.image("app:1", BIG)
    registry.fault("GET", layer_of(registry), status(number), times=4)
    world.pull("app:1")
    assert world.listed() == [world.name("app:1")]


def test_a_registry_that_stays_broken_is_given_up(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"base": "1"}, BIG)
    registry.fault("GET", layer_of(registry), status(503), times=100)
    with pytest.raises(EngineError, match=r"^received unexpected HTTP status: 503 Service Unavailable$"):
        world.pull("app:1")
    assert len(registry.asked("GET", layer_of(registry))) == 5
    assert world.debris() == []


def test_a_blob_that_is_gone_is_not_asked_for_again(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", BIG)
    registry.repositories["app"].remove(layer_of(registry))
    with pytest.raises(EngineError, match=r"^blob unknown: blob unknown to registry$"):
        world.pull("app:1")
    assert len(registry.asked("GET", layer_of(registry))) == 1
    assert world.debris() == []


def test_more_bytes_than_the_manifest_names_are_refused(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", BIG)
    registry.blobs[layer_of(registry)] += b"more"
    with pytest.raises(EngineError, match="the registry sent more than the"):
        world.pull("app:1")
    assert world.debris() == []


def test_a_manifest_of_another_digest_is_refused(world: RegistryWorld, registry: FakeRegistry) -> None:
    digest = registry.image("app:1", {"a": "1"})
    registry.image("app:2", {"a": "2"})
    registry.manifests["app", digest] = registry.manifests["app", "2"]
    with pytest.raises(EngineError, match=f"^manifest verification failed for digest {digest}$"):
        world.pull(f"app@{digest}")


def test_a_huge_manifest_is_not_read(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.fault("HEAD", "/manifests/", lambda handler: handler.refuse(404, "X", ""))
    registry.fault("GET", "/manifests/", lambda handler: handler.answer(200, b" " * (5 << 20)))
    with pytest.raises(EngineError, match="is too long: more than 4194304 bytes"):
        world.pull("app:1")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"nonsense", "error parsing HTTP 418 response body: invalid character 'n' looking for beginning of value"),
        (b"", "error parsing HTTP 418 response body: unexpected end of JSON input"),
        (b"{}", "error parsing HTTP 418 response body: no error details found in HTTP response body"),
        (b'{"errors": [{"code": "TEA_POT", "message": "short and stout"}]}', "tea pot: short and stout"),
        (b'{"errors": [{"code": "A"}, {"code": "B", "message": "c"}]}', "errors:\na\nb: c\n"),
        (b'{"errors": 7}', "no error details found"),
    ],
)
def test_refusals_are_told_in_dockers_words(
    world: RegistryWorld, registry: FakeRegistry, body: bytes, sentence: str
) -> None:
    registry.fault("GET", "/manifests/", lambda handler: handler.answer(418, body))
    with pytest.raises(EngineError) as caught:
        world.pull("app:1")
    assert sentence in str(caught.value)


def test_a_blob_may_come_from_elsewhere_and_the_password_stays_here(
    world: RegistryWorld, registry: FakeRegistry
) -> None:
    registry.image("app:1", BIG)
    registry.auth = "basic"
    digest = layer_of(registry)
    with fake_registry() as store:
        store.blob("app", registry.blobs[digest])
        address = f"http://localhost:{store.host.rpartition(':')[2]}/v2/app/blobs/{digest}"
        registry.fault("GET", digest, lambda handler: handler.answer(307, Location=address))
        world.pull("app:1", auth=LOGIN)
        assert "authorization" in registry.asked("GET", digest)[0].headers
        assert "authorization" not in store.asked("GET", digest)[0].headers
    assert world.listed() == [world.name("app:1")]


def test_a_client_that_leaves_takes_its_pull_with_it(world: RegistryWorld, registry: FakeRegistry) -> None:
    registry.image("app:1", {"base": "1"}, BIG)
    digest = layer_of(registry)
    stalled, go_on = threading.Event(), threading.Event()

    def stall(handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(registry.blobs[digest])))
        handler.end_headers()
        handler.wfile.write(registry.blobs[digest][:1000])
        stalled.set()
        go_on.wait(30)
        handler.close_connection = True
        return True

    registry.fault("GET", digest, stall)

    async def leave() -> None:
        messages = world.distribution.pull(parse_docker(world.name("app:1")))
        async for message in messages:
            if message["status"] == "Pull complete":
                break
        await asyncio.to_thread(stalled.wait, 30)
        assert list((world.root / "incoming").iterdir()) != []
        await messages.aclose()

    world.run(leave())
    go_on.set()
    assert world.debris() == []
    assert world.images.list() == []
    world.pull("app:1")
    assert world.listed() == [world.name("app:1")]


def test_nobody_at_the_address_is_told_as_docker_does(world: RegistryWorld, registry: FakeRegistry) -> None:
    def pulled(name: str) -> None:
        world.start(lambda: world.distribution.pull(parse_docker(name)))

    with pytest.raises(EngineError) as caught:
        pulled("127.0.0.1:9/x/y")
    assert str(caught.value) == 'Get "http://127.0.0.1:9/v2/": dial tcp 127.0.0.1:9: connect: connection refused'
    assert not isinstance(caught.value, NotFound)
    with pytest.raises(EngineError, match=r'^Get "https://nosuch\.invalid/v2/": dial tcp: lookup nosuch\.invalid: no'):
        pulled("nosuch.invalid/x")


def test_a_hub_that_cannot_be_reached_is_not_asked_again_at_once(world: RegistryWorld, registry: FakeRegistry) -> None:
    def hang_up(handler) -> bool:
        handler.close_connection = True
        return True

    world.choose(hub=f"http://{registry.host}", index=f"http://{registry.host}")
    registry.fault("GET", "/v2/", hang_up)
    shown = lines(world.start(lambda: world.images.pull("hello-world")))
    assert any(line.startswith("Starter image, no registry answered: ") for line in shown)
    assert len(registry.seen) == 1
    with pytest.raises(EngineError, match=r'/v2/": EOF. Without a registry there are busybox, hello-world, python'):
        world.start(lambda: world.images.pull("nosuch"))
    assert len(registry.seen) == 1


def test_a_mirror_is_asked_first_and_is_not_shown_the_password(world: RegistryWorld, registry: FakeRegistry) -> None:
    with fake_registry() as mirror:
        hub = f"http://{registry.host}"
        world.choose(hub=hub, index=hub, mirrors=(f"http://{mirror.host}", "http://127.0.0.1:9"))
        mirror.image("library/one:latest", {"a": "mirror"})
        registry.image("library/two:latest", {"a": "hub"})
        registry.auth = "basic"
        for name in ("one", "two"):
            world.start(lambda name=name: world.images.pull(name, auth=LOGIN))
        assert sorted(world.listed()) == ["one:latest", "two:latest"]
        assert all("authorization" not in seen.headers for seen in mirror.seen)
        assert registry.asked("GET", "/one/") == []


def test_a_full_disk_is_told_and_leaves_nothing(
    world: RegistryWorld, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydockmagic.engine.distribution import download

    registry.image("app:1", BIG)

    def full(_self, _data: bytes) -> None:
        raise OSError(28, "No space left on device", "/data")

    monkeypatch.setattr(download._Arriving, "_write", full)
    with pytest.raises(EngineError, match=r"^write /data: no space left on device$"):
        world.pull("app:1")
    assert world.debris() == []
