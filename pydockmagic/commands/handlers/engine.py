"""``docker engine``, pydock's own noun: the embedded engine, which daemon is in use, what this machine allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydockmagic.client import EMBEDDED, ClientError, NotFound, embedded
from pydockmagic.commands.format.table import align
from pydockmagic.commands.results import InspectResult, Result, TableResult
from pydockmagic.commands.template import Struct, to_json

from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["doctor", "serve", "start", "status", "stop", "take", "use"]


def serve(parsed: Parsed, context: Context) -> Result:
    """``engine serve``: for a terminal; a notebook has the engine that starts by itself."""
    del parsed
    raise Sink(context).failure(
        "'engine serve' runs in the foreground of a terminal: pydock engine serve --host unix://PATH --data-root DIR",
        hint="Here the engine starts by itself, or with 'engine start'.",
    )


def start(parsed: Parsed, context: Context) -> Result:
    """``engine start``: find or start the embedded engine, and print its address."""
    del parsed
    sink = Sink(context)
    sink.out(f"{embedded.ensure(context.environ)}\n")
    return sink.result()


def stop(parsed: Parsed, context: Context) -> Result:
    """``engine stop``: end the embedded engine; containers go on."""
    del parsed
    sink = Sink(context)
    if context.connection.target in {None, EMBEDDED}:
        context.connection.close()
    sink.out("engine stopped\n" if embedded.stop(context.environ) else "no engine was running\n")
    return sink.result()


def status(parsed: Parsed, context: Context) -> Result:
    """``engine status``: which daemon is in use, and whether the embedded one runs; starts nothing."""
    from pydockmagic.client import choose  # noqa: PLC0415

    sink = Sink(context)
    found = embedded.status(context.environ)
    chosen = choose(context.connection.target, context.environ)
    facts: dict[str, Any] = {
        "Use": str(chosen) if chosen is not None else str(found.address),
        "Source": chosen.source if chosen is not None else EMBEDDED,
        "Embedded": {
            "Running": found.running,
            "Address": str(found.address),
            "Pid": found.pid,
            "Root": str(found.root),
            "Log": str(found.log),
        },
    }
    if parsed.flag("json"):
        sink.out(to_json(Struct({**facts, "Embedded": Struct(facts["Embedded"])})) + "\n")
        return sink.fill(InspectResult(data=[facts]))
    running = f"running (pid {found.pid})" if found.pid else "running" if found.running else "not running"
    sink.out(
        f"In use:    {facts['Use']} ({facts['Source']})\n"
        f"Embedded:  {running}\n"
        f"Address:   {found.address}\n"
        f"Data root: {found.root}\n"
        f"Log:       {found.log}\n"
    )
    return sink.fill(InspectResult(data=[facts]))


def use(parsed: Parsed, context: Context) -> Result:
    """``engine use embedded|CONTEXT|URL``: take another daemon from now on; it must answer."""
    sink = Sink(context)
    version = take(parsed.arguments[0], context)
    sink.out(f"using {context.connection.address} (version {version.get('Version', '?')})\n")
    return sink.result()


def take(target: str, context: Context) -> Mapping[str, Any]:
    """Take another daemon from now on and return its version; where it does not answer, all stays as it was."""
    before = context.connection.target
    context.connection.use(target)
    try:
        return context.client.version()
    except ClientError as error:
        context.connection.use(before)
        raise Sink(context).failure(str(error)) from None


def doctor(parsed: Parsed, context: Context) -> TableResult:
    """``engine doctor``: each capability of this machine, whether it is there, why not, what follows."""
    sink = Sink(context)
    try:
        report = context.client.doctor()
    except NotFound:
        raise sink.failure(
            f"the daemon at {context.connection.address} is not the pydock engine: it cannot say what it found"
        ) from None
    rows = capabilities(report)
    if parsed.flag("json"):
        sink.out(to_json(_ordered(report)) + "\n")
    else:
        sink.out(_text(report, rows))
    columns = [("Capability", "CAPABILITY"), ("Available", "AVAILABLE"), ("Reason", "WHY"), ("Consequence", "FOLLOWS")]
    return sink.fill(TableResult(rows=rows, columns=columns))


def _ordered(value: Any) -> Any:
    """Keep the report's own order of keys."""
    if isinstance(value, dict):
        return Struct({key: _ordered(each) for key, each in value.items()})
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def capabilities(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the report's capabilities as rows."""
    return [
        {
            "Capability": str(each.get("Name", "")),
            "Available": "yes" if each.get("Available") else "no",
            "Reason": str(each.get("Reason") or ""),
            "Consequence": str(each.get("Consequence") or ""),
        }
        for each in report.get("Capabilities") or ()
    ]


def _text(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["CAPABILITY\tAVAILABLE\tWHY\tFOLLOWS"]
    lines += ["\t".join(str(row[key]) for key in ("Capability", "Available", "Reason", "Consequence")) for row in rows]
    facts = [f"{key}: {value}" for key, value in report.items() if isinstance(value, (str, int, bool))]
    return align("\n".join(lines)) + "\n" + ("\n" + "\n".join(facts) + "\n" if facts else "")
