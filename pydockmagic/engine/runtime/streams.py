"""A process' terminal or pipes, and the clients attached to them.

What a process writes goes to its log and to every client. A client that does not read has up to ``BUFFER`` bytes
kept for it; beyond that the process is held up, as in Docker, so that nothing is lost; a client that takes nothing
for ``PATIENCE`` seconds is let go, so that neither the process nor its log waits for ever.
Standard library only; runs in the supervisor.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .logs import LogWriter
from .loop import HANGUP, READ, WRITE, Loop, Timer

__all__ = ["BUFFER", "PATIENCE", "Client", "Streams"]

BUFFER = 4 << 20
PATIENCE = 600.0
_CHUNK = 64 * 1024
_STDIN_AHEAD = 256 * 1024
_STDOUT, _STDERR = 1, 2
_NAMES = {_STDOUT: "stdout", _STDERR: "stderr"}


class Client:
    """One attached stream: a socket of the engine, in Docker's format (frames, or raw with a terminal)."""

    def __init__(self, streams: Streams, connection: socket.socket, request: Mapping[str, Any]) -> None:
        self._streams = streams
        self._connection = connection
        self.wants = {number for number, name in _NAMES.items() if request[name]}
        self.reads_stdin = bool(request["stdin"])
        self.ends_stdin = bool(request.get("stdin_once", True))
        self._queue: deque[bytes] = deque()
        self.waiting = 0
        self._ending = False
        self._patience: Timer | None = None
        connection.setblocking(False)
        streams.loop.watch(connection.fileno(), READ, self._ready)
        self._events = READ
        self._reading = True
        self._half_closed = False

    def give(self, data: bytes) -> None:
        """Send output, now or when the client takes it."""
        if not self._queue:
            data = data[self._try(data) :]
        if data and self._connection.fileno() >= 0:
            self._queue.append(data)
            self.waiting += len(data)
            self._update()

    def end(self) -> None:
        """Let go of the client once it has everything."""
        self._ending = True
        if not self._queue:
            self.close()

    def hold_input(self, *, hold: bool) -> None:
        """Stop or go on reading what the client sends to the process."""
        self._reading = not hold and not self._half_closed
        self._update()

    def close(self) -> None:
        """Let go of the client now."""
        if self._connection.fileno() < 0:
            return
        if self._patience:
            self._patience.cancel()
        self._streams.loop.forget(self._connection.fileno())
        self._connection.close()
        self._streams.left(self)

    def _try(self, data: bytes) -> int:
        try:
            return self._connection.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:
            self._lost()
            return 0

    def _lost(self) -> None:
        """Let go of a client that went away: what it sent before still counts, and then its input has an end."""
        if self.reads_stdin and not self._half_closed:
            self._half_closed = True
            with contextlib.suppress(OSError):
                while data := self._connection.recv(_CHUNK):
                    self._streams.feed(data)
            if self.ends_stdin:
                self._streams.end_input()
        self.close()

    def _ready(self, events: int) -> None:
        if events & READ:
            self._receive()
        if self._connection.fileno() >= 0 and events & WRITE:
            self._flush()
        if self._connection.fileno() >= 0 and events & HANGUP and not events & READ:
            self._lost()

    def _receive(self) -> None:
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            if self.reads_stdin:
                self._streams.feed(data)
            return
        self._half_closed, self._reading = True, False  # output still goes out
        self._update()
        if self.reads_stdin and self.ends_stdin:
            self._streams.end_input()

    def _flush(self) -> None:
        while self._queue:
            data = self._queue[0]
            sent = self._try(data)
            if self._connection.fileno() < 0:
                return
            if not sent:
                return
            self.waiting -= sent
            if self._patience:
                self._patience.cancel()
                self._patience = None
            if sent < len(data):
                self._queue[0] = data[sent:]
                break
            self._queue.popleft()
        self._update()
        self._streams.drained()
        if self._ending and not self._queue:
            self.close()

    def _update(self) -> None:
        if self._connection.fileno() < 0:
            return
        if self._queue and not self._patience:
            self._patience = self._streams.loop.after(PATIENCE, self.close)
        events = (READ if self._reading else 0) | (WRITE if self._queue else 0)
        if events != self._events:
            self._events = events
            self._streams.loop.change(self._connection.fileno(), events)


class Streams:
    """The descriptors of one process: ``outputs`` are {1: stdout, 2: stderr} or {1: terminal}, ``stdin`` or -1."""

    def __init__(
        self, loop: Loop, outputs: Mapping[int, int], stdin: int, *, terminal: bool, log: LogWriter | None
    ) -> None:
        self.loop = loop
        self.terminal = terminal
        self._outputs = dict(outputs)
        self._stdin = stdin
        self._log = log
        self._clients: list[Client] = []
        self._input: deque[bytes] = deque()
        self._input_size = 0
        self._input_ends = False
        self._held = False
        self._on_silence: Callable[[], None] | None = None
        self._on_end: Callable[[], None] | None = None
        for number, descriptor in self._outputs.items():
            os.set_blocking(descriptor, False)
            loop.watch(descriptor, READ, self._reader(number))
        if stdin >= 0 and not terminal:
            os.set_blocking(stdin, False)
            loop.watch(stdin, 0, self._input_ready)

    @property
    def open(self) -> bool:
        """Say whether output may still come."""
        return bool(self._outputs)

    @property
    def clients(self) -> int:
        """Count the attached clients."""
        return len(self._clients)

    def attach(self, connection: socket.socket, request: Mapping[str, Any]) -> None:
        """Connect a client, from now on."""
        client = Client(self, connection, request)
        self._clients.append(client)
        if not self._outputs:
            client.end()

    def left(self, client: Client) -> None:
        """Forget a client that is gone."""
        if client in self._clients:
            self._clients.remove(client)
        self.drained()
        self._tell()

    def when_silent(self, call: Callable[[], None]) -> None:
        """Call once when the output has ended."""
        self._on_silence = call
        self._tell()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call once when the output has ended and every client has it."""
        self._on_end = call
        self._tell()

    def feed(self, data: bytes) -> None:
        """Write to the process' stdin, now or when it reads."""
        if self._stdin < 0 or self._input_ends:
            return
        if not self._input:
            data = data[self._write(data) :]
        if data and self._stdin >= 0:
            self._input.append(data)
            self._input_size += len(data)
            self._watch_input()

    def end_input(self) -> None:
        """Close the process' stdin once it has read all; a terminal stays open, as in Docker."""
        if self.terminal:
            return
        self._input_ends = True
        if not self._input:
            self._close_input()

    def drain(self) -> None:
        """Read what is left in the pipes of a process that has ended."""
        for number, descriptor in list(self._outputs.items()):
            while number in self._outputs and self._read(number, descriptor):
                pass

    def close_outputs(self) -> None:
        """Read no more, and let go of clients once they have everything."""
        for number in list(self._outputs):
            self._close_output(number)

    @property
    def terminal_descriptor(self) -> int:
        """Give the terminal's master, or -1."""
        return self._outputs.get(_STDOUT, -1) if self.terminal else -1

    def drained(self) -> None:
        """Go on reading from the process if it was held up and no client lags now."""
        if self._held and all(client.waiting <= BUFFER // 2 for client in self._clients):
            self._held = False
            self._watch_outputs()

    def _reader(self, number: int) -> Callable[[int], None]:
        return lambda _events: self._output_ready(number)

    def _output_ready(self, number: int) -> None:
        descriptor = self._outputs.get(number, -1)
        if descriptor >= 0 and not self._held:
            self._read(number, descriptor)
        elif descriptor >= 0:
            self.loop.forget(descriptor)  # ended while held up: epoll would report that again and again

    def _read(self, number: int, descriptor: int) -> bool:
        """Read once; give whether there may be more right now."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: every program closed the terminal
            data = b""
        if not data:
            self._close_output(number)
            return False
        if self._log is not None:
            self._log.write(_NAMES[number], data)
        framed = data if self.terminal else struct.pack(">BxxxI", number, len(data)) + data
        for client in list(self._clients):
            if number in client.wants:
                client.give(framed)
        if not self._held and any(client.waiting > BUFFER for client in self._clients):
            self._held = True
            self._watch_outputs()
        return True

    def _watch_outputs(self) -> None:
        for number, descriptor in self._outputs.items():
            self.loop.watch(descriptor, 0 if self._held else READ, self._reader(number))
            if self.terminal and self._stdin == descriptor:
                self._watch_input()

    def _close_output(self, number: int) -> None:
        descriptor = self._outputs.pop(number)
        self.loop.forget(descriptor)
        if descriptor == self._stdin:
            self._stdin = -1
        os.close(descriptor)
        if not self._outputs:
            self._close_input()
            for client in list(self._clients):
                client.end()
            self._tell()

    def _tell(self) -> None:
        if self._on_silence and not self._outputs:
            call, self._on_silence = self._on_silence, None
            call()
        if self._on_end and not self._outputs and not self._clients:
            call, self._on_end = self._on_end, None
            call()

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0
        except OSError:  # nobody reads any more
            self._close_input()
            return 0

    def _input_ready(self, events: int) -> None:
        while self._input and self._stdin >= 0:
            data = self._input[0]
            written = self._write(data)
            if not written:
                break
            self._input_size -= written
            if written < len(data):
                self._input[0] = data[written:]
                break
            self._input.popleft()
        if self._stdin < 0:
            return
        if (self._input_ends and not self._input) or events & HANGUP:
            self._close_input()
        else:
            self._watch_input()

    def _watch_input(self) -> None:
        """Wait for room in stdin while something is queued, and hold clients that send too much."""
        if self._stdin < 0:
            return
        pending = WRITE if self._input else 0
        if self.terminal:
            self.loop.watch(self._stdin, pending | (0 if self._held else READ), self._terminal_ready)
        else:
            self.loop.change(self._stdin, pending)
        for client in self._clients:
            if client.reads_stdin:
                client.hold_input(hold=self._input_size > _STDIN_AHEAD)

    def _terminal_ready(self, events: int) -> None:
        if events & WRITE:
            self._input_ready(events & WRITE)
        if events & ~WRITE:
            self._output_ready(_STDOUT)

    def _close_input(self) -> None:
        self._input.clear()
        self._input_size = 0
        if self._stdin < 0:
            return
        if not self.terminal:
            self.loop.forget(self._stdin)
            os.close(self._stdin)
        self._stdin = -1
