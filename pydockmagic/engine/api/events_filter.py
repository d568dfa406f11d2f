"""Which events a client wants (Engine API v1.50, "Monitor events", ``filters``), as moby's daemon/events reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydockmagic.engine.events import Event

__all__ = ["EventFilter"]

_KINDS = ("container", "volume", "network", "daemon", "plugin", "service", "node", "secret", "config")
_DETAILED = frozenset({"health_status", "exec_create", "exec_start"})
"""Actions that carry a detail after a colon; asked for by one of these words, all actions match by their beginning."""


class EventFilter:
    """All named filters must hold; of several values of one, any (labels: every one). Unknown names say nothing."""

    def __init__(self, filters: Mapping[str, Sequence[str]]) -> None:
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
            if _DETAILED.isdisjoint(values):
                return event.action in values
            return event.action.startswith(tuple(values))
        if name == "label":
            return all(_has_label(event.attributes, label) for label in values)
        if name == "image":
            return not _image_names(event).isdisjoint(values)
        if name in _KINDS:
            # By any object's id or name: a container filter drops other kinds because their names differ.
            return event.actor_id.startswith(tuple(values)) or _name(event).startswith(tuple(values))
        return True


def _has_label(attributes: Mapping[str, str], label: str) -> bool:
    key, equals, value = label.partition("=")
    return key in attributes and (not equals or attributes[key] == value)


def _name(event: Event) -> str:
    return event.attributes.get("name", "")


def _image_names(event: Event) -> set[str]:
    """Give what an image is called in an event, with and without the tag; a container's events name its image."""
    name = _name(event) if event.type == "image" else event.attributes.get("image", "")
    return {event.actor_id, name, _without_tag(event.actor_id), _without_tag(name)}


def _without_tag(reference: str) -> str:
    head, colon, tag = reference.partition("@")[0].rpartition(":")
    return head if colon and "/" not in tag else reference
