"""Readings of ``docker stats``, as they stream in: for views that show what a container uses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ClientError

if TYPE_CHECKING:
    from pydockmagic.client import Client, JsonStream

__all__ = ["StatsReader"]


class StatsReader:
    """Hands on each reading of a running container, in a daemon thread, until the container or its reader stops."""

    def __init__(self, client: Client, container: str, take: Callable[[dict[str, Any]], None]) -> None:
        self._client = client
        self._container = container
        self._take = take
        self._stream: JsonStream | None = None
        self._stopped = threading.Event()
        run = copy_context().run
        self._thread = threading.Thread(target=run, args=(self._read,), daemon=True, name="pydock-stats")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether readings still come."""
        return self._thread.is_alive() and not self._stopped.is_set()

    def stop(self) -> None:
        """Let go; returns at once."""
        self._stopped.set()
        if self._stream is not None:
            self._stream.close()

    def _read(self) -> None:
        try:
            with self._client.container_stats_stream(self._container) as stream:
                self._stream = stream
                for document in stream:
                    if self._stopped.is_set() or not (document.get("cpu_stats") or {}).get("system_cpu_usage"):
                        return  # it has ended; the event of the next start begins anew
                    self._take(document)
        except (ClientError, OSError):
            return  # events tell what became of the container
