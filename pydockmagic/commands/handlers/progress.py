"""The messages of pulls, pushes, loads and imports, shown as docker shows them where there is no terminal.

One line for each change of state and none for bytes; an output that draws progress itself gets the messages instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ApiError
from pydockmagic.commands.context import PullProgress

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context, OutputStream

    from .sink import Sink

__all__ = ["StreamFailed", "show_pull"]


class StreamFailed(ApiError):
    """The daemon told of a failure in the middle of a stream, with docker's sentence alone."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(500, message)
        self.code = code
        self.args = (message,)


def raise_error(message: dict[str, Any], *, prefix: str = "") -> None:
    """Raise the failure that a message tells of, if it does."""
    detail = message.get("errorDetail") or {}
    text = detail.get("message") or message.get("error")
    if text:
        raise StreamFailed(prefix + str(text), int(detail.get("code") or 0))


def show_pull(
    messages: Iterable[dict[str, Any]], context: Context, sink: Sink, stream: OutputStream, *, quiet: bool = False
) -> list[dict[str, Any]]:
    """Show messages to their end; returns what came under ``aux``.

    Raises ``StreamFailed`` where the daemon tells of a failure.
    """
    found = []
    draws = context.output.draws_progress
    for message in messages:
        raise_error(message, prefix="Error response from daemon: ")
        if "aux" in message:
            found.append(message["aux"])
            continue
        if quiet:
            continue
        detail = message.get("progressDetail") or {}
        identity, status = str(message.get("id", "")), str(message.get("status", ""))
        if "stream" in message:
            sink.write(stream, str(message["stream"]))
            continue
        progress = PullProgress(identity, status, detail.get("current") or 0, detail.get("total") or 0)
        context.output.pull(progress)
        if detail.get("current") or message.get("progress"):
            continue  # bytes on their way: only a terminal shows them
        line = f"{identity}: {status}" if identity else status
        sink.write(stream, f"{line}\n") if not draws else _keep(sink, stream, f"{line}\n")
    return found


def _keep(sink: Sink, stream: OutputStream, text: str) -> None:
    """Keep text in the result without showing it: the output draws it."""
    live, sink.live = sink.live, False
    sink.write(stream, text)
    sink.live = live
