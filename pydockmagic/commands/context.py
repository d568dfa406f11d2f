"""What a command works with: the daemon, the place its output goes, the folder and input of its user."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

if TYPE_CHECKING:
    from pydockmagic.client import Client

__all__ = [
    "BuildProgress",
    "Connection",
    "Context",
    "Output",
    "OutputStream",
    "PullProgress",
    "Quiet",
    "Terminal",
]

OutputStream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """A build step began, said something, or ended.

    ``state`` is ``started``, ``output`` (then ``text`` holds what the step printed on ``stream``), ``cached``, ``done``
    or ``failed``. Lines are those of the Dockerfile, 1-based; 0 where the daemon does not tell (a real dockerd). Sizes
    in bytes, times in seconds.
    """

    index: int
    total: int
    instruction: str
    state: Literal["started", "output", "cached", "done", "failed"]
    first_line: int = 0
    last_line: int = 0
    text: str = ""
    stream: OutputStream = "stdout"
    reason: str = ""
    seconds: float | None = None
    size: int | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class PullProgress:
    """A message about a pull, push or load: ``id`` is the layer's short id (or the tag), empty for the whole image."""

    id: str
    status: str
    current: int = 0
    total: int = 0


class Output(Protocol):
    """Where a command's text and progress go while it runs."""

    @property
    def draws_progress(self) -> bool:
        """Whether ``step`` and ``pull`` are shown; then the plain text of builds and pulls is not written."""
        ...

    def write(self, stream: OutputStream, text: str) -> None:
        """Show docker's own text at once."""
        ...

    def program(self, stream: OutputStream, text: str) -> None:
        """Show at once what a container's program wrote."""
        ...

    def step(self, progress: BuildProgress) -> None:
        """Take note of a build's progress."""
        ...

    def pull(self, progress: PullProgress) -> None:
        """Take note of a pull's progress."""
        ...


class Quiet:
    """An output that shows nothing; results hold all text anyway."""

    draws_progress = False

    def write(self, stream: OutputStream, text: str) -> None:
        """Drop the text."""

    def program(self, stream: OutputStream, text: str) -> None:
        """Drop the text."""

    def step(self, progress: BuildProgress) -> None:
        """Drop the progress."""

    def pull(self, progress: PullProgress) -> None:
        """Drop the progress."""


class Terminal(Protocol):
    """A terminal on standard input and output, as ``run -it`` needs it; a notebook has none."""

    def size(self) -> tuple[int, int]:
        """Return height and width in characters."""
        ...

    def raw(self) -> AbstractContextManager[None]:
        """Pass every key through while inside."""
        ...

    def read(self) -> bytes:
        """Return the next keys; empty at the end. Returns empty too once ``wake`` was called."""
        ...

    def wake(self) -> None:
        """End a ``read`` that waits in another thread."""
        ...

    def write(self, data: bytes) -> None:
        """Show bytes as they are."""
        ...

    def on_resize(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Call back whenever the size changes, while inside."""
        ...


class Connection:
    """The daemon in use, connected to with the first command that needs it; shared by all contexts of a session."""

    def __init__(self, target: str | None = None, *, factory: Callable[[str | None], Client] | None = None) -> None:
        self.target = target
        self._factory = factory or _connect
        self._client: Client | None = None
        self._patience: float | None = None

    @property
    def client(self) -> Client:
        """The client; connecting may start the embedded engine."""
        if self._client is None:
            self._client = self._factory(self.target)
            if self._patience is not None:
                self._client.patience = self._patience
        return self._client

    @property
    def is_open(self) -> bool:
        """Whether a client was made already."""
        return self._client is not None

    @property
    def address(self) -> str:
        """The address in use, or what is asked for where nothing is connected yet."""
        if self._client is not None:
            return str(self._client.address)
        return self.target or ""

    def wait_for(self, seconds: float) -> None:
        """Ask the daemon whether it is still there after so many seconds of silence, and give it as many to answer."""
        self._patience = seconds
        if self._client is not None:
            self._client.patience = seconds

    def use(self, target: str | None) -> None:
        """Take another daemon from now on (``embedded``, a docker context, a URL; ``None`` for the usual choice)."""
        self.close()
        self.target = target

    def close(self) -> None:
        """Let go of the client; the next command connects again."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _connect(target: str | None) -> Client:
    from pydockmagic.client import connect  # noqa: PLC0415 - commands that never connect need no client

    return connect(target)


@dataclass(slots=True)
class Context:
    """One user's session, or one command of it (``dataclasses.replace`` gives a command its own input).

    ``stdin`` is what ``-i`` hands on (bytes, or an open file); ``interactive`` says that a person can answer questions,
    through ``ask``, and through ``secret`` without showing what they type. ``echo`` asks for every text to be written
    to ``output`` as it comes, as a terminal wants it; otherwise only what streams is written and the rest is in the
    result. ``binary`` takes archives (``docker save`` without ``-o``); there is none in a notebook.
    ``displays`` says that who asks can draw what the grammar calls displays.
    """

    output: Output = field(default_factory=Quiet)
    directory: Path = field(default_factory=Path.cwd)
    stdin: bytes | BinaryIO | None = None
    interactive: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    connection: Connection = field(default_factory=Connection)
    echo: bool = False
    ask: Callable[[str], str] | None = None
    secret: Callable[[str], str] | None = None
    terminal: Terminal | None = None
    columns: int = 80
    binary: BinaryIO | None = None
    displays: bool = False

    @property
    def client(self) -> Client:
        """The client of the daemon in use."""
        return self.connection.client

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        """Yield the standard input."""
        if self.stdin is None:
            return
        if isinstance(self.stdin, bytes):
            if self.stdin:
                yield self.stdin
            return
        while data := self.stdin.read(size):
            yield data
