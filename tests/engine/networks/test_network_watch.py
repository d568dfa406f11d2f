"""Who changes the packet rules after us is noticed: in a network namespace of the test's own."""

import asyncio
import os
import shutil

import pytest
from support.networks import inside, new_network

from pydockmagic.engine.networks import watching
from pydockmagic.engine.networks.watching import RuleWatch

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("iptables") is None and not os.environ.get("CI"), reason="needs iptables"),
]


@pytest.fixture
def namespace():
    descriptor = new_network()
    yield descriptor
    os.close(descriptor)


async def iptables(*arguments):
    process = await asyncio.create_subprocess_exec("iptables", "-w", *arguments)
    assert await process.wait() == 0


def test_a_filter_that_begins_to_drop_is_noticed(namespace):
    async def scenario():
        noticed = asyncio.Event()

        async def changed():
            noticed.set()

        watch = RuleWatch(changed)
        try:
            await iptables("-P", "FORWARD", "DROP")
            await asyncio.wait_for(noticed.wait(), 30)
        finally:
            await watch.close()

    inside(namespace, lambda: asyncio.run(scenario()))


def test_changes_of_our_own_are_no_news(namespace):
    async def scenario():
        times = 0
        done = asyncio.Event()

        async def changed():
            nonlocal times
            times += 1
            await iptables("-N", f"ours{times}")
            done.set()

        watch = RuleWatch(changed)
        try:
            await iptables("-N", "theirs")
            await asyncio.wait_for(done.wait(), 30)
            await asyncio.sleep(0)  # it has taken in what was told meanwhile
            with pytest.raises(BlockingIOError):
                watch._socket.recv(1)
        finally:
            await watch.close()
        return times

    assert inside(namespace, lambda: asyncio.run(scenario())) == 1


def test_where_the_kernel_tells_nothing_a_glance_looks_again(namespace, monkeypatch, tmp_path):
    tables = tmp_path / "ip_tables_names"
    tables.write_text("nat\nfilter\n")
    monkeypatch.setattr(watching, "_OLD_TABLES", tables)
    monkeypatch.setattr(watching, "_LOOK_AGAIN_SECONDS", -1.0)
    monkeypatch.setattr(watching, "_SETTLING_SECONDS", 0.0)

    async def scenario():
        noticed = asyncio.Event()

        async def changed():
            noticed.set()

        watch = RuleWatch(changed)
        try:
            watch.glance()
            await asyncio.wait_for(noticed.wait(), 30)
        finally:
            await watch.close()

    inside(namespace, lambda: asyncio.run(scenario()))
