"""Namespaces that a container shares with another one (``container:NAME``): named at create, checked at start."""

from __future__ import annotations

from pydockmagic.engine.errors import Conflict, InvalidParameter, NotFound

from .config import HostConfig
from .container import Container
from .lifecycle import Lifecycle
from .store import ContainerStore

__all__ = ["check_joins", "name_joins"]


def name_joins(host: HostConfig, store: ContainerStore) -> None:
    """Put ids for the names of containers whose namespaces are to be shared. Changes ``host``.

    Raises ``InvalidParameter`` where there is no such container: after a 404 a client would pull the image again.
    Of a network nobody is asked before the start.
    """
    host.pid_mode = _named(host.pid_mode, store)
    host.ipc_mode = _named(host.ipc_mode, store)
    try:
        host.network_mode = _named(host.network_mode, store)
    except InvalidParameter:
        return


def _named(mode: str, store: ContainerStore) -> str:
    kind, _, name = mode.partition(":")
    if kind != "container":
        return mode
    try:
        return f"container:{store.get(name).id}"
    except NotFound as error:
        raise InvalidParameter(str(error)) from None


def check_joins(container: Container, store: ContainerStore) -> None:
    """Refuse to start where the others do not run, or do not share; in the words of moby's ``container_operations``."""
    host = container.record.host_config
    if other := _other(host.network_mode, store):
        if other is container:
            raise InvalidParameter("cannot join own network")
        if not _runs(other):
            raise Conflict(f"cannot join network of a non running container: {other.id}")
    if other := _other(host.ipc_mode, store):
        head = f"can't join IPC of container {other.id}: "
        if not _runs(other):
            raise Conflict(f"{head}container {other.id} is not running")
        if other.record.host_config.ipc_mode not in ("shareable", "host"):
            raise InvalidParameter(f"{head}non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
    if (other := _other(host.pid_mode, store)) and not _runs(other):
        raise Conflict(f"container {other.id} is not running")


def _other(mode: str, store: ContainerStore) -> Container | None:
    kind, _, name = mode.partition(":")
    return store.get(name) if kind == "container" else None


def _runs(other: Container) -> bool:
    if other.lifecycle is Lifecycle.RESTARTING:
        raise Conflict(f"Container {other.id} is restarting, wait until the container is running")
    return other.lifecycle in (Lifecycle.RUNNING, Lifecycle.PAUSED)
