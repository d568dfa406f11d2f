"""Commands that show containers: ``ps``, ``logs``, ``top``, ``port``, ``stats``, ``diff``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from pydockmagic.client import ClientError
from pydockmagic.commands.format.containers import CHANGES, CONTAINERS, STATS
from pydockmagic.commands.format.listing import Listing, Options, Rendered
from pydockmagic.commands.format.table import align
from pydockmagic.commands.results import Result, TableResult

from .filters import to_filters
from .leaving import leaving
from .sink import Sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["diff", "logs", "ls", "port", "stats", "top"]


def table_result(rendered: Rendered, context: Context) -> TableResult:
    """Return a list as a result."""
    sink = Sink(context)
    sink.out(rendered.text)
    return sink.fill(TableResult(rows=rendered.rows, columns=rendered.columns, records=rendered.records))


def show(
    listing: Listing, items: Sequence[Mapping[str, Any]], parsed: Parsed, context: Context, options: Options
) -> TableResult:
    """Show a list as the options of its command ask."""
    quiet = "quiet" in parsed.command.by_name and parsed.flag("quiet")
    return table_result(listing.render(items, parsed.text("format"), options, quiet=quiet), context)


def ls(parsed: Parsed, context: Context) -> TableResult:
    """``docker ps``."""
    form = parsed.text("format")
    CONTAINERS.render((), form, Options())  # a template that cannot be read is told before the daemon is asked
    filters = to_filters(parsed.list("filter"))
    last = 1 if parsed.flag("latest") and parsed.number("last") == -1 else parsed.number("last")
    size = parsed.flag("size") or (form not in {"", "table", "json", "raw"} and ".Size" in form) or "json ." in form
    items = context.client.containers(
        all=parsed.flag("all") or last > 0, size=size, limit=last if last > 0 else None, filters=filters
    )
    options = Options(trunc=not parsed.flag("no-trunc"), size=parsed.flag("size"), now=time.time())
    return show(CONTAINERS, items, parsed, context, options)


def logs(parsed: Parsed, context: Context) -> Result:
    """``docker logs``: streams, and follows with ``-f`` until the container ends or a person interrupts."""
    sink = Sink(context, live=True)
    name = parsed.arguments[0]
    info = context.client.container_inspect(name)
    since, until = _moment(parsed.text("since"), sink), _moment(parsed.text("until"), sink)
    again = f"docker logs -f {name} follows container {name} again"
    interrupted = f"container {name} goes on; docker logs -f {name} follows it again"
    if not (parsed.flag("follow") and info["State"].get("Running")):
        interrupted = again = f"the log of container {name} was not shown to its end"
    with (
        leaving(sink.result, interrupted, again),
        context.client.container_logs(
            info["Id"],
            follow=parsed.flag("follow"),
            timestamps=parsed.flag("timestamps"),
            tail=parsed.text("tail"),
            since=since,
            until=until,
            details=parsed.flag("details"),
            tty=bool(info["Config"]["Tty"]),
        ) as frames,
    ):
        for frame in frames:
            sink.frame(frame.stream, frame.data)
    return sink.result()


def _moment(text: str, sink: Sink) -> str | None:
    from .moments import timestamp  # noqa: PLC0415

    if not text:
        return None
    try:
        return timestamp(text, time.time())
    except ValueError as error:
        raise sink.failure(f'invalid value for "since": {error}') from None


def top(parsed: Parsed, context: Context) -> TableResult:
    """``docker top``."""
    name, *ps = parsed.arguments
    answer = context.client.container_top(name, ps_args=" ".join(ps) or None)
    titles = [str(title) for title in answer["Titles"]]
    processes = answer.get("Processes") or []
    text = align("\n".join("\t".join(cells) for cells in [titles, *processes]), narrowest=20)
    rows = [dict(zip(titles, cells, strict=False)) for cells in processes]
    return table_result(Rendered(f"{text}\n", rows, [(title, title) for title in titles]), context)


def port(parsed: Parsed, context: Context) -> Result:
    """``docker port``."""
    name, *wanted = parsed.arguments
    sink = Sink(context)
    ports: dict[str, Any] = context.client.container_inspect(name)["NetworkSettings"].get("Ports") or {}
    if wanted:
        number, _, protocol = wanted[0].partition("/")
        key = f"{number}/{protocol or 'tcp'}"
        bindings = ports.get(key)
        if not bindings:
            raise sink.failure(f"Error: No public port '{wanted[0]}' published for {name}")
        sink.out("".join(sorted(f"{_joined(each)}\n" for each in bindings)))
        return sink.result()
    lines = [f"{key} -> {_joined(each)}\n" for key, bindings in ports.items() for each in bindings or ()]
    sink.out("".join(sorted(lines, key=_port_order)))
    return sink.result()


def _joined(binding: Mapping[str, str]) -> str:
    host = binding["HostIp"]
    return f"[{host}]:{binding['HostPort']}" if ":" in host else f"{host}:{binding['HostPort']}"


def _port_order(line: str) -> tuple[int, str]:
    number = line.partition("/")[0]
    return (int(number) if number.isdigit() else 0, line)


def stats(parsed: Parsed, context: Context) -> TableResult:
    """``docker stats``: one reading of each container with ``--no-stream``, else one after another on a terminal."""
    if not parsed.flag("no-stream"):
        if context.terminal is None:
            raise Sink(context).failure(
                "docker: 'docker stats' goes on until it is interrupted and needs a terminal",
                hint="Add --no-stream for one reading.",
            )
        _watch(parsed, context)
    return table_result(_readings(parsed, context), context)


def _watch(parsed: Parsed, context: Context) -> NoReturn:
    """Draw readings over each other until a person interrupts."""
    while True:
        text = _readings(parsed, context).text
        context.output.write("stdout", f"\x1b[H\x1b[J{text}")


def _readings(parsed: Parsed, context: Context) -> Rendered:
    from .usage import reading  # noqa: PLC0415

    names = parsed.arguments
    if not names:
        names = [str(each["Id"]) for each in context.client.containers(all=parsed.flag("all"))]
    items, complaints = [], []
    for name in names:
        try:
            items.append(reading(name if parsed.arguments else name[:12], context.client.container_stats(name)))
        except ClientError as error:
            complaints.append(str(error))
    if complaints:
        raise Sink(context).failure("\n".join(complaints))
    options = Options(trunc=not parsed.flag("no-trunc"), now=time.time())
    return STATS.render(items, parsed.text("format"), options)


def diff(parsed: Parsed, context: Context) -> TableResult:
    """``docker diff``."""
    changes = context.client.container_changes(parsed.arguments[0])
    rendered = CHANGES.render(changes, "{{.Type}} {{.Path}}", Options())
    columns = [("Type", "CHANGE TYPE"), ("Path", "PATH")]
    return table_result(Rendered(rendered.text, rendered.rows, columns), context)
