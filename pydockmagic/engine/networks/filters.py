"""The filters of ``docker network ls`` and ``docker network prune``, as dockerd reads them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.timestamps import parse_timestamp

from .records import Network

__all__ = ["check_filters", "matches_filters"]

LIST = ("dangling", "driver", "id", "label", "name", "scope", "type")
PRUNE = ("label", "label!", "until")

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def check_filters(filters: Mapping[str, Iterable[str]], known: Collection[str] = LIST) -> None:
    """Raise InvalidParameter for a filter that does not exist, or that has a value without meaning."""
    for key, values in filters.items():
        if key not in known:
            raise InvalidParameter(f"Invalid filter '{key}'")
        for value in values:
            if key == "type" and value not in ("builtin", "custom"):
                raise InvalidParameter(f"invalid filter: 'type'='{value}'")
            if key == "dangling" and value not in _TRUTHS:
                raise InvalidParameter(
                    'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
                )
            if key == "until":
                _until(value)


def matches_filters(network: Network, filters: Mapping[str, Iterable[str]], used: Collection[str]) -> bool:
    """Tell whether a network passes; ``used`` are the ids of the networks that containers are on."""
    for key, values in filters.items():
        found = [_matches(network, key.rstrip("!"), value, network.id in used) for value in values]
        if key == "label" and not all(found):
            return False
        if key == "label!" and any(found):
            return False
        if found and key not in ("label", "label!") and not any(found):
            return False
    return True


def _matches(network: Network, key: str, value: str, used: bool) -> bool:
    if key == "label":
        name, equals, expected = value.partition("=")
        return name in network.labels and (not equals or network.labels[name] == expected)
    if key == "type":
        return network.predefined == (value == "builtin")
    if key == "dangling":
        return (not network.predefined and not used) == _TRUTHS[value]
    if key == "driver":
        return network.driver == value
    if key == "scope":
        return value == "local"
    if key == "until":
        created = parse_timestamp(network.created)
        return created is None or created < _until(value)
    return _like(value, network.id if key == "id" else network.name)


def _until(text: str) -> int:
    moment = parse_timestamp(text)
    if moment is None:
        raise InvalidParameter(f'failed to parse value as time or duration: "{text}"')
    return moment


def _like(pattern: str, text: str) -> bool:
    """Match as dockerd's filters do: equal, or found as a regular expression."""
    try:
        return pattern == text or re.search(pattern, text) is not None
    except re.error:
        return pattern in text
