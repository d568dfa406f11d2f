"""Talking with a container's program: its output to the sink, our input to it, interrupts passed on.

The main thread reads (so that an interrupt reaches it), another one writes. On a terminal keys go through as they are
and the detach keys are looked for; elsewhere output comes in frames, stdout and stderr apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from pydockmagic.client import ClientError, Demultiplexer, Hijacked

from .keys import DetachKeys

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context

    from .sink import Sink

__all__ = ["Interrupts", "Session"]

_PATIENCE = 3.0
_ENOUGH = 3
_DEAF = (
    "\nThe program did not react to the interrupt (the first process of a container ignores signals that it has no "
    "handler for), so it is killed.\n"
)


class Interrupts:
    """What to do when a person interrupts: pass it on first, kill next, at last let go.

    ``send`` sends a signal to the container; ``None`` where it gets none (``exec``, ``--sig-proxy=false``). On a
    terminal (``echo``) docker's own way holds: pass on twice, give up at the third. Elsewhere a program that does not
    react to the first one within 3 seconds is killed without a second one: a cell that was interrupted must not leave
    its container running. Who only joined a container (``kills`` is false) lets it go instead.
    """

    def __init__(self, send: Callable[[str], None] | None, context: Context, *, kills: bool = True) -> None:
        self._send = send
        self.kills = kills
        self._echo = context.echo
        self.count = 0

    def happened(self) -> bool:
        """Take note of one; returns whether to go on reading."""
        self.count += 1
        if self._send is None or self.count >= _ENOUGH or (self.count > 1 and not (self.kills or self._echo)):
            return False
        signal = "SIGINT" if self.count == 1 or self._echo else "SIGKILL"
        with suppress(ClientError):
            self._send(signal)
        return True


class Session:
    """One attached conversation.

    ``run`` returns when the program's output ends; ``detached`` is set where the person asked to be let go.
    """

    def __init__(
        self, stream: Hijacked, sink: Sink, context: Context, interrupts: Interrupts, keys: DetachKeys
    ) -> None:
        self._stream = stream
        self._sink = sink
        self._context = context
        self._interrupts = interrupts
        self._keys = keys
        self.detached = False

    def run(
        self,
        *,
        stdin: bool,
        tty: bool,
        on_start: Callable[[], None] | None = None,
        resize: Callable[[int, int], None] | None = None,
    ) -> None:
        """Talk until the output ends; ``on_start`` is called once everything is connected."""
        terminal = self._context.terminal if tty else None
        with ExitStack() as stack:
            stack.callback(self._stream.close)
            if terminal is not None:
                stack.enter_context(terminal.raw())
                stack.callback(terminal.wake)
            if on_start is not None:
                on_start()
            if terminal is not None and resize is not None:

                def resized() -> None:
                    with suppress(ClientError):
                        resize(*terminal.size())

                resized()
                stack.enter_context(terminal.on_resize(resized))
            if stdin:
                writer = threading.Thread(target=self._write, args=(tty,), name="stdin", daemon=True)
                writer.start()
            self._read()

    def _write(self, tty: bool) -> None:
        """Send our input; the end of it is told, unless the person detaches."""
        terminal = self._context.terminal if tty else None
        pieces = iter(terminal.read, b"") if terminal is not None else self._context.chunks()
        try:
            for piece in pieces:
                data, found = self._keys.feed(piece) if terminal is not None else (piece, False)
                if data:
                    self._stream.write(data)
                if found:
                    self.detached = True
                    self._stream.close()
                    return
            if terminal is None or not self._stream.closed:
                self._stream.close_stdin()
        except (ClientError, OSError, ValueError):
            return  # the program ended, or closed its input: what it has to say comes through the output

    def _read(self) -> None:
        """Show output to its end; after an interrupt the program has some seconds, however much it says meanwhile."""
        frames = Demultiplexer()
        deadline: float | None = None
        while True:
            try:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError  # noqa: TRY301 - as the read itself does
                data = self._stream.read(timeout=left)
                if not data:
                    return
                if self._stream.tty:
                    self._show(data)
                else:
                    for frame in frames.feed(data):
                        self._sink.frame(frame.stream, frame.data)
            except TimeoutError:
                deadline = None
                if self._interrupts.kills:
                    self._sink.out(_DEAF)
                if not self._interrupts.happened():
                    self.detached = True
                    return
            except KeyboardInterrupt:
                if not self._interrupts.happened():
                    self.detached = True
                    return
                patient = self._interrupts.count > 1 or self._context.echo
                deadline = None if patient else time.monotonic() + _PATIENCE

    def _show(self, data: bytes) -> None:
        if self._context.terminal is not None:
            self._context.terminal.write(data)
        else:
            self._sink.frame("stdout", data)
