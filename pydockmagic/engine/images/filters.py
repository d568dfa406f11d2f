"""The filters of ``docker images`` and ``docker image prune`` (Engine API v1.50)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydockmagic.engine.errors import InvalidParameter

__all__ = ["Filters", "boolean", "check", "labels_match"]

Filters = Mapping[str, Sequence[str]]


def check(filters: Filters, known: frozenset[str]) -> None:
    """Refuse filters that Docker does not know here."""
    for name in filters:
        if name not in known:
            raise InvalidParameter(f"Invalid filter '{name}'")


def boolean(filters: Filters, name: str, *, default: bool) -> bool:
    """Read a filter that is true or false; both or neither of several values is an error, as in Docker."""
    values = filters.get(name)
    if not values:
        return default
    truths = {"1": True, "true": True, "0": False, "false": False}
    found = {truths[value] for value in values if value in truths}
    if len(found) != 1:
        shown = " ".join(values)
        raise InvalidParameter(f"Invalid filter '{name}=[{shown}]'")
    return found.pop()


def labels_match(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Tell whether every wanted label (``key`` or ``key=value``) is there."""
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
