"""The engine's events, heard by one thread and handed to whoever shows what they are about; nothing is polled.

When the connection breaks, whoever shows something says that it is no longer live. The thread then tries to hear events
again, less and less often, and at once when a command has found the daemon (``nudge``): what is shown lives again
without anybody's doing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

from pydockmagic.client import ClientError, ConnectionFailed, ConnectionLost

if TYPE_CHECKING:
    from pydockmagic.client import Client, JsonStream

__all__ = ["EventFeed", "Follower"]

_PAUSES = (0.5, 1, 2, 4, 8)
"""Seconds before each attempt to hear events again; the last holds for all that follow."""


class Follower(Protocol):
    """Something that shows what events are about."""

    @property
    def closed(self) -> bool:
        """Whether nobody can see it any more."""
        ...

    def concerns(self, event: dict[str, Any]) -> bool:
        """Whether an event may change what is shown."""
        ...

    def refresh(self, event: dict[str, Any]) -> None:
        """Show how it stands after an event that concerns it."""
        ...

    def catch_up(self) -> None:
        """Ask how it stands now: something may have happened while nobody listened."""
        ...

    def fail(self, reason: str) -> None:
        """Say that nothing more will come."""
        ...


class EventFeed:
    """Listens to the events of one daemon until ``stop``, in a daemon thread."""

    def __init__(self, client: Client) -> None:
        """Begin to listen. Raises ``ClientError`` where the daemon cannot be heard."""
        self._client = client
        self._followers: list[Follower] = []
        self._guard = threading.Lock()
        self._stopped = False
        self._reason = ""
        self._wake = threading.Event()
        self._heard = threading.Event()
        self._held = False
        # Opened here and now: what happens after this line is heard.
        self._stream: JsonStream = client.events()
        self._heard.set()
        # The copied context keeps what the thread prints in the cell that started it.
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), daemon=True, name="pydock-events")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether events come, or are to come again."""
        return self._thread.is_alive() and not self._stopped

    @property
    def is_heard(self) -> bool:
        """Whether events come now."""
        return self.alive and self._heard.is_set()

    def follow(self, follower: Follower, *, instead: Callable[[Follower], bool] = lambda _: False) -> None:
        """Hand events to a follower from now on, in the place of those for which ``instead`` is true."""
        with self._guard:
            kept = [each for each in self._followers if not (each.closed or instead(each))]
            self._followers = [*kept, follower]

    def left(self) -> list[Follower]:
        """Give the followers that can still be seen."""
        with self._guard:
            return [each for each in self._followers if not each.closed]

    def nudge(self) -> None:
        """Try again now, if events do not come: the daemon seems to be there."""
        self._wake.set()

    @contextmanager
    def held(self, reason: str) -> Iterator[None]:
        """Hear nothing while inside, and say why where events were shown: the daemon is about to end."""
        self._held = True
        self._reason = reason if self.is_heard else ""
        self._stream.close()
        try:
            yield
        finally:
            self._held = False

    def stop(self, reason: str = "") -> None:
        """Stop listening; returns when the thread has ended. The followers are told the reason, if there is one."""
        self._stopped = True
        self._wake.set()
        self._stream.close()
        if reason:
            self._each(lambda follower: follower.fail(reason))
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped:
            reason = self._listen()
            self._heard.clear()
            if self._stopped:
                return
            reason, self._reason = self._reason or reason, ""
            if not self._resumed(f"No longer live: {reason}"):
                return

    def _listen(self) -> str:
        """Hand on events until there are none; gives the reason."""
        try:
            for event in self._stream:
                self._tell(event)
        except (ClientError, OSError) as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the HTTP library's errors of a closed socket are many
            return str(error)
        return "the engine ended the event stream"

    def _resumed(self, reason: str) -> bool:
        """Say why nothing is live, and try until events are heard again; false where nobody sees them any more."""
        for attempt in range(1 << 30):
            # Said each time: what was read just before the end may be shown after it, as if it were live.
            self._each(lambda follower: follower.fail(reason))
            self._wake.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            self._wake.clear()
            if self._stopped or not self.left():
                return False
            if self._held:
                continue
            try:
                self._stream = self._client.events()
            except (ClientError, OSError):
                continue
            self._heard.set()
            if self._stopped:  # meanwhile
                self._stream.close()
                return False
            self._each(lambda follower: follower.catch_up())
            return True
        return False

    def _tell(self, event: dict[str, Any]) -> None:
        def refresh(follower: Follower) -> None:
            if follower.concerns(event):
                follower.refresh(event)

        self._each(refresh)

    def _each(self, call: Callable[[Follower], None]) -> None:
        """Do something to each follower that can be seen; what goes wrong is said where it shows."""
        for follower in self.left():
            try:
                call(follower)
            except (ConnectionFailed, ConnectionLost):
                continue  # it is told of as soon as the events end as well
            except ClientError as error:
                follower.fail(str(error))
            except Exception as error:  # noqa: BLE001 - one view that fails must not silence the others
                with suppress(Exception):
                    follower.fail(f"{type(error).__name__}: {error}")
