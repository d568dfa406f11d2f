"""The namespaces that the engine was started in: for whoever looks at a container, "the host's"."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

__all__ = ["KINDS", "host_mounts", "host_namespaces", "namespaces_of"]

KINDS = ("pid", "net", "mnt", "uts", "ipc", "user", "cgroup", "time")


def namespaces_of(process: str, proc: str = "/proc") -> dict[str, int]:
    """Give kind -> number of a process's namespaces (namespaces(7)); those that may not be read are left out."""
    found = {}
    for kind in KINDS:
        try:
            # the link's text, as people know it from `ls -l /proc/self/ns`: pid:[4026531836]
            text = os.readlink(f"{proc}/{process}/ns/{kind}")
        except OSError:
            continue
        found[kind] = int(text[text.index("[") + 1 : -1])
    return found


@cache
def host_namespaces() -> Mapping[str, int]:
    """Give the namespaces of this process when it was first asked: before the engine enters its own."""
    return namespaces_of("self")


@cache
def host_mounts() -> int:
    """Give a descriptor of the mount namespace in which this process was when it first asked."""
    return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
