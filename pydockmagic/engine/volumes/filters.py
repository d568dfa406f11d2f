"""Which volumes a client means (Engine API v1.50, ``filters`` of ``GET /volumes`` and ``POST /volumes/prune``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydockmagic.engine.errors import InvalidParameter

from .records import VolumeRecord

__all__ = ["check_names", "chosen", "flag", "prunable"]

_TRUE, _FALSE = frozenset({"1", "true"}), frozenset({"0", "false"})


def check_names(filters: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
    """Refuse a filter that there is not."""
    for name in filters:
        if name not in known:
            raise InvalidParameter(f"Invalid filter '{name}'")


def flag(filters: Mapping[str, Sequence[str]], name: str) -> bool | None:
    """Read a filter that is true or false, None where it is not given; raise ``InvalidParameter``."""
    values = list(dict.fromkeys(filters.get(name, ())))
    if not values:
        return None
    true = not _TRUE.isdisjoint(values)
    if true is not _FALSE.isdisjoint(values):
        raise InvalidParameter(f"Invalid filter '{name}=[{' '.join(values)}]'")
    return true


def chosen(record: VolumeRecord, filters: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a volume passes ``name``, ``driver`` and ``label``."""
    names = filters.get("name")
    if names and not any(_matches(name, record.name) for name in names):
        return False
    if (drivers := filters.get("driver")) and "local" not in drivers:
        return False
    return all(_has_label(record, label) for label in filters.get("label", ()))


def prunable(record: VolumeRecord, filters: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a volume passes ``label`` and ``label!``."""
    if not all(_has_label(record, label) for label in filters.get("label", ())):
        return False
    return not any(_has_label(record, label) for label in filters.get("label!", ()))


def _matches(pattern: str, name: str) -> bool:
    """Search as Docker's filters do: by a regular expression, or as plain text where it is none."""
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return pattern in name


def _has_label(record: VolumeRecord, wanted: str) -> bool:
    labels = record.labels or {}
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
