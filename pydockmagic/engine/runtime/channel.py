"""The engine's end of a connection to a zygote or supervisor, for asyncio."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pydockmagic.engine.errors import EngineError, StartError

from . import wire

__all__ = ["Channel", "Message"]

Message = dict[str, Any]


class Channel:
    """Requests and their answers over one socket; events go to ``on_event``, the end to ``on_close``."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        on_event: Callable[[Message], None] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._receiver = wire.Receiver(connection)
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._on_close = on_close
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._unsent: deque[tuple[Message, list[int]]] = deque()
        self._loop.add_reader(connection.fileno(), self._readable)

    @property
    def open(self) -> bool:
        """Say whether the other side is there, as far as known."""
        return self._connection.fileno() >= 0

    async def request(self, operation: str, descriptors: Sequence[int] = (), **fields: Any) -> Any:
        """Ask and give the answer. Raises ProcessLookupError, StartError, or ConnectionError when the end came."""
        if not self.open:
            raise ConnectionResetError("the connection is closed")
        number = next(self._numbers)
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[number] = answer
        self._send({"id": number, "op": operation, **fields}, descriptors)
        try:
            message = await answer
        finally:
            self._answers.pop(number, None)
        return unwrap(message)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection.fileno() < 0:
            return
        self._loop.remove_reader(self._connection.fileno())
        self._loop.remove_writer(self._connection.fileno())
        self._connection.close()
        for _, descriptors in self._unsent:
            wire.close_all(descriptors)
        self._unsent.clear()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the connection was closed"))

    def _send(self, message: Message, descriptors: Sequence[int]) -> None:
        if not self._unsent:
            try:
                wire.send(self._connection, message, descriptors, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._loop.add_writer(self._connection.fileno(), self._writable)
            except OSError:
                self._ended()
                return
            else:
                return
        self._unsent.append((message, [os.dup(descriptor) for descriptor in descriptors]))

    def _writable(self) -> None:
        while self._unsent:
            message, descriptors = self._unsent[0]
            try:
                wire.send(self._connection, message, descriptors, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self._ended()
                return
            wire.close_all(descriptors)
            self._unsent.popleft()
        self._loop.remove_writer(self._connection.fileno())

    def _readable(self) -> None:
        while self.open:
            try:
                received = self._receiver.receive()
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._ended()
                return
            message, descriptors = received
            wire.close_all(descriptors)  # none is ever meant for the engine
            answer = self._answers.get(message.get("id", 0))
            if answer is not None:
                if not answer.done():
                    answer.set_result(message)
            elif self._on_event is not None and "id" not in message:
                self._on_event(message)

    def _ended(self) -> None:
        self.close()
        if self._on_close is not None:
            self._on_close()


def unwrap(message: Message) -> Any:
    """Give what an answer holds, or raise what it says. Source: ``control.py``."""
    if "gone" in message:
        raise ProcessLookupError(message["gone"])
    if "error" in message:
        if message.get("kind") == "engine":
            raise EngineError(message["error"])
        raise StartError(message["error"], int(message.get("exit_code", 128)))
    return message.get("ok")
