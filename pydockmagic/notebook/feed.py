"""The engine's events, heard by one thread and handed to whoever shows what they are about; nothing is polled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

from pydockmagic.client import ClientError

if TYPE_CHECKING:
    from pydockmagic.client import Client, JsonStream

__all__ = ["EventFeed", "Follower"]


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

    def __init__(self, client: Client, before: EventFeed | None = None) -> None:
        """Begin to listen; the followers of the feed ``before``, which was cut off, go over to this one."""
        self._client = client
        self._followers: list[Follower] = before.left() if before is not None else []
        self._guard = threading.Lock()
        self._stopped = False
        # Opened here and now: what happens after this line is heard.
        self._stream: JsonStream = client.events()
        # The copied context keeps what the thread prints in the cell that started it.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._listen,), daemon=True, name="pydock-events"
        )
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether events still come."""
        return self._thread.is_alive() and not self._stopped

    def follow(self, follower: Follower, *, instead: Callable[[Follower], bool] = lambda _: False) -> None:
        """Hand events to a follower from now on, in the place of those for which ``instead`` is true."""
        with self._guard:
            kept = [each for each in self._followers if not (each.closed or instead(each))]
            self._followers = [*kept, follower]

    def left(self) -> list[Follower]:
        """Give the followers that can still be seen."""
        with self._guard:
            return [each for each in self._followers if not each.closed]

    def catch_up(self) -> None:
        """Have all followers ask how it stands."""
        self._each(lambda follower: follower.catch_up())

    def stop(self, reason: str = "") -> None:
        """Stop listening; returns when the thread has ended. The followers are told the reason, if there is one."""
        self._stopped = True
        self._stream.close()
        if reason:
            self._each(lambda follower: None if follower.closed else follower.fail(reason))
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    def _listen(self) -> None:
        reason = "The engine ended the event stream."
        try:
            for event in self._stream:
                self._tell(event)
        except (ClientError, OSError) as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - the HTTP library's errors of a closed socket are many
            reason = str(error)
        if not self._stopped:
            self._each(lambda follower: follower.fail(f"No longer live. {reason}"))

    def _tell(self, event: dict[str, Any]) -> None:
        def refresh(follower: Follower) -> None:
            if not follower.closed and follower.concerns(event):
                try:
                    follower.refresh(event)
                except ClientError as error:
                    follower.fail(str(error))

        self._each(refresh)

    def _each(self, call: Callable[[Follower], None]) -> None:
        with self._guard:
            followers = list(self._followers)
        for follower in followers:
            call(follower)
