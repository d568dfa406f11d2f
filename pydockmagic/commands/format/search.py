"""``docker search`` (docker/cli, command/registry/formatter_search.go)."""

from __future__ import annotations

from .exact import number
from .listing import Field, Json, Listing, Options
from .table import ellipsis

__all__ = ["SEARCH"]

_DESCRIPTION = 45


def _description(item: Json, options: Options) -> str:
    text = str(item.get("description", "")).replace("\n", " ").replace("\r", " ")
    return ellipsis(text, _DESCRIPTION) if options.trunc else text


SEARCH = Listing(
    go_type="*registry.searchContext",
    fields={
        "Name": Field("NAME", lambda item, _: item.get("name", "")),
        "Description": Field("DESCRIPTION", _description),
        "StarCount": Field("STARS", lambda item, _: str(item.get("star_count", 0))),
        "IsOfficial": Field("OFFICIAL", lambda item, _: "[OK]" if item.get("is_official") else ""),
        "IsAutomated": Field("AUTOMATED", lambda item, _: "[OK]" if item.get("is_automated") else ""),
    },
    columns=lambda _: ("Name", "Description", "StarCount", "IsOfficial"),
    quiet="Name",
    exact={
        "IsAutomated": lambda item: bool(item.get("is_automated")),
        "IsOfficial": lambda item: bool(item.get("is_official")),
        "StarCount": number("star_count"),
    },
)
