"""A small event loop for the zygote and the supervisors: epoll and timers, nothing else to load.

Standard library only.
"""

from __future__ import annotations

import heapq
import itertools
import select
import sys
import time
from collections.abc import Callable

__all__ = ["Loop", "Timer"]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANGUP = select.EPOLLHUP | select.EPOLLERR


class Timer:
    """A call that is due at a time; ``cancel`` makes it void."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never call it."""
        self.call = None


class Loop:
    """Calls back when descriptors are ready or timers due. An exception in a callback is printed, and life goes on."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._running = False

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback(events)`` whenever one of ``events`` (or a hang-up) is there."""
        if descriptor in self._callbacks:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def change(self, descriptor: int, events: int) -> None:
        """Watch for other events; 0 watches for hang-ups only."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching; before the descriptor is closed. Idempotent."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, later."""
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def stop(self) -> None:
        """Return from ``run`` after the present callback."""
        self._running = False

    def run(self) -> None:
        """Call back until stopped."""
        self._running = True
        while self._running:
            for descriptor, events in self._poll():
                callback = self._callbacks.get(descriptor)
                if callback is not None:
                    self._guard(lambda callback=callback, events=events: callback(events))  # type: ignore[misc]
                if not self._running:
                    return
            self._fire()

    def close(self) -> None:
        """Let go of the epoll descriptor."""
        self._epoll.close()

    def _poll(self) -> list[tuple[int, int]]:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        return self._epoll.poll(timeout)

    def _fire(self) -> None:
        now = time.monotonic()
        while self._running and self._timers and self._timers[0][0] <= now:
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                self._guard(call)

    @staticmethod
    def _guard(call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001 - one stream's fault must not end the supervisor of a container
            sys.excepthook(*sys.exc_info())  # prints; the traceback module would double our memory
