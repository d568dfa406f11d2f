"""Images go to a real dockerd and come back: the same ids on both sides, and they run there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import dockerd
from support.images import ImageWorld, pieces

pytestmark = [pytest.mark.conformance, pytest.mark.root]

_DOCKERFILE = """\
FROM busybox
RUN rm /etc/shells && mkdir -p /x/y && echo hi > /x/y/z && ln -s z /x/y/l && ln /x/y/z /x/h && mkfifo /x/p
RUN rm -rf /x && mkdir /x && touch /x/q && chown 7:8 /x/q && chmod 4750 /x/q
CMD ["sh"]
"""


class Docker:
    """The docker command against one daemon."""

    def __init__(self, host: str) -> None:
        self._env = {**os.environ, "DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"}

    def __call__(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            ["docker", *arguments], env=self._env, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    if not (dockerd.available() and shutil.which("docker")):
        if os.environ.get("CI"):
            pytest.fail("CI has a dockerd and the docker command")
        pytest.skip("needs a dockerd and the docker command")
    with dockerd.dockerd(tmp_path_factory.mktemp("dockerd")) as host:
        yield Docker(host)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ImageWorld]:
    (tmp_path / "ours").mkdir()
    made = ImageWorld(tmp_path / "ours")
    yield made
    made.close()


def test_images_go_there_and_come_back(docker: Docker, world: ImageWorld, tmp_path: Path) -> None:
    for name in ("hello-world", "busybox"):
        world.run(world.images.ensure(name))
    archive = tmp_path / "ours.tar"
    archive.write_bytes(world.save("hello-world", "busybox"))
    assert docker("load", "-i", archive) == "Loaded image: hello-world:latest\nLoaded image: busybox:latest"
    for name in ("hello-world", "busybox"):
        assert docker("inspect", "-f", "{{.Id}} {{.Size}}", name) == " ".join(
            str(world.images.inspect(name)[key]) for key in ("Id", "Size")
        )
    assert "Hello from Docker!" in docker("run", "--rm", "--network", "none", "hello-world")

    (tmp_path / "Dockerfile").write_text(_DOCKERFILE)
    docker("build", "-q", "--network", "none", "-t", "built", tmp_path)
    docker("save", "built", "-o", tmp_path / "theirs.tar")
    world.load((tmp_path / "theirs.tar").read_bytes())
    shown = world.images.inspect("built")
    assert docker("inspect", "-f", "{{.Id}} {{.Size}}", "built") == f"{shown['Id']} {shown['Size']}"
    sizes = docker("history", "--format", "{{.Size}}", "--human=false", "built").split()
    assert [str(row["Size"]) for row in world.images.history("built")] == sizes

    docker("rmi", "built")
    archive.write_bytes(world.save("built"))
    docker("load", "-i", archive)
    assert docker("inspect", "-f", "{{.Id}}", "built") == shown["Id"]
    assert docker("run", "--rm", "--network", "none", "built", "stat", "-c", "%a %u %g", "/x/q") == "4750 7 8"


def test_an_exported_root_is_imported_with_the_same_layer(docker: Docker, world: ImageWorld, tmp_path: Path) -> None:
    world.run(world.images.ensure("busybox"))
    (tmp_path / "ours.tar").write_bytes(world.save("busybox"))
    docker("load", "-i", tmp_path / "ours.tar")
    docker("create", "--name", "exported", "busybox")
    docker("export", "exported", "-o", tmp_path / "root.tar")
    docker("import", "-c", 'CMD ["sh"]', tmp_path / "root.tar", "imported")
    world.start(lambda: world.images.import_(pieces((tmp_path / "root.tar").read_bytes()), "imported", ['CMD ["sh"]']))
    shown = world.images.inspect("imported")
    assert docker("inspect", "-f", "{{json .RootFS.Layers}} {{.Size}}", "imported") == (
        f'["{shown["RootFS"]["Layers"][0]}"] {shown["Size"]}'
    )
