"""The engine's events, heard by one thread and handed to whoever follows a container; nothing is polled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

from pydockmagic.client import ApiError, ClientError

if TYPE_CHECKING:
    from pydockmagic.client import Client, JsonStream

__all__ = ["EventFeed", "Follower"]

_SILENT = {
    "exec_create",
    "exec_start",
    "exec_die",
    "exec_detach",
    "attach",
    "detach",
    "top",
    "resize",
    "export",
    "copy",
}
"""Actions that change no state."""


class Follower(Protocol):
    """Something that shows containers."""

    @property
    def ids(self) -> frozenset[str]:
        """The containers that are shown."""
        ...

    def refresh(self, container: str, event: dict[str, Any]) -> None:
        """Ask anew how it stands with a container, of which the event tells."""
        ...

    def fail(self, reason: str) -> None:
        """Say that nothing more will come."""
        ...


class EventFeed:
    """Listens to the container events of one daemon until ``stop``, in a daemon thread."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._followers: list[Follower] = []
        self._guard = threading.Lock()
        self._stopped = False
        # Opened here and now: what happens after this line is heard.
        self._stream: JsonStream = client.events(filters={"type": ["container"]})
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
            self._followers = [*(each for each in self._followers if not instead(each)), follower]

    def stop(self) -> None:
        """Stop listening; returns when the thread has ended."""
        self._stopped = True
        self._stream.close()
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
        action = str(event.get("Action", "")).partition(":")[0]
        container = str((event.get("Actor") or {}).get("ID", ""))
        if action in _SILENT or not container:
            return

        def refresh(follower: Follower) -> None:
            if container in follower.ids:
                try:
                    follower.refresh(container, event)
                except ApiError as error:
                    follower.fail(str(error))

        self._each(refresh)

    def _each(self, call: Callable[[Follower], None]) -> None:
        with self._guard:
            followers = list(self._followers)
        for follower in followers:
            call(follower)
