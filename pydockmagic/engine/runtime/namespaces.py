"""The ``namespaces`` driver: containers as Linux namespaces and cgroups, as root and rootless alike.

The engine's side of it: it asks the zygote for supervisors and talks to those. What it knows of a container is in
the container's bundle and in ``containers/ID`` of its run directory (a link to the bundle), so that a later engine
finds all again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError

from . import bundle, wire
from .channel import Channel, unwrap
from .driver import AttachRequest, CgroupStats, Running
from .launching import Launch
from .nursery import Nursery
from .spec import CgroupLimits, ContainerSpec, ExitRecord, PortForward, ProcessSpec
from .tracking import Tracked, exit_record, remove_bundle

__all__ = ["NamespacesDriver"]

_DEFAULT_ATTACH = AttachRequest()
_LOOK_AGAIN_SECONDS = 0.01


class NamespacesDriver:
    """Implements ``RuntimeDriver``. ``net`` is the network namespace that a new zygote is to live in (rootless).

    ``launch`` is a zygote that is on its way already.
    """

    name = "namespaces"

    def __init__(
        self, run_dir: Path, *, python: str = sys.executable, net: int | None = None, launch: Launch | None = None
    ) -> None:
        self._run_dir = run_dir
        self._index = run_dir / "containers"
        self._nursery = Nursery(run_dir, python, net, launch)
        self._containers: dict[str, Tracked] = {}
        self._ooms: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def zygote_pid(self) -> int:
        """Give the process that keeps everything alive."""
        return self._nursery.pid

    async def open(self) -> None:
        """Connect to the zygote, starting one where there is none."""
        self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._index.mkdir(mode=0o700, exist_ok=True)
        await self._nursery.zygote()

    async def start(
        self,
        spec: ContainerSpec,
        *,
        net: int | None = None,
        listeners: Sequence[socket.socket] = (),
        attach: Sequence[AttachRequest] = (),
    ) -> Running:
        """See ``RuntimeDriver.start``."""
        old = self._containers.get(spec.id)
        if old is not None and not old.exit.done():
            raise EngineError(f"container {spec.id} is already running")
        if len(listeners) != len(spec.ports):
            raise ValueError("each PortForward needs its listening socket")
        try:
            return await self._start(spec, net, listeners, attach)
        except (
            ConnectionError
        ):  # the zygote died at that moment; nothing of the start is left, and there will be another
            return await self._start(spec, net, listeners, attach)

    async def _start(
        self, spec: ContainerSpec, net: int | None, listeners: Sequence[socket.socket], attach: Sequence[AttachRequest]
    ) -> Running:
        container = Tracked(spec.id, spec.bundle, self._ooms)
        self._prepare(container)
        pairs = [socket.socketpair() for _ in attach]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptors = [theirs.fileno(), *([net] if net is not None else [])]
        descriptors += [listener.fileno() for listener in listeners] + [pair[1].fileno() for pair in pairs]
        self._containers[spec.id] = container
        container.channel = self._channel(container, ours)
        try:
            channel = await self._nursery.zygote()
            request = {"spec": spec, "net": net is not None, "attach": attach}
            await channel.request("start", descriptors, **msgspec.to_builtins(request))
            theirs.close()
            started = unwrap(await asyncio.shield(container.started))
        except BaseException as error:
            for pair in pairs:
                pair[0].close()
            theirs.close()
            if isinstance(error, EngineError):
                await self._forget(container)
            elif isinstance(error, ConnectionError):
                await self._undo(container)
            else:  # cancelled: it may still start
                self._spawn(self._undo(container))
            raise
        finally:
            theirs.close()
            for pair in pairs:
                pair[1].close()
        return Running(
            pid=started["pid"],
            started_ns=started["started_ns"],
            streams=tuple(pair[0] for pair in pairs),
            warnings=tuple(started["warnings"]),
        )

    async def attach(self, container_id: str, request: AttachRequest) -> socket.socket:
        """See ``RuntimeDriver.attach``."""
        ours, theirs = socket.socketpair()
        try:
            await self._ask(container_id, "attach", [theirs.fileno()], request=msgspec.to_builtins(request))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    async def resize(self, container_id: str, rows: int, columns: int, exec_id: str | None = None) -> None:
        """See ``RuntimeDriver.resize``."""
        await self._ask(container_id, "resize", rows=rows, columns=columns, exec=exec_id)

    async def signal(self, container_id: str, signum: int, exec_id: str | None = None) -> None:
        """See ``RuntimeDriver.signal``."""
        whom: dict[str, Any] = {"exec": exec_id} if exec_id else {}
        await self._ask(container_id, "signal", signal=signum, **whom)

    async def pause(self, container_id: str) -> None:
        """Freeze the container's cgroup; where there is no freezer, SIGSTOP each process (which they can notice)."""
        await self._ask(container_id, "pause")

    async def unpause(self, container_id: str) -> None:
        """See ``RuntimeDriver.unpause``."""
        await self._ask(container_id, "unpause")

    async def wait(self, container_id: str) -> ExitRecord:
        """See ``RuntimeDriver.wait``."""
        container = self._containers.get(container_id) or await self._find(container_id)
        return await asyncio.shield(container.exit)

    async def oom(self) -> str:
        """See ``RuntimeDriver.oom``."""
        return await self._ooms.get()

    async def exec(
        self,
        container_id: str,
        exec_id: str,
        process: ProcessSpec,
        *,
        privileged: bool = False,
        attach: AttachRequest | None = None,
    ) -> Running:
        """See ``RuntimeDriver.exec``."""
        pairs = [socket.socketpair()] if attach is not None else []
        fields = {"exec": exec_id, "process": msgspec.to_builtins(process) | {"privileged": privileged}}
        try:
            self._live(container_id).exec_future(exec_id)
            started = await self._ask(
                container_id,
                "exec",
                [pair[1].fileno() for pair in pairs],
                **fields,
                request=msgspec.to_builtins(attach or _DEFAULT_ATTACH),
            )
        except BaseException:
            for pair in pairs:
                pair[0].close()
            if container_id in self._containers:
                self._containers[container_id].execs.pop(exec_id, None)
            raise
        finally:
            for pair in pairs:
                pair[1].close()
        return Running(
            pid=started["pid"],
            started_ns=started["started_ns"],
            streams=tuple(pair[0] for pair in pairs),
            warnings=tuple(started["warnings"]),
        )

    async def wait_exec(self, container_id: str, exec_id: str) -> ExitRecord:
        """See ``RuntimeDriver.wait_exec``."""
        container = self._containers.get(container_id) or await self._find(container_id)
        if exec_id not in container.execs:  # begun under an earlier engine
            found = await self._ask(container_id, "exec_record", exec=exec_id)
            if found is not None:
                container.exec_future(exec_id).set_result(msgspec.convert(found, ExitRecord))
        record = await asyncio.shield(container.exec_future(exec_id))
        container.execs.pop(exec_id, None)
        if container.channel is not None and container.channel.open:
            with contextlib.suppress(ProcessLookupError, ConnectionError):
                await container.channel.request("forget_exec", exec=exec_id)
        return record

    async def processes(self, container_id: str) -> list[int]:
        """See ``RuntimeDriver.processes``."""
        return list(await self._ask(container_id, "processes"))

    async def stats(self, container_id: str) -> CgroupStats:
        """See ``RuntimeDriver.stats``."""
        return msgspec.convert(await self._ask(container_id, "stats"), CgroupStats)

    async def update(self, container_id: str, limits: CgroupLimits) -> None:
        """See ``RuntimeDriver.update``."""
        await self._ask(container_id, "update", limits=msgspec.to_builtins(limits))

    async def serve(
        self,
        container_id: str,
        *,
        listeners: Sequence[socket.socket] = (),
        forwards: Sequence[PortForward] = (),
        moved: Mapping[str, str] | None = None,
    ) -> None:
        """See ``RuntimeDriver.serve``."""
        descriptors = [listener.fileno() for listener in listeners]
        ports = [msgspec.to_builtins(forward) for forward in forwards]
        await self._ask(container_id, "serve", descriptors, ports=ports, moved=dict(moved or {}))

    async def delete(self, container_id: str) -> None:
        """Remove the bundle and what else the container left; ends it first if it must. See ``RuntimeDriver``."""
        container = self._containers.get(container_id)
        if container is None:
            try:
                container = await self._find(container_id)
            except ProcessLookupError:
                return
        if not container.exit.done() and container.channel is not None:
            with contextlib.suppress(ProcessLookupError, ConnectionError):
                await container.channel.request("signal", signal=9)
                await container.channel.request("unpause")  # what is frozen cannot die
            await asyncio.shield(container.exit)
        if container.channel is not None:
            container.channel.close()
        await self._forget(container)

    async def recover(self) -> Mapping[str, Running | ExitRecord]:
        """See ``RuntimeDriver.recover``."""
        found: dict[str, Running | ExitRecord] = {}
        for link in sorted(self._index.iterdir()):
            if not os.path.isdir(link):  # noqa: ASYNC240 - one look at a directory
                link.unlink()  # the bundle was removed, the link not yet: a crash in between
                continue
            container = self._containers.get(link.name) or await self._find(link.name)
            if container.exit.done():
                found[link.name] = container.exit.result()
                continue
            try:
                state = await self._ask(link.name, "describe")
            except (ProcessLookupError, ConnectionError):
                found[link.name] = await container.exit
                continue
            for name in state["execs"]:
                container.exec_future(name)
            found[link.name] = Running(
                pid=state["pid"], started_ns=state["started_ns"], warnings=tuple(state["warnings"])
            )
        return found

    async def close(self) -> None:
        """See ``RuntimeDriver.close``."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for container in self._containers.values():
            if container.channel is not None:
                container.channel.close()
            container.started.cancel()
            container.exit.cancel()
            for future in container.execs.values():
                future.cancel()
        self._containers.clear()
        self._nursery.close()

    # supervisors

    def _prepare(self, container: Tracked) -> None:
        """Make the bundle ready for a start, clearing what an earlier run of the container left."""
        directory = Path(container.bundle)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (bundle.EXIT, bundle.STATE, bundle.CONTROL):
            (directory / name).unlink(missing_ok=True)
        link = self._index / container.id
        if not link.is_symlink() or os.readlink(link) != container.bundle:
            link.unlink(missing_ok=True)
            link.symlink_to(container.bundle)

    async def _undo(self, container: Tracked) -> None:
        """End a container whose start was given up in the middle. The link stays until then, for a later engine."""
        answer = await container.started
        if "error" not in answer:
            with contextlib.suppress(ProcessLookupError):
                await self.delete(container.id)
        await self._forget(container)

    async def _forget(self, container: Tracked) -> None:
        """Leave nothing of a container that does not run."""
        if container.channel is not None:
            container.channel.close()
        container.exit.cancel()
        if container.resuming is not None:
            await container.resuming  # it must not settle what may be started next in the same bundle
        if self._containers.get(container.id) is container:
            del self._containers[container.id]
            (self._index / container.id).unlink(missing_ok=True)
            await remove_bundle(container.bundle)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _channel(self, container: Tracked, connection: socket.socket) -> Channel:
        return Channel(connection, on_event=container.on_event, on_close=lambda: self._lost(container))

    def _lost(self, container: Tracked) -> None:
        """See why a supervisor closed its connection: it has ended, was killed, or dropped us for not reading."""
        if container.exit.done():
            return
        container.resuming = self._spawn(self._after_loss(container))

    async def _after_loss(self, container: Tracked) -> None:
        if not container.started.done():
            container.started.set_result({"error": "the container's supervisor ended before the start was over"})
        await self._resume(container)

    async def _resume(self, container: Tracked) -> None:
        """Connect to a container's supervisor, or learn how it ended; where nobody knows, see that it is ended."""
        while not container.exit.done() and not self._reconnect(container):
            if os.path.exists(f"{container.bundle}/{bundle.EXIT}"):  # noqa: ASYNC240 - one look
                break
            supervised = await self._nursery.supervises(container.id)
            if container.exit.done():
                return
            if not supervised:
                await asyncio.to_thread(bundle.settle, container.bundle)
                break
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)  # it is about to listen, or to be buried
        else:
            return
        container.end(exit_record(container.bundle))

    def _reconnect(self, container: Tracked) -> bool:
        try:
            connection = wire.connect(container.bundle, bundle.CONTROL)
        except OSError:
            return False
        container.channel = self._channel(container, connection)
        return True

    async def _find(self, container_id: str) -> Tracked:
        """Find a container of an earlier engine by its link. Raises ProcessLookupError."""
        try:
            container = Tracked(container_id, os.readlink(self._index / container_id), self._ooms)
        except OSError:
            raise ProcessLookupError(f"no such container: {container_id}") from None
        self._containers[container_id] = container
        await self._resume(container)
        return container

    def _live(self, container_id: str) -> Tracked:
        container = self._containers.get(container_id)
        if container is None or container.exit.done() or container.channel is None:
            raise ProcessLookupError(f"container {container_id} is not running")
        return container

    async def _ask(self, container_id: str, operation: str, descriptors: Sequence[int] = (), **fields: Any) -> Any:
        if container_id not in self._containers:
            await self._find(container_id)
        channel = self._live(container_id).channel
        assert channel is not None
        try:
            return await channel.request(operation, descriptors, **fields)
        except ConnectionError:
            raise ProcessLookupError(f"container {container_id} is not running") from None
