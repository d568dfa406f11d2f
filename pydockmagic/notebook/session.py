"""What lasts from cell to cell: the engine in use, and the live displays that listen to it."""

from __future__ import annotations

import getpass
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import DockerError

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.commands import Connection, Context, Output, Result

    from .boards import BuildBoard
    from .feed import EventFeed

__all__ = ["ANOTHER", "Session", "guarded"]

ANOTHER = "No longer live: another engine is in use."


@dataclass
class Session:
    """One kernel's relation to an engine. Nothing is connected or started before the first command."""

    live: Callable[[], bool] = lambda: False
    """Whether somebody looks who can be shown a live view."""
    _connection: Connection | None = None
    shown: Result | None = None
    """The result that the running cell has shown already, while it ran."""
    logs: int = 0
    """How many outputs of the running cell were too long for it."""
    build: BuildBoard | None = None
    """The latest build, as far as it came."""
    feed: EventFeed | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def connection(self) -> Connection:
        """The way to the engine in use, connected or not."""
        if self._connection is None:
            from pydockmagic.commands import Connection  # noqa: PLC0415 - %load_ext is to be quick

            self._connection = Connection()
        return self._connection

    @property
    def client(self) -> Client:
        """The client of the engine in use; an embedded engine that went away when idle is started again."""
        from pydockmagic.client import embedded  # noqa: PLC0415

        connected = self.connection.is_open and self.connection.client.address.is_embedded
        if connected and not embedded.status().running:
            self.connection.close()
        client = self.connection.client
        if self.feed is not None and not self.feed.is_heard:
            self.feed.nudge()
        return client

    def context(
        self,
        output: Output,
        *,
        stdin: bytes | None = None,
        ask: Callable[[str], str] | None = None,
        kernel: bool = True,
    ) -> Context:
        """Give the context of one command; outside of a kernel the terminal is the person's own."""
        from pydockmagic.commands import Context, process_terminal  # noqa: PLC0415

        if self.connection.is_open:
            _ = self.client  # sees to it that an embedded engine is there
        return Context(
            output=output,
            directory=Path.cwd(),
            stdin=stdin,
            interactive=ask is not None,
            ask=ask,
            secret=None if ask is None else _secret,
            connection=self.connection,
            terminal=None if kernel or stdin is not None else process_terminal(),
            displays=True,
        )

    def begin_cell(self, _info: object = None) -> None:
        """Forget what the cell before has shown: a result that is looked at again is shown again."""
        self.shown = None
        self.logs = 0

    def keep_build(self, board: BuildBoard) -> None:
        """Remember a build, to be looked at."""
        self.build = board

    def use(self, target: str | None) -> None:
        """Take another engine from now on."""
        self.stop_feed(ANOTHER)
        self.connection.use(target)

    def engine(self) -> str:
        """Name the engine in use in a few words."""
        if not self.connection.is_open:
            return self.connection.target or ""
        address = self.connection.client.address
        return "embedded engine" if address.is_embedded else str(address)

    def is_embedded(self) -> bool:
        """Whether the engine in use is our own, started for this user."""
        return self.engine() in ("", "embedded", "embedded engine")

    def follow(self) -> EventFeed:
        """Give the feed of the engine's events, listening already."""
        from .feed import EventFeed  # noqa: PLC0415

        with self._guard:
            if self.feed is None or not self.feed.alive:
                self.feed = EventFeed(self.client)
            elif not self.feed.is_heard:
                self.client.ping()  # starts an embedded engine that had ended, and says what stands against the others
            return self.feed

    def stop_feed(self, reason: str = "") -> None:
        """Stop listening to events, and say why where they were shown."""
        if self.feed is not None:
            self.feed.stop(reason)
            self.feed = None

    def close(self) -> None:
        """Let go of everything."""
        self.stop_feed()
        if self._connection is not None:
            self._connection.close()


class guarded:  # noqa: N801 - reads as a word of the language: `with guarded():`
    """Turn what the commands and the client raise into the error that a cell shows."""

    def __enter__(self) -> None:
        """Nothing is needed beforehand."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Raise a ``DockerError`` in the place of an error of ours; others pass."""
        if error is None:
            return
        if isinstance(error, KeyboardInterrupt):
            raise DockerError("interrupted", exit_code=130) from None
        from pydockmagic.client import ClientError, ConnectionFailed, ConnectionLost  # noqa: PLC0415
        from pydockmagic.commands import CommandError, Lost  # noqa: PLC0415

        if isinstance(error, Lost):
            raise DockerError(error.message, hint=_resume(embedded=error.embedded), result=error.result) from None
        if isinstance(error, CommandError) and (unreached := _cause(error, ConnectionFailed)):
            raise DockerError(error.message, hint=_reconnect(unreached), result=error.result) from None
        if isinstance(error, CommandError):
            hint = "\n".join(part for part in (error.usage, _in_cell(error.hint)) if part)
            raise DockerError(error.message, exit_code=error.exit_code, hint=hint, result=error.result) from None
        if isinstance(error, ConnectionLost):
            raise DockerError(str(error), hint=_resume(embedded=error.embedded)) from None
        if isinstance(error, ConnectionFailed):
            raise DockerError(str(error), hint=_reconnect(error)) from None
        if isinstance(error, ClientError):
            raise DockerError(str(error)) from None


def _in_cell(hint: str) -> str:
    """Write a hint's command as a cell takes it."""
    return re.sub(r"^(Run|See) 'docker ", r"\1 '%docker ", hint, flags=re.MULTILINE)


def _cause(error: BaseException, kind: type[BaseException]) -> Exception | None:
    """Find the error of this kind that led to another one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind) and isinstance(seen, Exception):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _resume(*, embedded: bool) -> str:
    """Say what comes after a lost connection."""
    if embedded:
        return "The engine starts again with the next command."
    return "The next command connects again, once the daemon is back; %engine shows which one is in use."


def _reconnect(error: Exception) -> str:
    log = getattr(error, "log", "")
    return f"{log}\n" if log else "%engine shows which engine is in use; %engine use embedded takes the built-in one"


def _secret(question: str) -> str:
    return getpass.getpass(question)  # looked up anew each time: a kernel puts its own in place while a cell runs
