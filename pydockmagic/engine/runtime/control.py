"""Serves engines on a socket: requests in, answers and events out. For the zygote and the supervisors.

A request is ``{"id": n, "op": name, ...}``, its answer ``{"id": n, "ok": ...}``, ``{"id": n, "gone": text}`` (the
process does not run) or ``{"id": n, "error": text, "exit_code": n}``; an event has no id. Standard library only.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from . import wire
from .loop import READ, Loop
from .refusal import Refusal, sentence

__all__ = ["Handler", "Message", "Reply", "Server"]

Message = dict[str, Any]
Reply = Callable[[Message], None]
Handler = Callable[[Message, list[int], Reply], "Message | None"]
"""Takes a request, its descriptors (now its own) and a way to answer later (then it gives None)."""


class Server:
    """The connections of engines to one zygote or supervisor."""

    def __init__(
        self,
        loop: Loop,
        handlers: Mapping[str, Handler],
        listener: socket.socket | None = None,
        *,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._handlers = handlers
        self._listener: socket.socket | None = None
        self._on_idle = on_idle
        self._connections: dict[int, tuple[socket.socket, wire.Receiver]] = {}
        if listener is not None:
            self.listen(listener)

    def listen(self, listener: socket.socket) -> None:
        """Serve whoever connects to this socket."""
        self._listener = listener
        self._loop.watch(listener.fileno(), READ, lambda _events: self._accept())

    @property
    def connections(self) -> int:
        """Count the engines that are connected."""
        return len(self._connections)

    def descriptors(self) -> list[int]:
        """Give every descriptor in use here, for a fork to close."""
        listening = [self._listener.fileno()] if self._listener is not None else []
        return [*listening, *self._connections]

    def add(self, connection: socket.socket) -> None:
        """Serve one more engine."""
        connection.setblocking(False)
        number = connection.fileno()
        self._connections[number] = (connection, wire.Receiver(connection))
        self._loop.watch(number, READ, lambda _events: self._hear(number))

    def tell(self, event: Message) -> None:
        """Send an event to every engine."""
        for connection, _ in list(self._connections.values()):
            self._send(connection, event)

    def close_listener(self) -> None:
        """Take no more engines."""
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went away again
            return
        self.add(connection)

    def _hear(self, number: int) -> None:
        connection, receiver = self._connections[number]
        try:
            received = receiver.receive()
        except BlockingIOError:
            return
        except (OSError, ValueError):
            received = None
        if received is None:
            self._drop(number)
            return
        message, descriptors = received
        answer = self._answer(
            message, descriptors, lambda reply: self._send(connection, {"id": message["id"], **reply})
        )
        if answer is not None:
            self._send(connection, {"id": message["id"], **answer})

    def _answer(self, message: Message, descriptors: list[int], later: Reply) -> Message | None:
        try:
            handler = self._handlers.get(message["op"])
            if handler is None:
                wire.close_all(descriptors)
                return {"error": f"unknown request: {message['op']}", "exit_code": 128}
            return handler(message, descriptors, later)
        except ProcessLookupError as error:
            return {"gone": str(error)}
        except Refusal as error:
            return {"error": sentence(str(error), bare=error.bare, in_exec=True), "exit_code": 128}
        except OSError as error:
            return {"error": error.strerror or str(error), "exit_code": 128}

    def _send(self, connection: socket.socket, message: Message) -> None:
        if connection.fileno() < 0:
            return
        try:
            wire.send(connection, message, flags=socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # gone, or it reads nothing: it may connect again
            self._drop(connection.fileno())

    def _drop(self, number: int) -> None:
        entry = self._connections.pop(number, None)
        if entry:
            self._loop.forget(number)
            entry[0].close()
        if not self._connections and self._on_idle is not None:
            self._on_idle()
