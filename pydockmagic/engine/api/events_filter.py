"""Which events a client wants (Engine API v1.50, "Monitor events", ``filters``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.events import Event

__all__ = ["EventFilter"]

_KINDS = ("container", "image", "volume", "network", "daemon", "plugin", "service", "node", "secret", "config")
_KNOWN = frozenset({"event", "type", "label", "scope", *_KINDS})


class EventFilter:
    """All named filters must hold; of several values of one, any (labels: every one)."""

    def __init__(self, filters: Mapping[str, Sequence[str]]) -> None:
        for name in filters:
            if name not in _KNOWN:
                raise InvalidParameter(f"Invalid filter '{name}'")
        self._filters = {name: values for name, values in filters.items() if values}

    def matches(self, event: Event) -> bool:
        """Tell whether the event passes."""
        return all(self._passes(name, values, event) for name, values in self._filters.items())

    def _passes(self, name: str, values: Sequence[str], event: Event) -> bool:
        if name == "type":
            return event.type in values
        if name == "scope":
            return "local" in values
        if name == "event":
            # "exec_create: ls" is found under "exec_create", as dockerd does
            return event.action in values or event.action.partition(":")[0] in values
        if name == "label":
            return all(_has_label(event.attributes, label) for label in values)
        return any(_is_object(name, value, event) for value in values)


def _has_label(attributes: Mapping[str, str], label: str) -> bool:
    key, equals, value = label.partition("=")
    return key in attributes and (not equals or attributes[key] == value)


def _is_object(kind: str, value: str, event: Event) -> bool:
    """Tell whether the event is about the named object: by id, id prefix or name."""
    name = event.attributes.get("name", "")
    if kind == "image" and event.type == "container":
        image = event.attributes.get("image", "")
        return value in (image, image.rpartition(":")[0])
    if event.type != kind:
        return event.type == "network" and kind == "container" and event.attributes.get("container", "") == value
    if kind == "image":
        return value in (event.actor_id, name, event.actor_id.rpartition(":")[0], name.rpartition(":")[0])
    return event.actor_id == value or event.actor_id.startswith(value) or name == value
