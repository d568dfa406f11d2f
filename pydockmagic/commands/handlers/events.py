"""``docker events``: what the daemon tells, line by line, until it ends or a person interrupts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydockmagic.commands.errors import CommandError
from pydockmagic.commands.results import Result
from pydockmagic.commands.template import Struct, Template, TemplateExecutionError, TemplateSyntaxError, to_json
from pydockmagic.commands.units import SECOND

from .filters import to_filters
from .leaving import leaving
from .moments import timestamp
from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["events", "line"]


def events(parsed: Parsed, context: Context) -> Result:
    """``docker events``."""
    form = parsed.text("format")
    try:
        template = Template(form) if form not in {"", "json"} else None
    except TemplateSyntaxError as error:
        raise CommandError(f"Error parsing format: {error}", 64) from None
    sink = Sink(context, live=True)
    now = time.time()
    moments = {}
    for option in ("since", "until"):
        try:
            moments[option] = timestamp(parsed.text(option), now) if parsed.text(option) else None
        except ValueError as error:
            raise sink.failure(str(error)) from None
    filters = to_filters(parsed.list("filter"))
    with (
        leaving(sink.result, "events are no longer shown"),
        context.client.events(since=moments["since"], until=moments["until"], filters=filters) as stream,
    ):
        for event in stream:
            sink.out(_shown(event, form, template) + "\n")
    return sink.result()


def _shown(event: Mapping[str, Any], form: str, template: Template | None) -> str:
    if template is None:
        return to_json(Struct(dict(event))) if form == "json" else line(event)
    try:
        actor = Struct(event.get("Actor") or {})
        return template.fill(Struct({**event, "Actor": actor}, "*events.Message", frozenset({"Status", "ID", "From"})))
    except TemplateExecutionError as error:
        raise CommandError(str(error), 1) from None


def line(event: Mapping[str, Any]) -> str:
    """Write an event as ``docker events`` does."""
    actor = event.get("Actor") or {}
    nanos = int(event.get("timeNano") or int(event.get("time") or 0) * SECOND)
    moment = ""
    if nanos:
        local = time.localtime(nanos // SECOND)
        offset = local.tm_gmtoff or 0
        zone = (
            "Z"
            if not offset
            else f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02d}:{abs(offset) % 3600 // 60:02d}"
        )
        moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{nanos % SECOND:09d}{zone} "
    attributes = actor.get("Attributes") or {}
    details = ", ".join(f"{key}={attributes[key]}" for key in sorted(attributes))
    text = f"{moment}{event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    return f"{text} ({details})" if details else text
