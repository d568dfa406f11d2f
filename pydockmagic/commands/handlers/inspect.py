"""``docker inspect`` and the nouns' own ``inspect``: objects in full, or through a template."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydockmagic.client import ClientError, NotFound
from pydockmagic.commands.errors import CommandError
from pydockmagic.commands.results import InspectResult
from pydockmagic.commands.template import Template, TemplateExecutionError, TemplateSyntaxError, to_json

from .sink import Sink
from .structs import as_go

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["any_object", "container", "image", "inspect_each", "network", "volume"]

Getter = Callable[[str], Any]
_TYPES = ("config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume")


def container(parsed: Parsed, context: Context) -> InspectResult:
    """``docker container inspect``."""
    size = parsed.flag("size")
    return _inspect(parsed, context, lambda name: context.client.container_inspect(name, size=size))


def image(parsed: Parsed, context: Context) -> InspectResult:
    """``docker image inspect``."""
    platform = parsed.text("platform") or None
    return _inspect(parsed, context, lambda name: context.client.image_inspect(name, platform=platform))


def network(parsed: Parsed, context: Context) -> InspectResult:
    """``docker network inspect``."""
    verbose = parsed.flag("verbose")
    return _inspect(parsed, context, lambda name: context.client.network_inspect(name, verbose=verbose))


def volume(parsed: Parsed, context: Context) -> InspectResult:
    """``docker volume inspect``."""
    return _inspect(parsed, context, context.client.volume_inspect)


def any_object(parsed: Parsed, context: Context) -> InspectResult:
    """``docker inspect``: the first kind of object that has the name."""
    kind = parsed.text("type")
    client = context.client
    getters: dict[str, Getter] = {
        "container": lambda name: client.container_inspect(name, size=parsed.flag("size")),
        "image": client.image_inspect,
        "network": client.network_inspect,
        "volume": client.volume_inspect,
    }
    if parsed.given("type"):
        if kind not in _TYPES:
            known = ", ".join(f'"{each}"' for each in _TYPES)
            raise CommandError(f'unknown type: "{kind}": must be one of {known}', 1)
        if kind not in getters:
            raise CommandError(f"docker: '--type {kind}' is not available here yet", 1)
        return _inspect(parsed, context, getters[kind])

    def first(name: str) -> Any:
        for getter in getters.values():
            try:
                return getter(name)
            except NotFound:
                continue
        raise ClientError(f"Error: No such object: {name}")

    return _inspect(parsed, context, first)


def _inspect(parsed: Parsed, context: Context, getter: Getter) -> InspectResult:
    return inspect_each(parsed.arguments, parsed.text("format"), context, getter)


def inspect_each(names: Sequence[str], form: str, context: Context, getter: Getter) -> InspectResult:
    """Get each object and show what was found; what was not is told at the end."""
    template = _template(form)
    sink = Sink(context)
    found: list[Any] = []
    complaints: list[str] = []
    for name in names:
        try:
            found.append(getter(name))
        except ClientError as error:
            complaints.append(str(error))
    text, problem = _shown(found, form, template)
    sink.out(text)
    result = sink.fill(InspectResult(data=found), 1 if complaints or problem else 0)
    if problem:
        complaints.append(problem)
    if complaints:
        raise CommandError("\n".join(complaints), 1, result=result)
    return result


def _template(form: str) -> Template | None:
    if form in {"", "json"}:
        return None
    try:
        return Template(form)
    except TemplateSyntaxError as error:
        raise CommandError(f"template parsing error: {error}", 64) from None


def _shown(found: Sequence[Any], form: str, template: Template | None) -> tuple[str, str]:
    """Return the text for some objects, and the complaint of a template that could not be filled in."""
    if template is None:
        if form == "json":
            return to_json([as_go(each) for each in found]) + "\n", ""
        return _indented(list(found)) + "\n", ""
    parts = []
    for each in found:
        try:
            parts.append(template.fill(as_go(each), strict=False) + "\n")
        except TemplateExecutionError:
            try:
                parts.append(template.fill(each, strict=True) + "\n")
            except TemplateExecutionError as error:
                return "".join(parts) + "\n", f"template parsing error: {error}"
    return "".join(parts) or "\n", ""


def _indented(value: Any) -> str:
    """Write JSON as docker does: four blanks, what is empty on one line."""
    return json.dumps(value, indent=4, ensure_ascii=False)
