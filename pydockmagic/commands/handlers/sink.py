"""Where a handler's output goes: into the result always, and to the context's output at once where it streams."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, TypeVar

from pydockmagic.client import ClientError, ConnectionLost
from pydockmagic.commands.errors import CommandError, Lost
from pydockmagic.commands.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydockmagic.commands.context import Context, OutputStream

__all__ = ["Sink", "for_each"]

R = TypeVar("R", bound=Result)
_KEPT = 32 * 1024 * 1024  # a follower of logs may run for days: what is beyond this was shown, and is not kept


class Sink:
    """Collects the texts of one command.

    With ``live`` they are shown at once as well; a terminal (``context.echo``) wants that of every command.
    """

    def __init__(self, context: Context, *, live: bool = False) -> None:
        self.live = live or context.echo
        self._output = context.output
        self._kept: dict[OutputStream, list[str]] = {"stdout": [], "stderr": []}
        self._program: list[tuple[OutputStream, str]] = []
        self._complained = False
        self._room = _KEPT
        errors = "surrogateescape" if context.echo else "replace"
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {"stdout": decoder(errors=errors), "stderr": decoder(errors=errors)}

    def write(self, stream: OutputStream, text: str) -> None:
        """Take text for one of the streams."""
        if text:
            self._keep(stream, text)
            if self.live:
                self._output.write(stream, text)

    def _keep(self, stream: OutputStream, text: str) -> bool:
        if self._room <= 0:
            return False
        self._kept[stream].append(text)
        self._room -= len(text)
        return True

    def _take(self, stream: OutputStream, text: str) -> None:
        """Take what a program wrote; in which order its streams came is kept as well."""
        if not text:
            return
        if self._keep(stream, text):
            self._program.append((stream, text))
            self._complained |= stream == "stderr"
        if self.live:
            self._output.program(stream, text)

    def out(self, text: str) -> None:
        """Take text for standard output."""
        self.write("stdout", text)

    def err(self, text: str) -> None:
        """Take text for standard error."""
        self.write("stderr", text)

    def frame(self, stream: str, data: bytes) -> None:
        """Take bytes of a container's output, which may be cut in the middle of a character."""
        name: OutputStream = "stderr" if stream == "stderr" else "stdout"
        self._take(name, self._decoders[name].decode(data))

    def text(self, stream: OutputStream) -> str:
        """Return everything taken so far for a stream."""
        return "".join(self._kept[stream])

    def result(self, exit_code: int = 0) -> Result:
        """Return the plain result."""
        return self.fill(Result(), exit_code)

    def fill(self, result: R, exit_code: int = 0) -> R:
        """Put texts and exit code into a result of any kind."""
        for name in ("stdout", "stderr"):
            self._take(name, self._decoders[name].decode(b"", final=True))
        result.stdout = self.text("stdout")
        result.stderr = self.text("stderr")
        result.output = self._program if self._complained else []  # of one stream the order is plain
        result.exit_code = exit_code
        result.streamed = self.live
        return result

    def failure(self, message: str, exit_code: int = 1, **details: Any) -> CommandError:
        """Return the error that ends this command, with what it did so far."""
        return CommandError(message, exit_code, result=self.result(exit_code), **details)


def for_each(names: Iterable[str], action: Callable[[str], str | None], context: Context) -> Result:
    """Do something to each object, in turn: the good ones are echoed, the complaints come together at the end."""
    sink = Sink(context)
    complaints: list[str] = []
    for name in names:
        try:
            said = action(name)
        except ConnectionLost as error:
            raise Lost(str(error), result=sink.result(1), embedded=error.embedded) from error
        except ClientError as error:
            complaints.append(str(error))
        else:
            sink.out(f"{name}\n" if said is None else said)
    if complaints:
        raise sink.failure("\n".join(complaints))
    return sink.result()
