"""Which containers ``docker ps`` shows: Engine API v1.50, "List containers", with dockerd's filters."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from pydockmagic.engine.errors import InvalidParameter

from .container import Container
from .core import Core
from .describing import Describer, ports_of
from .filters import Filters, matches_label
from .lifecycle import Lifecycle

__all__ = ["Lister"]

_NAMES = (
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
)
_STATES = frozenset(state.value for state in Lifecycle if state is not Lifecycle.GONE)
_TRUE, _FALSE = frozenset({"1", "true"}), frozenset({"0", "false"})
_HEALTH = frozenset({"none", "starting", "healthy", "unhealthy"})

# ``list`` is a method here (``docker ps``), so the type needs other names.
_Rows = list[dict[str, Any]]
_Found = list[Container]
_Test = Callable[[Container, Sequence[str]], bool]


class Lister:
    """Lists containers, newest first."""

    def __init__(self, core: Core, describer: Describer) -> None:
        self._core = core
        self._describer = describer
        self._tests: dict[str, _Test] = {
            "ancestor": self._descends,
            "exited": lambda c, values: _exited(c) and str(c.record.state.exit_code) in values,
            "expose": lambda c, values: _offers(_exposed(c), values, "expose"),
            "publish": lambda c, values: _offers(_public(c), values, "publish"),
            "health": lambda c, values: _health(c) in values,
            "id": lambda c, values: any(re.search(value, c.id) for value in values),
            "is-task": lambda _, values: values[0].lower() not in _TRUE,
            "isolation": lambda _, values: bool(values),  # Windows has several; here it lets all pass
            "name": lambda c, values: any(_searches(value, c.record.name) for value in values),
            "network": self._joins,
            "status": lambda c, values: c.lifecycle.value in values,
            "volume": lambda c, values: any(v in (m.name, m.destination) for m in c.record.mounts for v in values),
        }

    async def list(
        self, filters: Mapping[str, Sequence[str]], *, everything: bool = False, limit: int = 0, size: bool = False
    ) -> _Rows:
        """Give the rows."""
        self._check(filters)
        everything = everything or bool(filters.get("status")) or limit > 0
        chosen = sorted(self._core.store, key=lambda c: c.record.created_ns, reverse=True)
        chosen = self._between(chosen, filters)
        result = [c for c in chosen if self._passes(c, filters, everything)]
        if limit > 0:
            result = result[:limit]
        if not size:
            return [self._describer.summary(container) for container in result]
        return [await asyncio.to_thread(self._describer.summary, container, size=True) for container in result]

    def _check(self, filters: Mapping[str, Sequence[str]]) -> None:
        Filters.check_names(filters, _NAMES)
        for value in filters.get("status", ()):
            if value not in _STATES:
                raise InvalidParameter(f"Invalid filter 'status={value}'")
        for value in filters.get("health", ()):
            if value not in _HEALTH:
                raise InvalidParameter(f"Unrecognised filter value for health: {value}")
        tasks = filters.get("is-task", ())
        if tasks and tasks[0].lower() not in _TRUE | _FALSE:
            raise InvalidParameter(f"Invalid filter 'is-task=[{' '.join(tasks)}]'")
        for value in filters.get("exited", ()):
            if not value.lstrip("-").isdecimal():
                raise InvalidParameter(f'strconv.Atoi: parsing "{value}": invalid syntax')

    def _between(self, ordered: _Found, filters: Mapping[str, Sequence[str]]) -> _Found:
        """Keep what was made after ``since`` and before ``before``."""
        for name in filters.get("before", ()):
            position = ordered.index(self._named(name))
            ordered = ordered[position + 1 :]
        for name in filters.get("since", ()):
            anchor = self._named(name)
            ordered = [c for c in ordered if c.record.created_ns > anchor.record.created_ns]
        return ordered

    def _named(self, name: str) -> Container:
        found = self._core.store.find(name)
        if found is None:
            raise InvalidParameter(f"no such container {name}")
        return found

    def _passes(self, container: Container, filters: Mapping[str, Sequence[str]], everything: bool) -> bool:
        if not everything and not container.record.state.running:
            return False
        if not matches_label(container.record.config.labels, filters):
            return False
        return all(
            self._tests[name](container, values) for name, values in filters.items() if values and name in self._tests
        )

    def _descends(self, container: Container, values: Sequence[str]) -> bool:
        """Tell whether the container's image is one of the named, or was built on one."""
        wanted = {found.id for value in values if (found := self._core.images.find(value)) is not None}
        image_id: str | None = container.record.image_id
        while image_id:
            if image_id in wanted:
                return True
            record = self._core.images.find(image_id)
            image_id = record.parent if record is not None else None
        return False

    def _joins(self, container: Container, values: Sequence[str]) -> bool:
        networks = container.record.networks
        ids = [str(entry.get("NetworkID", "")) for entry in networks.values()]
        return any(value in networks or any(i and i.startswith(value) for i in ids) for value in values)


def _searches(pattern: str, name: str) -> bool:
    try:
        return bool(re.search(pattern, name) or re.search(pattern, f"/{name}"))
    except re.error:
        return pattern == name


def _exited(container: Container) -> bool:
    return container.lifecycle is Lifecycle.EXITED


def _health(container: Container) -> str:
    health = container.record.state.health
    return "none" if health is None else health.status


def _exposed(container: Container) -> set[str]:
    exposed = container.record.config.exposed_ports
    return set(exposed if exposed is not UNSET else ()) | set(container.record.ports)


def _public(container: Container) -> set[str]:
    return {f"{row['PublicPort']}/{row['Type']}" for row in ports_of(container.record) if "PublicPort" in row}


def _offers(there: set[str], values: Sequence[str], what: str) -> bool:
    for value in values:
        ports, _, protocol = value.partition("/")
        first, _, last = ports.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            bad = last if first.isdecimal() else first
            raise InvalidParameter(
                f'error while looking up for {what} {value}: strconv.ParseUint: parsing "{bad}": invalid syntax'
            )
        wanted = range(int(first), int(last or first) + 1)
        if any(f"{port}/{protocol or 'tcp'}" in there for port in wanted):
            return True
    return False
