"""An engine that is killed while it makes a bridge: the next one has it whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.networks import NetworkWorld, inside, link_names, wait_for_pipes

from pydockmagic.engine.networks.netlink import NetlinkSocket, find_link, routes
from pydockmagic.engine.networks.plumbing import Plumbing

pytestmark = pytest.mark.root


class _Killed(BaseException):
    """The engine's end at this very point: nothing of it runs any more."""


@pytest.fixture
def world(tmp_path):
    made = NetworkWorld(tmp_path)
    yield made
    made.close()


@contextmanager
def _killed_after(changes: int) -> Iterator[None]:
    """End the engine when it has told the kernel so much of a bridge: that there is one, whose it is, its address."""
    bridge, send = Plumbing.bridge, NetlinkSocket.send
    sent = 0

    def counted(self, messages):
        nonlocal sent
        send(self, messages)
        sent += 1
        if sent == changes:
            raise _Killed

    def watched(self, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(NetlinkSocket, "send", counted)
            return bridge(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plumbing, "bridge", watched)
        with pytest.raises(_Killed):
            yield


def _bridges(world) -> set[str]:
    return {name for name in link_names(world.namespace) if not name.startswith(("lo", "veth"))}


async def _listed(service):
    return [(network["Name"], network["IPAM"]["Config"]) for network in service.list()]


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_of_a_network_nothing_is_left(world, changes):
    before = world.run(_listed)

    async def make(service):
        with _killed_after(changes):
            await service.create({"Name": "mine"})
        assert len(_bridges(world)) == 2

    world.killed(make)

    async def again(service):
        assert _bridges(world) == {"pydock0"}
        return await _listed(service)

    assert world.run(again) == before


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_of_a_network_of_an_engine_that_never_comes_back_nothing_is_left(world, tmp_path, changes):
    gone = NetworkWorld(tmp_path / "gone", sandboxed=False)
    gone.folder.mkdir()
    gone.namespace, gone.engine_id = world.namespace, "dead-0000"

    async def make(service):
        with _killed_after(changes):
            await service.create({"Name": "mine"})

    gone.killed(make)
    wait_for_pipes(world.namespace, 0)
    assert len(_bridges(world)) == 2

    async def another(service):
        assert len(_bridges(world)) == 1

    world.run(another)


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_the_default_bridge_is_whole(world, changes):
    async def never(service):
        raise AssertionError("it was not killed")

    with _killed_after(changes):
        world.killed(never)

    async def again(service):
        assert _bridges(world) == {"pydock0"}
        (config,) = service.inspect("bridge")["IPAM"]["Config"]
        assert config["Subnet"] in inside(world.namespace, _routed)

    world.run(again)


def _routed() -> list[str]:
    """List what goes to the default bridge."""
    with NetlinkSocket() as netlink:
        index = find_link(netlink, "pydock0").index
        return [str(route.destination) for route in routes(netlink) if route.interface == index]
