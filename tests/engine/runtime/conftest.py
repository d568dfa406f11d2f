"""A busybox root for all, a driver for each module."""

import pytest
from support.runtime import Box, make_busybox_root


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory):
    return make_busybox_root(tmp_path_factory.mktemp("busybox") / "root")


@pytest.fixture(scope="module")
def box(tmp_path_factory, busybox_root):
    """A driver with its zygote; the end proves that no process, mount or cgroup is left."""
    box = Box(tmp_path_factory.mktemp("box"), busybox_root)
    yield box
    box.close()
