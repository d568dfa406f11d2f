"""The way between a client and a daemon, with somebody's foot on it: it can be cut, and it can fall silent."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Wire", "wire"]


class Wire:
    """Carries bytes between the loopback and a daemon's unix socket, in a thread for each connection."""

    def __init__(self, target: str) -> None:
        self._target = target.removeprefix("unix://")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._guard = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._open = threading.Event()
        self._open.set()
        self._refusing = False
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and every new one at once, until ``mend``."""
        with self._guard:
            self._refusing = True
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _end(*pair)

    def silence(self) -> None:
        """Carry nothing any more, while every connection stays open and new ones are taken."""
        self._open.clear()

    def mend(self) -> None:
        """Be an ordinary way again; what fell silent stays dead, as after a long outage."""
        with self._guard:
            self._refusing = False
            silenced = [] if self._open.is_set() else self._pairs
            if silenced:
                self._pairs = []
        self._open.set()
        for pair in silenced:
            _end(*pair)

    def close(self) -> None:
        """Be gone."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            with self._guard:
                refused = self._refusing or self._closed
                if not refused:
                    try:
                        far.connect(self._target)
                    except OSError:
                        refused = True
                    else:
                        self._pairs.append((near, far))
            if refused:
                _end(near, far)
            else:
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        reading = [near, far]
        try:
            while reading:
                for source in select.select(reading, [], [])[0]:
                    self._open.wait()
                    if data := source.recv(65536):
                        other[source].sendall(data)
                    else:
                        reading.remove(source)
                        other[source].shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass
        _end(near, far)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def wire(target: str) -> Iterator[Wire]:
    """Lay a way to the daemon at ``target`` (``unix://...``)."""
    laid = Wire(target)
    try:
        yield laid
    finally:
        laid.close()
