"""``docker context ls`` (docker/cli, command/formatter/context.go)."""

from __future__ import annotations

from .listing import Field, Json, Listing, Options

__all__ = ["CONTEXTS"]

_DESCRIPTION = 60


def _name(item: Json, _options: Options) -> str:
    return f"{item['context'].name} *" if item["current"] else str(item["context"].name)


def _description(item: Json, options: Options) -> str:
    text = str(item["context"].description)
    return text if len(text) <= _DESCRIPTION or not options.trunc else text[: _DESCRIPTION - 1] + "…"


CONTEXTS = Listing(
    go_type="*formatter.contextContext",
    fields={
        "Current": Field("CURRENT", lambda item, _: item["current"]),
        "Name": Field("NAME", lambda item, _: item["context"].name),
        "Marked": Field("NAME", _name, hidden=True),
        "Description": Field("DESCRIPTION", _description),
        "DockerEndpoint": Field("DOCKER ENDPOINT", lambda item, _: item["context"].host),
        "Error": Field("ERROR", lambda _item, _options: ""),
    },
    columns=lambda _: ("Marked", "Description", "DockerEndpoint", "Error"),
    quiet="Name",
)
