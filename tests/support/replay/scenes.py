"""The groups of records in scenes: each is played from its beginning on an engine and a host of its own.

Within a scene the records keep their order and build on each other; scenes know nothing of each other, so they are
played at the same time: most of the recorded commands sleep.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from support.engine import engine
from support.ordinary import NOBODY, OrdinaryUser, interpreter

from . import images, records, runner, world
from .runner import Outcome, Place
from .stage import SUBORDINATE_IDS, Stage, stage
from .table import Verdict, compare

_HUB = 5057


class Scene(NamedTuple):
    """Groups that are played one after another, and what they find there besides the files and the base images."""

    groups: tuple[str, ...]
    before: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ("controller",)
    registry: bool = False
    hub: bool = False


SCENES = (
    Scene(("image", "search"), hub=True),
    Scene(("cli", "run")),
    Scene(("opt", "ns")),
    Scene(("cow", "vol", "net")),
    Scene(
        ("build", "commit", "registry", "pipeline", "cleanup", "rest"),
        before=world.EARLIER_IMAGES, hosts=("controller", "storage"), registry=True,
    ),
)  # fmt: skip


class Cast(NamedTuple):
    """Who plays: root, or an ordinary user with or without subordinate ids."""

    name: str
    user: int | None = None
    subordinate: str = ""


ROOT = Cast("root")
ONE_ID = Cast("one id", NOBODY)
MANY_IDS = Cast("subordinate ids", NOBODY, SUBORDINATE_IDS)


def play(cast: Cast, folder: Path, scenes: Sequence[Scene] = SCENES) -> list[Verdict]:
    """Play all scenes at the same time and compare each command with its record, in the recorded order."""
    with ExitStack() as opened:
        library = None
        if cast.user is not None:
            ordinary = OrdinaryUser()  # type: ignore[no-untyped-call]
            opened.callback(ordinary.close)
            folder, library = ordinary.home, ordinary.folder
        with ThreadPoolExecutor(len(scenes)) as threads:
            waiting = [
                threads.submit(_play_scene, scene, cast, folder / f"scene{number}", library)
                for number, scene in enumerate(scenes)
            ]
            found = [verdict for one in waiting for verdict in one.result()]
    return sorted(found, key=lambda verdict: verdict.record.n)


def _play_scene(scene: Scene, cast: Cast, folder: Path, library: Path | None) -> list[Verdict]:
    work = folder / "work"
    world.lay_out(work)
    with ExitStack() as opened:
        host = opened.enter_context(stage(folder, user=cast.user, subordinate=cast.subordinate))
        if cast.user is not None:
            subprocess.run(["chown", "-R", f"{cast.user}:{cast.user}", folder], check=True)
        if scene.registry:
            opened.enter_context(_registry(folder, host))
            opened.enter_context(_registry(folder, host, private=True))
        if scene.hub:
            opened.enter_context(_hub(host))
        addresses = {}
        for name in scene.hosts:
            addresses[name] = opened.enter_context(_engine(folder / name, host, library, hub=scene.hub))
        places = {
            name: Place(host, work, {**_environment(folder), "DOCKER_HOST": address})
            for name, address in addresses.items()
        }
        _prepare(scene, places["controller"], folder)
        for name in scene.hosts[1:]:
            places[name].quietly(f"docker load -q -i {folder}/lab/busybox.tar")
        found = list(_replay(scene, places, folder))
        for place in places.values():
            place.quietly("docker ps -aq | xargs -r docker rm -f")
    return found


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(folder), "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(folder / ".docker")}


def _prepare(scene: Scene, place: Place, folder: Path) -> None:
    images.give(place, folder)
    if scene.hub:
        images.hand_over(place, folder, f"127.0.0.1:{_HUB}")
    for command in scene.before:
        place.quietly(command)


def _replay(scene: Scene, places: dict[str, Place], folder: Path) -> Iterator[Verdict]:
    gone = 0
    for record in records.load(scene.groups, scene.hosts):
        for number, command in world.GAPS.items():
            if gone < number <= record.n and records.group_at(number) in scene.groups:
                places["controller"].quietly(command)
        place = places[record.host]
        outcome = runner.run(record, _here(record.cmd, folder), place)
        yield compare(record, _there(outcome, folder), str(place.folder))
        gone = record.n


def _here(command: str, folder: Path) -> str:
    """Put this replay's paths for those of the recording."""
    command = command.replace("unix:///lab/dk/b/docker.sock", f"unix://{folder}/storage/engine.sock")
    return command.replace("/lab/work", str(folder / "lab"))


def _there(outcome: Outcome, folder: Path) -> Outcome:
    """Put the recorded paths for those of this replay."""

    def recorded(text: str) -> str:
        text = text.replace(str(folder / "controller" / "engine"), "/lab/dk/a/data")
        text = text.replace(str(folder / ".docker"), "/home-dir/.docker")
        return text.replace(str(folder / "lab"), "/lab/work")

    return Outcome(outcome.exit, recorded(outcome.stdout), recorded(outcome.stderr))


@contextmanager
def _engine(folder: Path, host: Stage, library: Path | None, *, hub: bool = False) -> Iterator[str]:
    """Serve an engine on a host and give its address; its containers are stopped with it."""
    folder.mkdir(exist_ok=True)
    if host.user is not None:
        os.chown(folder, host.user, host.user)
    environment = _environment(folder) | {"PYTHONDONTWRITEBYTECODE": "1"}
    if library is not None:
        environment["PYTHONPATH"] = str(library)
    if hub:
        environment["PYDOCK_HUB"] = f"http://127.0.0.1:{_HUB}"
    python = sys.executable if library is None else interpreter()
    options = ["--stop-containers", *world.ENGINE_OPTIONS]
    with engine(folder, options, host.command([]), python, env=environment, cwd="/") as address:
        yield address


@contextmanager
def _registry(folder: Path, host: Stage, *, private: bool = False) -> Iterator[None]:
    """Serve Debian's registry on port 5055 of a host, or on 5056 behind a password."""
    port, storage = (5056, folder / "private") if private else (5055, folder / "registry")
    settings = storage.with_suffix(".yml")
    text = f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\nhttp: {{addr: ':{port}'}}\n"
    if private:
        known = subprocess.run(["htpasswd", "-Bbn", "student", "s3cret"], capture_output=True, check=True).stdout
        (folder / "htpasswd").write_bytes(known)
        text += f"auth: {{htpasswd: {{realm: basic-realm, path: {folder}/htpasswd}}}}\n"
    settings.write_text(text)
    with storage.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(
            host.command(["docker-registry", "serve", str(settings)]), stdout=log, stderr=log, cwd="/"
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _hub(host: Stage) -> Iterator[None]:
    """Serve what stands for Docker Hub on a host, as ourselves: it is no part of what is replayed."""
    tests = Path(__file__).parents[2]
    process = subprocess.Popen(
        [*host.command([], ours=True), sys.executable, str(tests / "support" / "hub.py"), str(_HUB)],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(tests)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
