"""All containers by id and name, mirrored in the state store."""

from __future__ import annotations

from collections.abc import Iterator

from pydockmagic.engine.errors import Conflict, InvalidParameter, NoSuchContainer
from pydockmagic.engine.state import State

from .container import Container
from .records import ContainerRecord

__all__ = ["ContainerStore"]

_KIND = "container"
_ID_LENGTH = 64


class ContainerStore:
    """Finds containers the way Docker does: by full id, by name, by a prefix of the id."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._by_id: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._linking: dict[str, Container] = {}

    def load(self) -> list[Container]:
        """Read all records of an earlier engine."""
        for record in self._state.load(_KIND, ContainerRecord).values():
            self._by_id[record.id] = Container(record)
            self._names[record.name] = record.id
            self._note_links(self._by_id[record.id])
        return list(self._by_id.values())

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    @property
    def linking(self) -> list[Container]:
        """List the containers that are linked to others; there are few, and every list asks for them."""
        return list(self._linking.values())

    def _note_links(self, container: Container) -> None:
        if container.record.links and not container.gone:
            self._linking[container.id] = container
        else:
            self._linking.pop(container.id, None)

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._by_id

    def find(self, asked: str) -> Container | None:
        """Find a container, or give None; raise ``InvalidParameter`` for an ambiguous prefix."""
        if found := self._by_id.get(asked):
            return found
        if found_id := self._names.get(asked.removeprefix("/")):
            return self._by_id.get(found_id)
        if "/" in asked[1:]:
            return self._linked(asked)
        if not asked or len(asked) >= _ID_LENGTH:
            return None
        matches = [c for key, c in self._by_id.items() if key.startswith(asked)]
        if len(matches) > 1:
            raise InvalidParameter(f"Multiple IDs found with provided prefix: {asked}")
        return matches[0] if matches else None

    def _linked(self, path: str) -> Container | None:
        """Find a container by the name of a link to it (``PARENT/ALIAS``)."""
        parent, _, alias = path.removeprefix("/").rpartition("/")
        found = self._by_id.get(self._names.get(parent, ""))
        links = found.record.links if found is not None else ()
        return next((self._by_id.get(link.container_id) for link in links if link.alias == alias), None)

    def get(self, asked: str) -> Container:
        """Find a container, or raise ``NoSuchContainer``."""
        found = self.find(asked)
        if found is None:
            raise NoSuchContainer(asked)
        return found

    def name_taken(self, name: str) -> bool:
        """Tell whether a name is in use."""
        return name in self._names

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name, or raise ``Conflict``."""
        holder = self._names.setdefault(name, container_id)
        if holder != container_id:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )

    def release(self, name: str, container_id: str) -> None:
        """Give a name back."""
        if self._names.get(name) == container_id:
            del self._names[name]

    async def add(self, container: Container) -> None:
        """Keep a new container, whose name is reserved already."""
        await self.save(container)
        self._by_id[container.id] = container

    async def save(self, container: Container) -> None:
        """Write a container's record."""
        self._note_links(container)
        if not container.gone:
            await self._state.put(_KIND, container.id, container.record)

    async def drop(self, container: Container) -> None:
        """Forget a container."""
        container.gone = True
        self._note_links(container)
        self._by_id.pop(container.id, None)
        self.release(container.record.name, container.id)
        await self._state.delete(_KIND, container.id)
