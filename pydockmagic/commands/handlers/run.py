"""``docker run``, ``start`` and ``attach``: the programs of containers, and talking with them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ApiError, ClientError, ConnectionLost, NotFound, PendingAnswer
from pydockmagic.commands.errors import Interrupted, Lost
from pydockmagic.commands.grammar.kinds import ValueProblem
from pydockmagic.commands.results import Result, RunResult

from .create import Created, create_container, failed
from .keys import DetachKeys, keys_of
from .leaving import completed, leaving
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
    keys = keys_of(parsed, sink, "run")
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


def start_status(message: str) -> int:
    """Return the exit code for a container that could not be started: 127 not found, 126 not executable, else 125."""
    if any(words in message for words in _NOT_FOUND):
        return 127
    if any(words in message for words in _NOT_EXECUTABLE):
        return 126
    return 125


def _start_detached(made: Created, context: Context, sink: Sink, parsed: Parsed) -> RunResult:
    sink.out(f"{made.id}\n")
    label = made.name or made.id[:12]
    try:
        with leaving(sink.result, f"docker inspect {label} tells whether container {label} has started"):
            start_whole(made.id, context, detach_keys=parsed.text("detach-keys") or None)
    except ClientError as error:
        raise failed(str(error), sink, "run", start_status(str(error))) from error
    return sink.fill(RunResult(id=made.id, name=made.name, detached=True))


def start_whole(container: str, context: Context, *, detach_keys: str | None = None) -> None:
    """Start a container; an interrupt meanwhile ends it again, and is raised then."""

    def end(_answer: object) -> None:
        with suppress(ClientError):
            context.client.container_kill(container)

    completed(lambda: context.client.container_start(container, detach_keys=detach_keys), end)


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
        try:
            return self._talk()
        except ConnectionLost as error:
            message = f"{error}; container {self._label} may go on: docker attach {self._label} joins it again"
            raise Lost(message, 125, result=self._result(125), embedded=error.embedded) from error
        except ClientError as error:
            raise failed(str(error), self._sink, "run", 125) from error
        except KeyboardInterrupt:  # not while the program was talked with, but just before or after
            message = f"interrupted: container {self._label} {self._withdraw()}"
            raise Interrupted(message, 130, result=self._result(130)) from None
        finally:
            if self._pending is not None:
                self._pending.close()

    def _talk(self) -> RunResult:
        made, context = self._made, self._context
        config = made.config
        interrupts = interrupts_for(made.id, context, proxy=self._parsed.flag("sig-proxy"))
        stream = context.client.container_attach(
            made.id,
            stdin=config["AttachStdin"],
            stdout=config["AttachStdout"],
            stderr=config["AttachStderr"],
            detach_keys=self._parsed.text("detach-keys") or None,
            tty=config["Tty"],
        )
        session = Session(stream, self._sink, context, interrupts, self._keys)
        session.run(stdin=config["AttachStdin"], tty=config["Tty"], on_start=self._start, resize=self._resize)
        return self._finish(session, interrupts)

    def _result(self, code: int) -> RunResult:
        return self._sink.fill(RunResult(id=self._made.id, name=self._made.name), code)

    def _withdraw(self) -> str:
        """End the container, whether it has started or not, and say what is left of it."""
        client, gone = self._context.client, self._made.host_config["AutoRemove"]
        with suppress(ApiError):  # it has ended already, or never ran
            client.container_kill(self._made.id)
        try:
            state = str(client.container_inspect(self._made.id)["State"]["Status"])
        except NotFound:
            state = "removing"
        except ClientError:
            return f"may be there still; docker rm -f {self._label} removes it"
        if gone and state == "created":
            with suppress(ClientError):
                client.container_remove(self._made.id, volumes=True)
        how = "was not started" if state == "created" else "was ended"
        return f"{how} {_left(self._label, gone=gone)}"

    def _resize(self, height: int, width: int) -> None:
        self._context.client.container_resize(self._made.id, height=height, width=width)

    def _start(self) -> None:
        """Register the wait, then start: an exit in between cannot be missed."""
        client = self._context.client
        condition = "removed" if self._made.host_config["AutoRemove"] else "next-exit"
        self._pending = client.container_wait_begin(self._made.id, condition=condition)
        try:
            start_whole(self._made.id, self._context)
        except ConnectionLost:
            raise
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
    return f"interrupted: container {label} ended with exit code {code} {_left(label, gone=gone)}"


def _left(label: str, *, gone: bool) -> str:
    return "and was removed" if gone else f"and is still there; docker rm {label} removes it"


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


def interrupts_for(container: str, context: Context, *, proxy: bool, kills: bool = True) -> Interrupts:
    """Return what happens to interrupts: they are sent to the container, unless ``--sig-proxy=false``."""

    def send(signal: str) -> None:
        context.client.container_kill(container, signal=signal)

    return Interrupts(send if proxy else None, context, kills=kills)


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
        start_whole(identity, context)

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
    proxy = "sig-proxy" not in parsed.command.by_name or parsed.flag("sig-proxy")
    # Who only joins a container does not end what somebody else began: it gets the interrupt, and is let go.
    interrupts = interrupts_for(talk.identity, context, proxy=proxy, kills=begin is not None)
    session = Session(stream, sink, context, interrupts, keys_of(parsed, sink, parsed.name))
    result = RunResult(id=talk.identity, name=talk.name)
    again = f"docker attach {talk.name} joins it again"
    goes_on = f"container {talk.name} goes on; {again}, docker stop {talk.name} ends it"

    def resize(height: int, width: int) -> None:
        context.client.container_resize(talk.identity, height=height, width=width)

    def so_far(code: int) -> RunResult:
        return sink.fill(result, code)

    try:
        with leaving(so_far, goes_on, f"container {talk.name} may go on: {again}"):
            session.run(stdin=talk.stdin, tty=talk.tty, on_start=begin, resize=resize)
            code = None if session.detached else exit_code(pending[0], interrupts, sink)
    except ClientError as error:
        raise sink.failure(str(error)) from error
    finally:
        for each in pending:
            each.close()
    if code is None:
        result.detached = True
        if interrupts.count:
            raise Interrupted(f"interrupted: {goes_on}", 1, result=so_far(1))
        if begin is None:  # docker calls it a failure of attach, and of attach alone
            raise sink.failure("read escape sequence")
        return sink.fill(result)
    sink.fill(result, code)
    if interrupts.count:
        raise Interrupted(_interrupted(talk.name, code, gone=False), _status(code, context), result=result)
    return result
