"""``--filter`` values into the API's filters."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["to_filters"]


def to_filters(pairs: Iterable[tuple[str, str]], **more: str) -> dict[str, list[str]]:
    """Group values by name."""
    found: dict[str, list[str]] = {}
    for name, value in (*pairs, *more.items()):
        if value not in found.setdefault(name, []):
            found[name].append(value)
    return found
