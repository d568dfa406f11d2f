"""A container in memory: its record, and what only lives as long as the engine (locks, waiters, streams)."""

from __future__ import annotations

import asyncio
import socket
import time
from enum import StrEnum

import msgspec

from pydockmagic.engine.runtime.driver import AttachRequest

from .lifecycle import Action, Lifecycle, Rule, check
from .records import HISTORY_KEPT, ContainerRecord, HistoryEntry

__all__ = ["Container", "PendingAttach", "WaitCondition", "WaitResult"]


class WaitCondition(StrEnum):
    """What ``wait`` waits for (Engine API, "Wait for a container")."""

    NOT_RUNNING = "not-running"
    NEXT_EXIT = "next-exit"
    REMOVED = "removed"


class WaitResult(msgspec.Struct, frozen=True):
    """The exit code, and what went wrong if waiting itself failed."""

    code: int
    error: str = ""


class PendingAttach:
    """An attach that came before the start: its stream exists once the process does."""

    def __init__(self, request: AttachRequest) -> None:
        self.request = request
        self.stream: asyncio.Future[socket.socket | None] = asyncio.get_running_loop().create_future()

    def take(self) -> socket.socket | None:
        """Take the stream if it is there; one that comes later is closed."""
        if self.stream.done():
            return self.stream.result()
        self.stream.cancel()
        return None

    def give(self, stream: socket.socket | None) -> None:
        """Hand over the stream, or None when there will be none."""
        if not self.stream.done():
            self.stream.set_result(stream)
        elif stream is not None:
            stream.close()


class Container:
    """One container; the service's other parts work on it under ``lock``."""

    def __init__(self, record: ContainerRecord) -> None:
        self.record = record
        self.lock = asyncio.Lock()
        self.removing = False
        self.gone = False
        self.pending: list[PendingAttach] = []
        self.exec_ids: dict[str, bool] = {}
        """The execs of this container; true while running."""
        self.monitor: asyncio.Task[None] | None = None
        self.restart_timer: asyncio.Task[None] | None = None
        self.health_task: asyncio.Task[None] | None = None
        self.backoff = 0.0
        self.stopping = False
        self.oom_told = False
        """Whether the kernel's killing for want of memory was told while this life lasted."""
        """A stop is under way: its event is told with the end."""
        self.restarting_by_hand = False
        """A restart is under way: neither the policy nor ``--rm`` has a say."""
        self.ended = asyncio.Event()
        """Set while no process runs."""
        if not record.state.pid:
            self.ended.set()
        self._changed = asyncio.Event()
        self._waiters: list[tuple[WaitCondition, asyncio.Future[WaitResult]]] = []

    @property
    def id(self) -> str:
        """The full id."""
        return self.record.id

    @property
    def lifecycle(self) -> Lifecycle:
        """Name the state."""
        state = self.record.state.lifecycle
        if self.removing and state in (Lifecycle.CREATED, Lifecycle.EXITED):
            return Lifecycle.REMOVING
        return state

    def check(self, action: Action, asked: str = "") -> Rule:
        """Give the rule of an action in the present state, or raise what refuses it."""
        return check(self.lifecycle, action, id_=self.id, name=self.record.name, asked=asked)

    def remember(
        self, action: str, before: Lifecycle, *, code: int | None = None, signum: int | None = None, oom: bool = False
    ) -> None:
        """Add a step to the history."""
        history = self.record.history
        if len(history) >= HISTORY_KEPT:
            del history[: len(history) - HISTORY_KEPT + 1]
        history.append(
            HistoryEntry(
                action=action,
                from_=before.value if action != "create" else "",
                to=self.lifecycle.value,
                time_nano=time.time_ns(),
                exit_code=code,
                signal=signum,
                oom_killed=oom,
            )
        )

    def wait(self, condition: WaitCondition) -> asyncio.Future[WaitResult]:
        """Give a future for a condition; ``not-running`` may hold already."""
        future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        state = self.record.state
        if condition is WaitCondition.NOT_RUNNING and not (state.running or state.restarting):
            future.set_result(WaitResult(state.exit_code))
        else:
            self._waiters.append((condition, future))
            future.add_done_callback(self._forget)
        return future

    def _forget(self, future: asyncio.Future[WaitResult]) -> None:
        self._waiters = [(c, f) for c, f in self._waiters if f is not future]

    @property
    def next_change(self) -> asyncio.Event:
        """Give the event of the next start, end or removal; take it before looking at the state."""
        return self._changed

    def changed(self) -> None:
        """Wake those who follow the container."""
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    def notify(self, *, removed: bool = False, error: str = "") -> None:
        """Wake those who wait for an exit, or, once it is removed, everybody."""
        self.changed()
        result = WaitResult(self.record.state.exit_code, error)
        for condition, future in list(self._waiters):
            if (removed or condition is not WaitCondition.REMOVED) and not future.done():
                future.set_result(result)
