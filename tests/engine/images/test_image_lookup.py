from __future__ import annotations

import pytest
from support.images import ImageWorld

from pydockmagic.engine.errors import InvalidParameter, NoSuchImage


def test_a_name_an_id_and_its_beginning_find_the_same_image(world: ImageWorld) -> None:
    image = world.image({"a": "1"}, name="me/app:1")
    digits = image.id.removeprefix("sha256:")
    for name in ("me/app:1", "docker.io/me/app:1", image.id, digits, digits[:12], digits[:4], f"sha256:{digits[:10]}"):
        assert world.images.get(name).id == image.id


def test_latest_is_only_the_default_tag(world: ImageWorld) -> None:
    world.image({"a": "1"}, name="app:1")
    assert world.images.find("app") is None
    newer = world.image({"a": "2"}, name="app")
    assert world.images.get("app:latest").id == newer.id


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("nosuch", "nosuch:latest"),
        ("busybox:none", "busybox:none"),
        ("docker.io/library/x", "x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("x@sha256:" + "0" * 64, "x@sha256:" + "0" * 64),
        ("sha256:" + "0" * 64, "sha256:" + "0" * 64),
        ("abc123", "abc123:latest"),
    ],
)
def test_a_missing_image_is_named_as_docker_completes_it(world: ImageWorld, name: str, shown: str) -> None:
    with pytest.raises(NoSuchImage, match=f"^No such image: {shown}$"):
        world.images.get(name)


def test_what_cannot_be_a_name_is_the_requests_fault(world: ImageWorld) -> None:
    with pytest.raises(InvalidParameter, match="must be lowercase"):
        world.images.get("Busybox")
    with pytest.raises(InvalidParameter, match="invalid reference format"):
        world.images.find("x:!")


def test_an_ambiguous_beginning_is_an_error_that_names_it(world: ImageWorld) -> None:
    seen: dict[str, str] = {}
    for number in range(17):  # two of them must begin alike
        image = world.image(config={"Labels": {"n": str(number)}})
        digit = image.id.removeprefix("sha256:")[0]
        if digit in seen:
            break
        seen[digit] = image.id
    with pytest.raises(InvalidParameter, match=f"^Multiple IDs found with provided prefix: {digit}$"):
        world.images.get(digit)


def test_a_name_comes_before_the_beginning_of_an_id(world: ImageWorld) -> None:
    image = world.image({"a": "1"})
    prefix = image.id.removeprefix("sha256:")[:6]
    other = world.image({"b": "1"}, name=prefix)
    assert world.images.get(prefix).id == other.id


def test_an_image_is_found_by_the_digest_it_was_pulled_by(world: ImageWorld) -> None:
    image = world.image({"a": "1"})
    name = "app@sha256:" + "1" * 64
    from pydockmagic.oci.reference import parse_normalized

    world.run(world.images._store.point(image.id, [parse_normalized(name)]))
    assert world.images.get(name).id == image.id
    assert world.images.get("app:9@sha256:" + "1" * 64).id == image.id
    assert world.images.inspect(name)["RepoDigests"] == [name]
    assert world.images.names(image.id) == []
