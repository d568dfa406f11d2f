"""A soak: hundreds of containers with mixed lives, and then nothing of them is left, and the engine has not grown."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import leaks
from support.alone import alone
from support.api import Api
from support.lives import ALL, Life, Lives, live
from support.ordinary import SERVE, OrdinaryUser

pytestmark = pytest.mark.root

World = tuple[leaks.Estate, Lives, Callable[[], None]]
"""What an engine owns, the lives in it, and how a thread enters its network."""

_GROWTH = 1.10
_SLACK = 1 << 20
"""What a small process may grow by page-wise without that being a leak."""
_TOGETHER = 4


@contextmanager
def as_root(folder: Path) -> Iterator[World]:
    """An engine of root, alone in its network namespace."""
    with alone(folder) as engine:
        estate = engine.estate
        yield estate, Lives(engine.api, estate.ids), engine.enter


@contextmanager
def as_ordinary_user() -> Iterator[World]:
    """An engine of somebody without privileges."""
    user = OrdinaryUser()
    address = f"unix://{user.home}/s.sock"
    log = user.folder / "log"
    try:
        with log.open("w") as written:
            command = user.command(SERVE, "serve", "--host", address, "--data-root", user.home / "data")
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=written, **user.options())
        try:
            line = process.stdout.readline()
            assert line == f"{address}\n", (line, log.read_text())
            api = Api(address, timeout=60)
            api.pull("busybox")
            yield leaks.Estate(process.pid, api, (user.home,)), Lives(api, set()), lambda: None
        finally:
            process.terminate()
            process.wait(60)
            process.stdout.close()
    finally:
        user.close()


def chosen() -> Iterator[Life]:
    """Give lives for ever: each kind once in a round, in an order that is another in each, the same every time."""
    lot = random.Random(1)
    while True:
        yield from lot.sample(ALL, len(ALL))


def well(lives: Lives, some: Iterable[Life], enter: Callable[[], None]) -> None:
    wrong = live(lives, some, together=_TOGETHER, enter=enter)
    assert not wrong, "\n".join(wrong)


def nothing_is_left(world: World, before: leaks.Census) -> None:
    estate, lives, _ = world
    lives.api.post("/build/prune", all="1")  # a cache is to stay until then
    left = leaks.settled(estate, before)
    print(leaks.told(left))
    assert not left, leaks.told(left)


def filled(world: World) -> leaks.Census:
    """Live each life once, for what is filled once (threads of the pool, a folder made when needed); count then."""
    estate, lives, enter = world
    well(lives, ALL, enter)
    lives.api.post("/build/prune", all="1")
    return leaks.steady(estate)


def test_mixed_lives_leave_nothing(tmp_path):
    with as_root(tmp_path) as world:
        before = filled(world)
        well(world[1], ALL, world[2])
        nothing_is_left(world, before)


@pytest.mark.conformance
def test_the_census_names_what_a_running_container_holds(tmp_path):
    with as_root(tmp_path) as world:
        estate, lives, _ = world
        before = leaks.steady(estate)
        bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
        made = lives.started("sleep", "600", HostConfig={"PortBindings": bindings, "Binds": ["kept:/data"]})
        held = leaks.settled(estate, before, seconds=0)
        named = {"process", "namespace", "cgroup", "file", "record", "link", "listening port", "task"}
        assert named <= held.keys(), leaks.told(held)
        assert held["listening port"] == {"tcp 8080": 1}
        assert any("sleep 600" in line for line in held["process"])
        lives.remove(made)
        assert "volume" in leaks.told(leaks.settled(estate, before, seconds=1))
        assert lives.api("DELETE", "/volumes/kept").status == 204
        left = leaks.settled(estate, before)
        assert left.keys() <= {"file"}, leaks.told(left)  # the image's init layer


@pytest.mark.conformance
@pytest.mark.timeout(600)
def test_five_hundred_containers_leave_nothing_and_do_not_swell_the_engine(tmp_path):
    with as_root(tmp_path) as world:
        estate, lives, enter = world
        before, kinds = filled(world), chosen()
        sizes: dict[int, dict[str, leaks.Memory]] = {}
        for goal in (100, 200, 300, 400, 500):
            while len(estate.ids) < goal:
                well(lives, itertools.islice(kinds, 20), enter)
            sizes[goal] = {name: leaks.memory(pid) for name, pid in estate.servants.items()}
            print(f"{len(estate.ids)} containers: " + ", ".join(
                f"{name} {taken.rss / 1e6:.1f} MB resident, {taken.pss / 1e6:.1f} MB its share"
                for name, taken in sizes[goal].items()
            ))  # fmt: skip
        nothing_is_left(world, before)
        for name, first in sizes[100].items():
            last = sizes[500][name]
            assert last.rss <= first.rss * _GROWTH + _SLACK, (name, sizes)
            assert last.pss <= first.pss * _GROWTH + _SLACK, (name, sizes)


@pytest.mark.conformance
@pytest.mark.rootless
@pytest.mark.timeout(300)
def test_sixty_mixed_lives_without_privileges_leave_nothing():
    with as_ordinary_user() as world:
        before, (_, lives, enter) = filled(world), world
        well(lives, itertools.islice(chosen(), 60), enter)
        nothing_is_left(world, before)


@pytest.mark.conformance
@pytest.mark.timeout(300)
def test_two_hundred_containers_run_at_once(tmp_path):
    with as_root(tmp_path) as world:
        before, (estate, lives, _) = filled(world), world
        made = [lives.started("sleep", "600") for _ in range(200)]
        rows = estate.api.get("/containers/json")
        assert {row["Id"] for row in rows} == set(made)
        assert len({row["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for row in rows}) == len(made)
        lives.remove(*made)
        nothing_is_left(world, before)
