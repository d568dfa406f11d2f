"""``docker run``, ``start``, ``attach`` and ``exec``: programs in containers, and talking with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ClientError, PendingAnswer
from pydockmagic.commands.errors import Interrupted
from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.results import Result, RunResult

from .create import Created, create_container, failed
from .keys import DEFAULT_KEYS, DetachKeys, parse_keys
from .sink import Sink
from .streams import Interrupts, Session

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["attach", "run", "start"]

_NOT_FOUND = ("executable file not found", "no such file or directory", "system cannot find the file specified")
_NOT_EXECUTABLE = ("permission denied", "is a directory")


def run(parsed: Parsed, context: Context) -> RunResult:
    """``docker run``: create, attach, start, wait; the exit code is the program's."""
    sink = Sink(context, live=not parsed.flag("detach"))
    detached = parsed.flag("detach")
    if detached and parsed.list("attach"):
        raise sink.failure("conflicting options: cannot specify both --attach and --detach")
    attached = {str(name) for name in parsed.list("attach")}
    wants_stdin = "stdin" in attached or parsed.flag("interactive")
    if not detached and wants_stdin and parsed.flag("tty") and context.terminal is None:
        raise sink.failure("the input device is not a TTY")
    keys = _keys(parsed, sink, "run")
    if detached:
        parsed.values["attach"] = []
    made = _create(parsed, context, sink, detached=detached)
    if detached:
        return _start_detached(made, context, sink, parsed)
    return _Attached(made, parsed, context, sink, keys).run()


def _create(parsed: Parsed, context: Context, sink: Sink, *, detached: bool) -> Created:
    if not detached:
        return create_container(parsed, context, sink, command="run")
    from pydockmagic.commands.options.config import container_config  # noqa: PLC0415

    from .create import check_pull, create_from  # noqa: PLC0415

    try:
        request = container_config(parsed, context.directory, context.environ)
        check_pull(parsed)
    except ValueProblem as problem:
        raise failed(str(problem), sink, "run", 125) from None
    request.config.update(AttachStdin=False, AttachStdout=False, AttachStderr=False, StdinOnce=False)
    return create_from(request, parsed, context, sink, "run")


def _keys(parsed: Parsed, sink: Sink, command: str) -> DetachKeys:
    text = parsed.text("detach-keys")
    if not text:
        return DetachKeys(DEFAULT_KEYS)
    try:
        return DetachKeys(parse_keys(text))
    except ValueProblem as problem:
        raise failed(str(problem), sink, command, 125) from None


def start_status(message: str) -> int:
    """Return the exit code for a container that could not be started: 127 not found, 126 not executable, else 125."""
    if any(words in message for words in _NOT_FOUND):
        return 127
    if any(words in message for words in _NOT_EXECUTABLE):
        return 126
    return 125


def _start_detached(made: Created, context: Context, sink: Sink, parsed: Parsed) -> RunResult:
    sink.out(f"{made.id}\n")
    try:
        context.client.container_start(made.id, detach_keys=parsed.text("detach-keys") or None)
    except ClientError as error:
        raise failed(str(error), sink, "run", start_status(str(error))) from None
    return sink.fill(RunResult(id=made.id, name=made.name, detached=True))


class _Attached:
    """A ``run`` in the foreground."""

    def __init__(self, made: Created, parsed: Parsed, context: Context, sink: Sink, keys: DetachKeys) -> None:
        self._made = made
        self._parsed = parsed
        self._context = context
        self._sink = sink
        self._keys = keys
        self._pending: PendingAnswer | None = None

    def run(self) -> RunResult:
        made, context = self._made, self._context
        config = made.config
        interrupts = interrupts_for(made.id, context, proxy=self._parsed.flag("sig-proxy"))
        try:
            stream = context.client.container_attach(
                made.id,
                stdin=config["AttachStdin"],
                stdout=config["AttachStdout"],
                stderr=config["AttachStderr"],
                detach_keys=self._parsed.text("detach-keys") or None,
                tty=config["Tty"],
            )
        except ClientError as error:
            raise failed(str(error), self._sink, "run", 125) from None
        session = Session(stream, self._sink, context, interrupts, self._keys)
        try:
            session.run(stdin=config["AttachStdin"], tty=config["Tty"], on_start=self._start, resize=self._resize)
            return self._finish(session, interrupts)
        except ClientError as error:
            raise failed(str(error), self._sink, "run", 125) from None
        finally:
            if self._pending is not None:
                self._pending.close()

    def _resize(self, height: int, width: int) -> None:
        self._context.client.container_resize(self._made.id, height=height, width=width)

    def _start(self) -> None:
        """Register the wait, then start: an exit in between cannot be missed."""
        client = self._context.client
        condition = "removed" if self._made.host_config["AutoRemove"] else "next-exit"
        self._pending = client.container_wait_begin(self._made.id, condition=condition)
        try:
            client.container_start(self._made.id)
        except ClientError as error:
            if self._made.host_config["AutoRemove"]:
                _until_over(self._pending)
            raise failed(str(error), self._sink, "run", start_status(str(error))) from None

    def _finish(self, session: Session, interrupts: Interrupts) -> RunResult:
        assert self._pending is not None
        result = RunResult(id=self._made.id, name=self._made.name)
        if session.detached:
            return self._let_go(result, interrupts)
        code = exit_code(self._pending, interrupts, self._sink)
        if code is None:
            return self._let_go(result, interrupts)
        self._sink.fill(result, code)
        if interrupts.count:
            gone = self._made.host_config["AutoRemove"]
            raise Interrupted(_interrupted(self._label, code, gone=gone), _status(code, self._context), result=result)
        return result

    @property
    def _label(self) -> str:
        return self._made.name or self._made.id[:12]

    def _let_go(self, result: RunResult, interrupts: Interrupts) -> RunResult:
        result.detached = True
        if interrupts.count:
            self._sink.fill(result, 1)
            raise Interrupted(
                f"interrupted: container {self._label} goes on; docker stop {self._label} ends it", 1, result=result
            )
        return self._sink.fill(result)


def _interrupted(label: str, code: int, *, gone: bool) -> str:
    left = "and was removed" if gone else f"and is still there; docker rm {label} removes it"
    return f"interrupted: container {label} ended with exit code {code} {left}"


def _status(code: int, context: Context) -> int:
    """Return the exit code after an interrupt: the program's on a terminal, as docker; elsewhere never success."""
    return code if context.echo else code or 130


def _until_over(pending: PendingAnswer) -> None:
    """Wait for a container that could not start to be removed again."""
    try:
        pending.result()
    except ClientError:
        return


def exit_code(pending: PendingAnswer, interrupts: Interrupts, sink: Sink) -> int | None:
    """Return the program's exit code; ``None`` where a person will not wait any longer."""
    try:
        answer = pending.result()
    except KeyboardInterrupt:
        interrupts.happened()
        return None
    error = (answer.get("Error") or {}).get("Message")
    if error:
        sink.err(f"Error waiting for container: {error}\n")
        return 125
    return int(answer["StatusCode"])


def interrupts_for(container: str, context: Context, *, proxy: bool) -> Interrupts:
    """Return what happens to interrupts: they are sent to the container, unless ``--sig-proxy=false``."""

    def send(signal: str) -> None:
        context.client.container_kill(container, signal=signal)

    return Interrupts(send if proxy else None, context)


def start(parsed: Parsed, context: Context) -> Result:
    """``docker start``, with ``-a`` attached to one container."""
    wants_stdin = parsed.flag("interactive")
    if parsed.flag("attach") or wants_stdin:
        sink = Sink(context, live=True)
        if len(parsed.arguments) > 1:
            raise sink.failure("you cannot start and attach multiple containers at once")
        return _start_attached(parsed, context, sink)
    sink = Sink(context)
    complaints, names = [], []
    for name in parsed.arguments:
        try:
            context.client.container_start(name)
        except ClientError as error:
            complaints.append(str(error))
            names.append(name)
        else:
            sink.out(f"{name}\n")
    if names:
        raise sink.failure("\n".join([*complaints, f"Error: failed to start containers: {', '.join(names)}"]))
    return sink.result()


def _start_attached(parsed: Parsed, context: Context, sink: Sink) -> RunResult:
    client = context.client
    info = client.container_inspect(parsed.arguments[0])
    identity, config = info["Id"], info["Config"]
    tty = bool(config["Tty"])
    stdin = parsed.flag("interactive") and config["OpenStdin"]
    if stdin and tty and context.terminal is None:
        raise sink.failure("the input device is not a TTY")
    condition = "removed" if info["HostConfig"].get("AutoRemove") else "next-exit"
    pending: list[PendingAnswer] = []

    def begin() -> None:
        pending.append(client.container_wait_begin(identity, condition=condition))
        client.container_start(identity)

    stream = client.container_attach(identity, stdin=stdin, tty=tty)
    return _converse(
        _Talk(identity, info["Name"].removeprefix("/"), tty, stdin), stream, pending, parsed, context, sink, begin
    )


def attach(parsed: Parsed, context: Context) -> Result:
    """``docker attach``: join a running container; the exit code is its program's."""
    sink = Sink(context, live=True)
    client = context.client
    info = client.container_inspect(parsed.arguments[0])
    state, config = info["State"], info["Config"]
    for wrong, advice in (
        (not state["Running"], "You cannot attach to a stopped container, start it first"),
        (state.get("Paused"), "You cannot attach to a paused container, unpause it first"),
        (state.get("Restarting"), "You cannot attach to a restarting container, wait until it is running"),
    ):
        if wrong:
            raise sink.failure(advice)
    identity, tty = info["Id"], bool(config["Tty"])
    stdin = not parsed.flag("no-stdin") and bool(config["OpenStdin"])
    if stdin and tty and context.terminal is None:
        raise sink.failure("the input device is not a TTY")
    pending = [client.container_wait_begin(identity)]
    stream = client.container_attach(identity, stdin=stdin, tty=tty)
    talk = _Talk(identity, info["Name"].removeprefix("/"), tty, stdin)
    return _converse(talk, stream, pending, parsed, context, sink, None)


class _Talk:
    """Who is talked with, and how."""

    __slots__ = ("identity", "name", "stdin", "tty")

    def __init__(self, identity: str, name: str, tty: bool, stdin: bool) -> None:
        self.identity = identity
        self.name = name
        self.tty = tty
        self.stdin = stdin


def _converse(
    talk: _Talk,
    stream: Any,
    pending: list[PendingAnswer],
    parsed: Parsed,
    context: Context,
    sink: Sink,
    begin: Callable[[], None] | None,
) -> RunResult:
    """Talk with an existing container until it ends or the person lets go."""
    interrupts = interrupts_for(
        talk.identity, context, proxy="sig-proxy" not in parsed.command.by_name or parsed.flag("sig-proxy")
    )
    session = Session(stream, sink, context, interrupts, _keys(parsed, sink, parsed.name))

    def resize(height: int, width: int) -> None:
        context.client.container_resize(talk.identity, height=height, width=width)

    try:
        session.run(stdin=talk.stdin, tty=talk.tty, on_start=begin, resize=resize)
        result = RunResult(id=talk.identity, name=talk.name)
        code = None if session.detached else exit_code(pending[0], interrupts, sink)
    except ClientError as error:
        raise sink.failure(str(error)) from None
    finally:
        for each in pending:
            each.close()
    if code is None:
        result.detached = True
        if interrupts.count:
            sink.fill(result, 1)
            raise Interrupted(f"interrupted: container {talk.name} goes on", 1, result=result)
        if begin is None:  # docker calls it a failure of attach, and of attach alone
            raise sink.failure("read escape sequence")
        return sink.fill(result)
    sink.fill(result, code)
    if interrupts.count:
        raise Interrupted(_interrupted(talk.name, code, gone=False), _status(code, context), result=result)
    return result


def execute(parsed: Parsed, context: Context) -> RunResult:
    """``docker exec``: run a command in a running container; the exit code is the command's."""
    sink = Sink(context, live=not parsed.flag("detach"))
    container, *command = parsed.arguments
    tty, detached = parsed.flag("tty"), parsed.flag("detach")
    stdin = parsed.flag("interactive") and not detached
    if stdin and tty and context.terminal is None:
        raise sink.failure("the input device is not a TTY")
    keys = _keys(parsed, sink, "exec")
    config = _exec_config(parsed, command, context, sink)
    client = context.client
    client.container_inspect(container)
    identity = client.exec_create(container, config)["Id"]
    result = RunResult(id=identity, name=container, detached=detached)
    if detached:
        client.exec_start_detached(identity, tty=tty)
        return sink.fill(result)
    interrupts = Interrupts(None, context)
    stream = client.exec_start(identity, tty=tty)
    session = Session(stream, sink, context, interrupts, keys)

    def resize(height: int, width: int) -> None:
        client.exec_resize(identity, height=height, width=width)

    session.run(stdin=stdin, tty=tty, resize=resize)
    if session.detached:
        result.detached = True
        if interrupts.count:
            sink.fill(result, 130)
            raise Interrupted(f"interrupted: the command may go on in container {container}", 130, result=result)
        return sink.fill(result)
    return sink.fill(result, int(client.exec_inspect(identity).get("ExitCode") or 0))


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
