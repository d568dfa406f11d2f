"""The clone that becomes a process of a container: its first one, or one that is executed in it.

The child is born in the container's cgroup where the kernel can do that; elsewhere it waits until it was moved there.
Standard library only, as all of a supervisor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import cgroups, container_init, linux
from .processes import Pipes, Process, Start

__all__ = ["Birthplace", "clone_into"]


class Birthplace(NamedTuple):
    """What every process of a container is born with."""

    spec: dict[str, Any]
    bundle: str
    cgroup: cgroups.Cgroup
    net: int
    """A descriptor of the network namespace, -1 where there is none to join."""
    inherited: Mapping[int, tuple[int, int]]


def clone_into(
    place: Birthplace, flags: int, pipes: Pipes, process: Mapping[str, Any], *, main: Process | None = None
) -> Start:
    """Clone the child that becomes ``process``; with ``main``, the container's first one, it is executed beside it."""
    paths = place.cgroup.paths()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    unified = -1
    try:
        if "unified" in paths:
            unified = os.open(paths["unified"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        plan = container_init.Plan(
            spec=place.spec,
            bundle=place.bundle,
            sync=theirs,
            stdio=pipes.stdio,
            net=place.net,
            tasks=[f"{path}/tasks" for name, path in paths.items() if name != "unified"],
            hierarchies=cgroups.layout().hierarchies,
            cgroup_paths=paths,
            wait=False,
            inherited=place.inherited,
        )
        try:
            pid, pidfd = linux.clone(flags, unified)
        except OSError:
            if unified < 0:
                raise
            plan = plan._replace(wait=True)  # CLONE_INTO_CGROUP is refused or unknown
            pid, pidfd = linux.clone(flags)
        if pid == 0:
            ours.close()
            if main is not None:
                container_init.run_exec(plan, process, main.pidfd, main.pid)
            container_init.run(plan)
        if plan.wait:
            place.cgroup.enter(pid)
            ours.send(b"go")
        return Start(pid, pidfd, ours, in_exec=main is not None, command="".join(process["args"][:1]))
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        if unified >= 0:
            os.close(unified)
