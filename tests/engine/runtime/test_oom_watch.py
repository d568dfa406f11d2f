"""The kernel's killing for want of memory is heard while the container lives, and each time."""

import os
import subprocess
from pathlib import Path

import pytest

from pydockmagic.engine.runtime import cgroups
from pydockmagic.engine.runtime.cgroups_base import remove_tree
from pydockmagic.engine.runtime.loop import Loop
from pydockmagic.engine.runtime.oom import OomWatch

PARENT = f"/pydock-test-oom-{os.getpid()}"
GREEDY = "import sys; sys.stdin.read(1); bytearray(64 << 20)"


@pytest.fixture
def limited():
    group = cgroups.create(PARENT, "one", {"memory": 10 << 20, "memory_swap": 10 << 20})
    yield group
    group.kill()
    group.remove()
    for top in {Path(path).parent for path in group.paths().values()}:
        remove_tree(str(top), 0)


def exceed(group):
    process = subprocess.Popen(["/usr/bin/env", "python3", "-c", GREEDY], stdin=-1, stderr=-3)
    group.enter(process.pid)
    process.communicate(b"x")
    return process.returncode


@pytest.mark.root
@pytest.mark.skipif("memory" not in cgroups.layout().support, reason="memory cannot be limited here")
def test_each_kill_is_told_once(limited):
    told = []
    loop = Loop()
    watch = OomWatch(limited, loop, lambda: told.append(1))
    for number in (1, 2):
        assert exceed(limited) == -9
        watch.look()
        assert len(told) == number
    watch.look()
    assert len(told) == 2
    watch.close()
    watch.close()
    loop.close()


def test_where_nothing_is_limited_nothing_is_told():
    loop = Loop()
    watch = OomWatch(cgroups.NullCgroup({}), loop, lambda: pytest.fail("told of nothing"))
    watch.look()
    watch.close()
    loop.close()
