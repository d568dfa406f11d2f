"""``docker exec``: one more program in a running container, and talking with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ConnectionFailed, ConnectionLost
from pydockmagic.commands.errors import Interrupted, Lost
from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.results import RunResult

from .keys import keys_of
from .sink import Sink
from .streams import Interrupts, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydockmagic.client import Client
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["execute"]

_SETTLING = 2.0
"""Seconds between the end of a program's output and its own, as a daemon tells of them."""


def execute(parsed: Parsed, context: Context) -> RunResult:
    """``docker exec``: run a command in a running container; the exit code is the command's."""
    sink = Sink(context, live=not parsed.flag("detach"))
    container, *command = parsed.arguments
    tty, detached = parsed.flag("tty"), parsed.flag("detach")
    stdin = parsed.flag("interactive") and not detached
    if stdin and tty and context.terminal is None:
        raise sink.failure("the input device is not a TTY")
    keys = keys_of(parsed, sink, "exec")
    config = _exec_config(parsed, command, context, sink)
    client = context.client
    client.container_inspect(container)
    identity = client.exec_create(container, config)["Id"]
    result = RunResult(id=identity, name=container, detached=detached)
    if detached:
        client.exec_start_detached(identity, tty=tty)
        return sink.fill(result)
    interrupts = Interrupts(_signalling(client, identity, context), context)
    left = f"the command may go on in container {container}; docker top {container} shows it"

    def resize(height: int, width: int) -> None:
        client.exec_resize(identity, height=height, width=width)

    try:
        session = Session(client.exec_start(identity, tty=tty), sink, context, interrupts, keys)
        session.run(stdin=stdin, tty=tty, resize=resize)
        code = None if session.detached else _exit_code(client, identity)
    except ConnectionLost as error:
        message = f"{error}; {left}"
        raise Lost(message, result=sink.fill(result, 1), embedded=error.embedded) from error
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {left}", 130, result=sink.fill(result, 130)) from None
    if code is None:
        result.detached = True
        if interrupts.count:
            raise Interrupted(f"interrupted: {left}", 130, result=sink.fill(result, 130))
        return sink.fill(result)
    sink.fill(result, code)
    if interrupts.count:
        message = f"interrupted: the command in container {container} ended with exit code {code}"
        raise Interrupted(message, code or 130, result=result)
    return result


def _signalling(client: Client, identity: str, context: Context) -> Callable[[str], None] | None:
    """Give who passes an interrupt on: our engine can, docker's API has no request for it.

    On a terminal docker's own way holds: the command goes on.
    """
    if context.echo or "exec-kill" not in client.features():
        return None
    return lambda signal: client.exec_kill(identity, signal)


def _exit_code(client: Client, identity: str) -> int:
    """Return a program's exit code once its output has ended.

    A daemon may need a moment to note the end. A program that goes on after that has closed its output itself, or the
    connection has ended without a word: its exit code is not known, and 0 would be a lie. Raises ``ConnectionLost``.
    """
    deadline = time.monotonic() + _SETTLING
    while True:
        try:
            told = client.exec_inspect(identity)
        except ConnectionFailed:
            raise client.address.lost() from None
        if not told.get("Running"):
            return int(told.get("ExitCode") or 0)
        if time.monotonic() > deadline:
            raise client.address.lost()
        time.sleep(0.05)


def _exec_config(parsed: Parsed, command: list[str], context: Context, sink: Sink) -> dict[str, Any]:
    from pydockmagic.commands.options.pairs import environment  # noqa: PLC0415

    try:
        env = environment(parsed.list("env-file"), parsed.list("env"), context.directory, context.environ)
    except ValueProblem as problem:
        raise sink.failure(str(problem)) from None
    detached = parsed.flag("detach")
    config: dict[str, Any] = {
        "User": parsed.text("user"),
        "Privileged": parsed.flag("privileged"),
        "Tty": parsed.flag("tty"),
        "AttachStdin": parsed.flag("interactive") and not detached,
        "AttachStderr": not detached,
        "AttachStdout": not detached,
        "Detach": detached,
        "DetachKeys": parsed.text("detach-keys"),
        "Env": env or None,
        "WorkingDir": parsed.text("workdir"),
        "Cmd": command,
    }
    if parsed.flag("tty") and context.terminal is not None:
        config["ConsoleSize"] = list(context.terminal.size())
    return config
