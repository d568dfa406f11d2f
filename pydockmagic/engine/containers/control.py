"""What is done to containers from outside: stop, kill, restart, pause, rename, update, remove, prune, wait."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from pydockmagic.engine.errors import Conflict, EngineError, InvalidParameter, NoSuchContainer, NotModified
from pydockmagic.engine.runtime import cgroups

from .config import UpdateRequest
from .container import Container, WaitCondition, WaitResult
from .core import Core
from .filters import Filters, matches_label, parse_until
from .lifecycle import Action, Lifecycle
from .lives import Lives
from .records import ContainerRecord
from .resources import updated
from .signals import parse_signal
from .specs import limits
from .validation import check_name, check_restart_policy

__all__ = ["Control"]

_DEFAULT_STOP_SECONDS = 10
_KILL_SECONDS = 10.0


class Control:
    """Acts on containers by name."""

    def __init__(self, core: Core, lives: Lives) -> None:
        self._core = core
        self._lives = lives

    async def start(self, asked: str) -> None:
        """Start a container."""
        await self._lives.start(self._core.store.get(asked), asked=asked)

    async def stop(self, asked: str, *, seconds: int | None = None, signal_name: str = "") -> None:
        """Stop a container: its stop signal, and SIGKILL when it has not ended in time."""
        container = self._core.store.get(asked)
        container.check(Action.STOP, asked)
        signum = parse_signal(signal_name) if signal_name else None
        await self._note_manual_stop(container)
        await self._stop(container, seconds, signum)

    async def _note_manual_stop(self, container: Container) -> None:
        """Note that a person ends it, before it ends: its policy asks, also of an engine that dies in between."""
        container.record.manually_stopped = True
        with contextlib.suppress(EngineError):  # a full disk: what runs can be stopped all the same
            await self._core.store.save(container)

    async def _stop(self, container: Container, seconds: int | None, signum: int | None) -> None:
        record = container.record
        if container.lifecycle is Lifecycle.RESTARTING:
            await self._lives.give_up_restart(container, "stop")
            self._core.publish(container, "stop")
            return
        configured = record.config.stop_signal
        signum = signum or parse_signal(configured if configured is not UNSET and configured else "SIGTERM")
        if seconds is None:
            seconds = _DEFAULT_STOP_SECONDS if record.config.stop_timeout is UNSET else record.config.stop_timeout
        container.stopping = True
        try:
            await self._send(container, signum)
            if not await self._ended(container, None if seconds < 0 else seconds):
                await self._send(container, signal.SIGKILL)
                await self._ended(container, None)
        except ProcessLookupError:
            await self._ended(container, None)
        finally:
            container.stopping = False

    async def kill(self, asked: str, signal_name: str = "") -> None:
        """Send a signal; SIGKILL waits for the end."""
        try:
            container = self._core.store.get(asked)
            signum = parse_signal(signal_name) if signal_name else signal.SIGKILL
            container.check(Action.KILL, asked)
        except EngineError as error:
            if isinstance(error, NoSuchContainer):
                wrapped: EngineError = EngineError(f"cannot kill container: {asked}: {error}")
            else:
                wrapped = type(error)(f"cannot kill container: {asked}: {error}")
            wrapped.status = error.status
            raise wrapped from None
        if container.lifecycle is Lifecycle.RESTARTING:
            container.record.manually_stopped = True
            await self._lives.give_up_restart(container, "kill")
            return
        configured = container.record.config.stop_signal
        stop_signal = parse_signal(configured) if configured is not UNSET and configured else signal.SIGTERM
        if signum in (signal.SIGKILL, stop_signal):
            await self._note_manual_stop(container)
        with contextlib.suppress(ProcessLookupError):
            await self._send(container, signum)
        if signum == signal.SIGKILL and not await self._ended(container, _KILL_SECONDS):
            raise EngineError(
                f"cannot kill container: {asked}: tried to kill container, but did not receive an exit event"
            )

    async def _send(self, container: Container, signum: int) -> None:
        """Send a signal and tell it; a paused container wakes up, or it would never see it."""
        core, before = self._core, container.lifecycle
        await core.runtime.signal(container.id, signum)
        container.remember("kill", before, signum=signum)
        core.publish(container, "kill", signal=str(int(signum)))
        if container.record.state.paused:
            await core.runtime.unpause(container.id)
            if signum != signal.SIGKILL:
                container.record.state.paused = False
                self._lives.health.resume(container)
                container.remember("unpause", before)
                core.publish(container, "unpause")

    async def _ended(self, container: Container, seconds: float | None) -> bool:
        if seconds is not None and seconds <= 0:
            return container.ended.is_set()
        try:
            async with asyncio.timeout(seconds):
                await container.ended.wait()
        except TimeoutError:
            return False
        return True

    async def restart(self, asked: str, *, seconds: int | None = None, signal_name: str = "") -> None:
        """Stop a container if it runs, and start it."""
        container = self._core.store.get(asked)
        container.check(Action.RESTART, asked)
        signum = parse_signal(signal_name) if signal_name else None
        container.restarting_by_hand = True
        try:
            with contextlib.suppress(NotModified):
                if container.record.state.running:
                    await self._stop(container, seconds, signum)
            async with container.lock:
                if container.removing or container.gone:
                    raise NoSuchContainer(asked)
                if not container.record.state.running:
                    container.record.manually_stopped = False
                    container.record.restart_count = 0
                    await self._start_again(container, asked)
        finally:
            container.restarting_by_hand = False
        self._core.publish(container, "restart")

    async def _start_again(self, container: Container, asked: str) -> None:
        try:
            await self._lives.start_locked(container, action="restart")
        except EngineError as error:
            if type(error) is EngineError:  # a port that is taken, a link that leads nowhere
                raise EngineError(f"Cannot restart container {asked}: {error}") from error
            raise

    async def pause(self, asked: str) -> None:
        """Freeze a container."""
        container = self._core.store.get(asked)
        async with container.lock:
            container.check(Action.PAUSE, asked)
            before = container.lifecycle
            await self._core.runtime.pause(container.id)
            container.record.state.paused = True
            self._lives.health.suspend(container)
            container.remember("pause", before)
            self._core.publish(container, "pause")
            await self._core.store.save(container)

    async def unpause(self, asked: str) -> None:
        """Thaw it."""
        container = self._core.store.get(asked)
        async with container.lock:
            container.check(Action.UNPAUSE, asked)
            before = container.lifecycle
            await self._core.runtime.unpause(container.id)
            container.record.state.paused = False
            self._lives.health.resume(container)
            container.remember("unpause", before)
            self._core.publish(container, "unpause")
            await self._core.store.save(container)

    def wait(self, asked: str, condition: WaitCondition) -> asyncio.Future[WaitResult]:
        """Give a future that comes true with the condition."""
        return self._core.store.get(asked).wait(condition)

    async def rename(self, asked: str, new_name: str) -> None:
        """Give a container another name."""
        container = self._core.store.get(asked)
        if not new_name:
            raise InvalidParameter("Neither old nor new names may be empty")
        new_name = validation_name(new_name if new_name.startswith("/") else f"/{new_name}")
        async with container.lock:
            old = container.record.name
            if new_name == old:
                raise InvalidParameter("Renaming a container with the same name as its current name")
            try:
                self._core.store.reserve(new_name, container.id)
            except Conflict as error:
                raise Conflict(f"Error when allocating new name: {error}") from None
            container.record.name = new_name
            self._core.store.release(old, container.id)
            known = await self._core.networks.rename(container.id, new_name)
            container.record.networks |= {name: dict(endpoint) for name, endpoint in known.items()}
            await self._core.store.save(container)
            self._core.publish(container, "rename", oldName=f"/{old}")

    async def update(self, asked: str, request: UpdateRequest) -> list[str]:
        """Change limits and restart policy; give warnings."""
        container = self._core.store.get(asked)
        async with container.lock:
            if container.removing or container.record.state.dead:
                raise Conflict(
                    f'Cannot update container {container.id}: Container is marked for removal and cannot be "update".'
                )
            try:
                host, warnings = updated(container.record.host_config, request, cgroups.layout().support)
            except Conflict as error:
                raise Conflict(f"Cannot update container {container.id}: {error}") from None
            check_restart_policy(host.restart_policy)
            if host.auto_remove and host.restart_policy.name not in ("", "no"):
                raise Conflict(
                    f"Cannot update container {container.id}: "
                    "Restart policy cannot be updated because AutoRemove is enabled for the container"
                )
            if container.record.state.pid:
                unlimited = request.pids_limit is not None and request.pids_limit <= 0
                asked_limits = msgspec.structs.replace(limits(host), pids=-1) if unlimited else limits(host)
                await self._core.runtime.update(container.id, asked_limits)
            container.record.host_config = host
            await self._core.store.save(container)
            self._core.publish(container, "update")
            return warnings

    async def remove(self, asked: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; ``volumes`` takes its anonymous volumes along."""
        container = self._core.store.get(asked)
        container.check(Action.REMOVE_FORCED if force else Action.REMOVE, asked)
        if container.removing:
            raise Conflict(f"removal of container {asked} is already in progress")
        container.removing = True
        try:
            while not await self._removed(container, force=force, volumes=volumes):
                pass  # somebody had begun to start it before we took it
        finally:
            container.removing = False

    async def _removed(self, container: Container, *, force: bool, volumes: bool) -> bool:
        """End a container and forget it; tell whether that came about."""
        state = container.record.state
        if state.restarting and not state.pid:
            await self._lives.give_up_restart(container, "rm")
        if state.running:
            if not force:
                container.check(Action.REMOVE)
            with contextlib.suppress(ProcessLookupError):
                await self._send(container, signal.SIGKILL)
            await self._ended(container, None)
        async with container.lock:
            if state.running:
                return False
            if not container.gone:
                await self._forget(container, volumes=volumes)
        return True

    async def _forget(self, container: Container, *, volumes: bool) -> None:
        core, record = self._core, container.record

        def from_disk() -> None:
            core.storage.remove(record.id)
            core.trash.discard(core.files(record.id).directory)
            shutil.rmtree(core.bundle(record.id), ignore_errors=True)  # of a start that failed

        record.state.dead = True
        await asyncio.to_thread(from_disk)
        await core.store.drop(container)
        if volumes:
            for mount in record.mounts:
                if mount.kind == "volume" and mount.anonymous:
                    with contextlib.suppress(EngineError):
                        await core.volumes.remove(mount.name, force=True)
        if core.images.find(record.image_id) is None:
            await core.images.collect()
        for pending in container.pending:
            pending.give(None)
        container.notify(removed=True)
        core.publish(container, "destroy")

    async def remove_finished(self) -> None:
        """Remove, for ever, the containers that ended and were started with ``--rm``."""
        while True:
            container = await self._lives.remove_finished.get()
            try:
                await self.remove(container.id, force=False, volumes=True)
            except EngineError:
                continue  # somebody else removes it, or has started it again

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> tuple[list[str], int]:
        """Remove every stopped container; give ids and bytes."""
        Filters.check_names(filters, ("label", "label!", "until"))
        until = parse_until(filters.get("until", ()))
        removed, freed = [], 0
        for container in self._core.store:
            record = container.record
            if container.lifecycle not in (Lifecycle.CREATED, Lifecycle.EXITED, Lifecycle.DEAD):
                continue
            if until is not None and record.created_ns > until:
                continue
            if not matches_label(record.config.labels, filters):
                continue
            size = await asyncio.to_thread(self._size, record)
            with contextlib.suppress(EngineError):
                await self.remove(record.id)
                removed.append(record.id)
                freed += size
        self._core.events.publish("container", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    def _size(self, record: ContainerRecord) -> int:
        from .usage import directory_size  # noqa: PLC0415 - only for prune

        return directory_size(self._core.storage.changes(record.id))

    async def stop_all(self) -> None:
        """Stop every running container (the engine ends with ``--stop-containers``)."""
        running = [c for c in self._core.store if c.record.state.running]
        await asyncio.gather(*(self._quietly_stop(c) for c in running))

    async def _quietly_stop(self, container: Container) -> None:
        with contextlib.suppress(EngineError, ProcessLookupError):
            await self._stop(container, None, None)


def validation_name(name: str) -> str:
    """Check a new name, with the sentence that renaming has for it."""
    try:
        return check_name(name)
    except InvalidParameter:
        raise InvalidParameter(
            f"Error when allocating new name: Invalid container name ({name}), "
            "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        ) from None
