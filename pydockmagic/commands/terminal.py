"""The terminal that a program was started in: raw keys for ``run -it``, for ``pydock`` and IPython alike."""

from __future__ import annotations

import os
import select
import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["ProcessTerminal", "process_terminal"]


def process_terminal() -> ProcessTerminal | None:
    """Give the terminal on our standard input and output; ``None`` where the input is none."""
    try:
        source, target = sys.stdin.fileno(), sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return None  # a stream that is closed, or only looks like one
    return ProcessTerminal(source, target) if os.isatty(source) else None


class ProcessTerminal:
    """The terminal on our standard input and output."""

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target
        self._waker, self._wake = os.pipe()
        # Not before the thread that reads has let go: a number that is closed may be another file's a moment later.
        weakref.finalize(self, _close, self._waker, self._wake)

    def size(self) -> tuple[int, int]:
        """Return height and width in characters."""
        for descriptor in (self._source, self._target):
            with suppress(OSError):
                found = os.get_terminal_size(descriptor)
                return found.lines, found.columns
        return 24, 80

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Pass every key through while inside; the terminal's own settings come back whatever happens."""
        import termios  # noqa: PLC0415 - only for -t
        import tty  # noqa: PLC0415

        before = termios.tcgetattr(self._source)
        tty.setraw(self._source, termios.TCSADRAIN)
        try:
            yield
        finally:
            termios.tcsetattr(self._source, termios.TCSADRAIN, before)

    def read(self) -> bytes:
        """Return the next keys; empty at the end, and after ``wake``."""
        ready, _, _ = select.select([self._source, self._waker], [], [])
        if self._waker in ready:
            return b""
        try:
            return os.read(self._source, 4096)
        except OSError:
            return b""

    def wake(self) -> None:
        """End a ``read`` that waits in another thread, and all later ones."""
        with suppress(OSError):
            os.write(self._wake, b"\0")

    def write(self, data: bytes) -> None:
        """Show bytes as they are."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._target, view) :]

    @contextmanager
    def on_resize(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call back whenever the window changes its size, while inside."""

        def changed(_number: int, _frame: FrameType | None) -> None:
            callback()

        before = signal.signal(signal.SIGWINCH, changed)
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
