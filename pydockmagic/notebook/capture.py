"""Where a command's output goes in a notebook: prints for text, one display that is kept up to date for progress.

A print goes unflushed to the cell (ipykernel sends what has gathered five times a second; a flush for each would be
six times as slow), a display is updated at most eight times a second. Nothing is written to the standard error stream,
not even what a container wrote to its own: graders give no points where a cell has any. Those lines come in their place
among the others, marked (``marks``), and the result keeps the two apart.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Protocol

from .boards import BuildBoard, PullBoard
from .flood import Flood
from .marks import Marks
from .screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

    from pydockmagic.commands import BuildProgress, BuildResult, OutputStream, PullProgress

__all__ = ["Board", "Canvas", "NotebookOutput", "bundle"]


class Board(Protocol):
    """Something that can be shown, again and again."""

    def plain(self) -> str:
        """Give it as text."""
        ...

    def html(self) -> str:
        """Give it as static HTML."""
        ...


def bundle(board: Board) -> dict[str, str]:
    """Give both forms of a display."""
    return {"text/plain": board.plain(), "text/html": board.html()}


class Canvas:
    """One output of a cell that is drawn over, at most ``rate`` times a second, and ends as one static output.

    Where ``still``, changes are not drawn as they come, only what they have come to (``settle``): what compares a
    notebook's outputs (nbval) knows of no output that was drawn over, and nobody looks.
    """

    def __init__(self, board: Board, rate: float, *, still: bool = False) -> None:
        self._board = board
        self._still = still
        self._stale = False
        self._pause = 1 / rate
        self._guard = threading.RLock()
        self._drawn = 0.0
        self._screen = Screen()
        self._timer: threading.Timer | None = None
        # A timer's thread draws in the cell that it was started from only within a copy of that cell's context.
        self._context = copy_context()

    def changed(self) -> None:
        """Draw soon: now, or when the pause since the last time is over."""
        with self._guard:
            self._stale = True
            if self._still:
                return
            left = self._drawn + self._pause - time.monotonic()
            if not self._screen.is_drawn or left <= 0:
                self.draw()
            elif self._timer is None:
                self._timer = threading.Timer(left, self._later)
                self._timer.daemon = True
                self._timer.start()

    def draw(self) -> None:
        """Draw now."""
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._drawn = time.monotonic()
            self._stale = False
            self._screen.draw(bundle(self._board))

    def settle(self) -> None:
        """Draw what is to stay, unless nobody looked at it on its way and it is drawn already."""
        with self._guard:
            if self._stale or not self._still:
                self.draw()

    def _later(self) -> None:
        with self._guard:
            if self._timer is not None:
                self._context.run(self.draw)


class NotebookOutput:
    """The output of one command in a cell.

    ``lines`` are shown as they come, 0 for all; of what follows there is the tail, and all of it in the file ``log``.
    ``keep`` is handed the build, if it was one, when it is over. ``still`` says that nobody watches progress.
    """

    def __init__(
        self,
        *,
        rate: float = 8,
        source: str = "",
        engine: Callable[[], str] = str,
        draws: bool = True,
        still: bool = False,
        lines: int = 0,
        log: Callable[[], Path | None] = lambda: None,
        keep: Callable[[BuildBoard], None] = lambda _: None,
    ) -> None:
        self.draws_progress = draws
        self._keep = keep
        self._still = still
        self._canvas: Callable[[Board], Canvas] = lambda board: Canvas(board, rate, still=still)
        self._engine = engine
        self.build = BuildBoard(source)
        self._build_canvas: Canvas | None = None
        self._pull = PullBoard()
        self._pull_canvas: Canvas | None = None
        self.wrote = False
        self._marks = Marks()
        # Where nothing can be drawn over, or no limit is wanted, every line is shown.
        self._flood = Flood(lines, log, self._canvas) if draws and lines else None

    def write(self, stream: OutputStream, text: str) -> None:  # noqa: ARG002 - both go the same way, see above
        """Show docker's own text; both streams go to the cell's standard output, in the order they came."""
        self._show(self._marks.take("stdout", text))

    def program(self, stream: OutputStream, text: str) -> None:
        """Show what a program wrote, lines of its standard error marked."""
        self._show(self._marks.take(stream, text))

    def _show(self, text: str) -> None:
        self.wrote = True
        if self._still:
            self._settle_pull()  # the text comes after it
        if self._flood is None:
            sys.stdout.write(text)
            return
        sys.stdout.write(self._flood.take(text))
        self._flood.draw()  # below what was written last

    def step(self, progress: BuildProgress) -> None:
        """Show how far a build is."""
        self.build.take(progress)
        self.build.engine = self._engine()  # known now that it answers: the first command has just started it
        if not self.draws_progress:
            return
        self._build_canvas = self._build_canvas or self._canvas(self.build)
        self._build_canvas.changed()

    def pull(self, progress: PullProgress) -> None:
        """Show how far a pull is."""
        if not self.draws_progress:
            return
        self._pull.take(progress)
        self._pull_canvas = self._pull_canvas or self._canvas(self._pull)
        self._pull_canvas.changed()

    @property
    def drew_build(self) -> bool:
        """Whether a build was shown."""
        return self._build_canvas is not None

    @property
    def drew_pull(self) -> bool:
        """Whether a pull was shown."""
        return self._pull_canvas is not None

    def finish(self, result: BuildResult | None = None) -> None:
        """Draw what was shown a last time, as it stays."""
        if self._flood is not None:
            self._flood.finish()
        self._settle_pull()
        if self.build.steps:
            self.build.stop()
            self.build.ended = _ending(self.build, result)
            self._keep(self.build)
        if self._build_canvas is not None:
            self._build_canvas.settle()

    def _settle_pull(self) -> None:
        if self._pull_canvas is not None:
            self._pull.done = True
            self._pull_canvas.settle()


def _ending(board: BuildBoard, result: BuildResult | None) -> str:
    steps = list(board.steps.values())
    cached = sum(step.state == "cached" for step in steps)
    times = [step.seconds for step in steps if step.seconds is not None]
    counts = f"{len(steps)} step{'' if len(steps) == 1 else 's'}, {cached} from the cache"
    if times:  # a plain Docker daemon tells none
        counts += f", {sum(times):.2f} s"
    if board.failed is not None:
        return f"Build failed at step {board.failed.index} of {board.failed.total}"
    if result is None or not result.id:
        return "Build stopped"
    names = ", ".join(result.tags)
    short = result.id.removeprefix("sha256:")[:12]
    return f"Built {f'{names} ({short})' if names else short}: {counts}"
