"""The values behind docker's texts, to calculate with: moments as ``datetime`` in UTC; what is not known is ``None``.

A table shows ``4.05MB`` and ``2 hours ago``; whoever sorts or plots wants the bytes and the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from .times import nanoseconds

__all__ = ["Exact", "known", "moment", "moment_of", "number"]

Exact = Mapping[str, Callable[[Mapping[str, Any]], Any]]
"""By the name of a field, how its value follows from an object of the API."""


def moment(seconds: float | None) -> datetime | None:
    """Return a moment given in seconds since 1970; ``None`` for Go's zero time."""
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None and seconds > 0 else None


def moment_of(text: str | None) -> datetime | None:
    """Return a moment given as RFC 3339 text."""
    return moment(nanoseconds(text or "") / 1e9)


def known(value: int | None) -> int | None:
    """Return a count; the API writes -1 where it did not count."""
    return None if value is None or value < 0 else value


def number(name: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return who reads a number that the object has under a name."""
    return lambda item: known(item.get(name))
