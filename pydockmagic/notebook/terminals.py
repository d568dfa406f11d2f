"""``-it`` in a cell: the command goes on in the background, and its terminal is in the page.

The cell ends as soon as the program is attached, since keys cannot reach a kernel that is busy with a cell. When the
program ends, the last screen and the exit code take the place of the live view, and are what the notebook saves.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .emulator import Emulator
from .screen import Screen
from .session import guarded
from .widgets.terminal import TerminalView

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.commands import BuildProgress, OutputStream, PullProgress, Result

    from .magics import DockMagic
    from .widgets.terminal_live import TerminalWidget

__all__ = ["TerminalSession"]

_ROWS, _COLUMNS = 24, 80
_GIVING_UP = 5.0


class _PageTerminal:
    """``commands.Terminal`` on a widget: the program's terminal is in a browser."""

    def __init__(self) -> None:
        self.attached = False
        self.settled = threading.Event()
        """The program is attached, or the command has ended without."""
        self.widget: TerminalWidget | None = None
        self.emulator = Emulator(_ROWS, _COLUMNS, answer=self.typed)
        self._keys: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.given_up = False
        """A person has interrupted the start: whatever comes next breaks it off."""

    def check(self) -> None:
        """Break off what the person does not want any more."""
        if self.given_up:
            raise KeyboardInterrupt

    def size(self) -> tuple[int, int]:
        return self.emulator.size

    @contextmanager
    def raw(self) -> Iterator[None]:
        yield

    def read(self) -> bytes:
        return self._keys.get()

    def wake(self) -> None:
        self._keys.put(b"")

    def typed(self, data: bytes) -> None:
        """Take keys from the page; an empty message is none, for it would mean the end."""
        if data:
            self._keys.put(data)

    def write(self, data: bytes) -> None:
        if self.widget is not None:
            self.widget.feed(data)
        else:
            self.emulator.feed(data)

    @contextmanager
    def on_resize(self, callback: Callable[[], None]) -> Iterator[None]:
        assert self.widget is not None
        self.check()
        self.widget.resized = callback
        self.attached = True
        self.settled.set()
        try:
            yield
        finally:
            self.widget.resized = None


class _TerminalOutput:
    """What the command itself says, such as the progress of a pull, goes to the same screen."""

    draws_progress = False

    def __init__(self, terminal: _PageTerminal) -> None:
        self._terminal = terminal

    def write(self, stream: OutputStream, text: str) -> None:  # noqa: ARG002 - a terminal has one stream
        self._terminal.check()
        self._terminal.write(text.replace("\n", "\r\n").encode())

    def program(self, stream: OutputStream, text: str) -> None:
        """Show what a program wrote that has no terminal of its own."""
        self.write(stream, text)

    def step(self, progress: BuildProgress) -> None:
        """Nothing to add to docker's own text."""

    def pull(self, progress: PullProgress) -> None:  # noqa: ARG002 - docker's own text has it
        """Nothing to add to docker's own text."""
        self._terminal.check()


class TerminalSession:
    """A command with its terminal in the page. ``wait`` gives its result; ``send`` types for the person."""

    def __init__(self, magics: DockMagic, words: Sequence[str]) -> None:
        self._words = list(words)
        self._title = f"docker {' '.join(words)}".replace("docker container ", "docker ")
        self._token = uuid4().hex[:12]
        self._engine = magics.session.engine()
        self._terminal = _PageTerminal()
        self._emulator = self._terminal.emulator
        self._screen = Screen()
        self._summary = ""
        self._result: Result | None = None
        self._error: Exception | None = None
        self._done = threading.Event()

    def begin(self, magics: DockMagic) -> TerminalSession:
        """Show the terminal, start the command, and wait until its program is attached (or has failed)."""
        from dataclasses import replace  # noqa: PLC0415

        context = magics.session.context(_TerminalOutput(self._terminal), ask=None)
        _ = context.client  # an engine that does not answer is told by the cell, not in the terminal
        self._engine = magics.session.engine()
        self._draw()
        self._terminal.widget = widget = magics.views.terminal(self.view(), self._emulator)
        widget.typed = self._terminal.typed
        context = replace(context, terminal=self._terminal, echo=True)
        run = copy_context().run
        thread = threading.Thread(target=run, args=(self._run, context), daemon=True, name="pydock-terminal")
        thread.start()
        try:
            self._terminal.settled.wait()
        except KeyboardInterrupt:
            self._give_up(context.client, thread)
        if self._error is not None and not self._terminal.attached:
            raise self._error
        return self

    def _give_up(self, client: Client, thread: threading.Thread) -> None:
        """Break off the start, and wait until nothing more comes of it. Raises ``CommandError`` with what is left."""
        from pydockmagic.commands import Interrupted  # noqa: PLC0415

        self._terminal.given_up = True
        client.wake(thread.ident or 0)
        self._done.wait(_GIVING_UP)
        left = ""
        if self._error is not None:
            left = str(self._error).removeprefix("interrupted: ").rpartition("was lost; ")[2]
        raise Interrupted(f"interrupted: {left}" if left else "interrupted", 130)

    def send(self, text: str) -> None:
        """Type text."""
        self._terminal.typed(text.encode())

    def wait(self, timeout: float | None = None) -> Result:
        """Wait for the end and return the result. Raises ``TimeoutError``, or what made the command fail."""
        if not self._done.wait(timeout):
            raise TimeoutError(f"{self._title} goes on")
        if self._error is not None:
            with guarded():
                raise self._error
        assert self._result is not None
        return self._result

    @property
    def text(self) -> str:
        """Everything that the terminal has shown so far."""
        return self._emulator.text()

    def view(self) -> TerminalView:
        """Give the screen as it is now."""
        rows, text = self._emulator.rows(), self._emulator.text()
        return TerminalView(self._token, self._title, rows, text, self._summary, self._engine)

    @property
    def widget(self) -> TerminalWidget | None:
        """The terminal as a widget, for front ends that show widgets only where they are displayed: ``t.widget``."""
        widget = self._terminal.widget
        if widget is not None:
            widget.still = lambda: self.view().html()
        return widget

    def __repr__(self) -> str:
        return str(self.view())

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        return {}  # its own display is in the cell already

    def _run(self, context: Any) -> None:
        from pydockmagic.commands import CommandError, execute  # noqa: PLC0415

        try:
            self._result = execute(self._words, context)
            self._summary = f"ended with exit code {self._result.exit_code}"
        except CommandError as error:
            self._error = error
            self._summary = error.message
        except Exception as error:  # noqa: BLE001 - a thread's error is shown in the view, whatever it is
            self._error = error
            self._summary = f"{type(error).__name__}: {error}"
        finally:
            if self._terminal.widget is not None:
                self._terminal.widget.end(self._summary)
            with suppress(Exception):  # the page may be gone
                self._draw()
            self._done.set()
            self._terminal.settled.set()

    def _draw(self) -> None:
        view = self.view()
        self._screen.draw({"text/plain": str(view), "text/html": view.html()})
