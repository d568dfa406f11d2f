"""Where the layers of this machine are known to lie: by which blob, in which repositories of which registries.

A layer that was pulled or pushed need not be packed and sent again: its blob is looked for where it was, or mounted
from another repository of the same registry. dockerd keeps the same (``distribution/v2metadata-by-diffid``).
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from pydockmagic.engine.state import State
from pydockmagic.oci.manifest import Descriptor

__all__ = ["LayerSource", "LayerSources"]

_KIND = "layer-source"
_KEPT = 30


class LayerSource(msgspec.Struct, frozen=True):
    """A blob that holds a layer, and one repository (domain and path) that has it."""

    digest: str
    size: int
    media_type: str
    repository: str

    @property
    def domain(self) -> str:
        """The registry."""
        return self.repository.partition("/")[0]

    @property
    def path(self) -> str:
        """The repository's path in its registry."""
        return self.repository.partition("/")[2]

    @property
    def descriptor(self) -> Descriptor:
        """The blob as a manifest names it."""
        return Descriptor(self.media_type, self.digest, self.size)


class _Sources(msgspec.Struct, frozen=True):
    known: tuple[LayerSource, ...]


class LayerSources:
    """All that is known of where layers lie, by diff id; mirrored to the state."""

    def __init__(self, state: State, diff_ids: Collection[str] | None = None) -> None:
        self._state = state
        self._known = state.load(_KIND, _Sources)
        self._stale = [key for key in self._known if diff_ids is not None and key not in diff_ids]
        for key in self._stale:
            del self._known[key]

    def of(self, diff_id: str) -> tuple[LayerSource, ...]:
        """Give where a layer lies, the latest first."""
        record = self._known.get(diff_id)
        return record.known if record else ()

    async def add(self, diff_id: str, source: LayerSource) -> None:
        """Remember that a repository has a layer."""
        before = self.of(diff_id)
        if before[:1] == (source,):
            return
        record = _Sources((source, *(one for one in before if one != source))[:_KEPT])
        self._known[diff_id] = record
        await self._state.put(_KIND, diff_id, record)
        stale, self._stale = self._stale, []
        for key in stale:
            if key not in self._known:
                await self._state.delete(_KIND, key)

    async def forget(self, diff_id: str, source: LayerSource) -> None:
        """Forget a repository that has a layer no more."""
        left = tuple(one for one in self.of(diff_id) if one != source)
        self._known[diff_id] = _Sources(left)
        await self._state.put(_KIND, diff_id, self._known[diff_id])
