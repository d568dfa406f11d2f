"""Filters that several families share: labels, ages, and the complaint about unknown ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.timestamps import parse_timestamp

__all__ = ["Filters", "matches_label", "parse_until"]


class Filters:
    """Checks of the ``filters`` parameter."""

    @staticmethod
    def check_names(filters: Mapping[str, Sequence[str]], known: Iterable[str]) -> None:
        """Raise ``InvalidParameter`` for a filter that does not exist."""
        allowed = set(known)
        for name in filters:
            if name not in allowed:
                raise InvalidParameter(f"Invalid filter '{name}'")


def matches_label(labels: Mapping[str, str], filters: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether labels pass ``label`` (all of them) and ``label!`` (none of them)."""

    def has(wanted: str) -> bool:
        key, equals, value = wanted.partition("=")
        return key in labels and (not equals or labels[key] == value)

    return all(has(label) for label in filters.get("label", ())) and not any(
        has(label) for label in filters.get("label!", ())
    )


def parse_until(values: Sequence[str]) -> int | None:
    """Read the ``until`` filter of prune commands, in Unix nanoseconds."""
    if not values:
        return None
    if len(values) > 1:
        raise InvalidParameter("more than one until filter specified")
    return parse_timestamp(values[0], time.time_ns())
