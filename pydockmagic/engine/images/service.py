"""The image service: everything that the API, the containers and the builder ask about images."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.state import State
from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.errors import InvalidReference
from pydockmagic.oci.layer import LayerIndex
from pydockmagic.oci.reference import Reference, parse_normalized

from . import inspecting, layers_view, listing, loading, lookup, removal, saving
from .changes import Changes
from .exchange import Exchange
from .filters import Filters
from .pulling import Puller, Registries
from .records import BuildStep, ImageRecord, LayerRecord
from .starters.base import ARCHITECTURE
from .store import ImageUser, Store

__all__ = ["ImageService", "ImageUser"]


def _nobody(_image_id: str) -> list[ImageUser]:
    return []


class ImageService:
    """Images, layers and names of one data root. Plain methods are instant, coroutines may touch the disk."""

    def __init__(
        self,
        root: Path,
        state: State,
        events: EventBus,
        storage_name: str = "overlay2",
        users: Callable[[str], list[ImageUser]] = _nobody,
    ) -> None:
        self._store = Store(root.resolve(), state, events, users)
        self._driver = storage_name
        self._puller = Puller(self._store)

    @property
    def users(self) -> Callable[[str], list[ImageUser]]:
        """Tells which containers use an image; the composition root sets it."""
        return self._store.users

    @users.setter
    def users(self, users: Callable[[str], list[ImageUser]]) -> None:
        self._store.users = users

    # -- finding ------------------------------------------------------------------------------------------------

    def find(self, name: str) -> ImageRecord | None:
        """Find an image by name, name with tag or digest, id or beginning of an id; None if there is none."""
        return lookup.find(self._store, name)

    def get(self, name: str) -> ImageRecord:
        """Find an image, or raise ``NoSuchImage``."""
        return lookup.get(self._store, name)

    def config(self, image_id: str) -> dict[str, Any]:
        """Give an image's config document (OCI image-spec, config.md), a copy of one's own."""
        return self._store.config(image_id)

    def names(self, image_id: str) -> list[str]:
        """Give an image's names with tags, in the familiar form."""
        return [reference.familiar for reference in self._store.references_of(image_id) if not reference.digest]

    def layer(self, chain_id: str) -> LayerRecord:
        """Give a layer's record."""
        return self._store.layer(chain_id)

    def layer_dirs(self, chain_ids: Sequence[str]) -> list[Path]:
        """Give the directories of an image's layers (chain ids bottom first), topmost first, as overlayfs wants."""
        return [self._store.layer_files.directory(chain) for chain in reversed(chain_ids)]

    def count(self) -> int:
        """Count the images that ``docker info`` counts: all, steps of builds included."""
        return len(self._store.images)

    # -- getting ------------------------------------------------------------------------------------------------

    @property
    def exchange(self) -> Exchange:
        """The door for the registry client."""
        return Exchange(self._store)

    @property
    def registries(self) -> Registries | None:
        """What is asked for an image before the starters are; the composition root sets it."""
        return self._puller.registries

    @registries.setter
    def registries(self, registries: Registries | None) -> None:
        self._puller.registries = registries

    async def ensure(
        self,
        reference: str,
        progress: Callable[[dict[str, Any]], None] | None = None,
        platform: str = "",
        auth: Mapping[str, Any] | None = None,
    ) -> ImageRecord:
        """Give a local image, or get it as ``docker pull`` would. Raises ``NotFound`` with Docker's sentence."""
        found = self.find(reference)
        if found is not None:
            return found
        async for message in self.pull(reference, platform, auth=auth):
            if progress is not None:
                progress(message)
        return self.get(reference)

    def pull(
        self, reference: str, platform: str = "", *, auth: Mapping[str, Any] | None = None, all_tags: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """Get an image, or with ``all_tags`` all of a name without a tag; gives Docker's progress messages.

        ``auth`` are the client's credentials. Errors come before the first message, or as exceptions.
        """
        return self._puller.pull(reference, platform, auth=auth, all_tags=all_tags)

    def load(self, stream: AsyncIterator[bytes], quiet: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Load the images of an archive; gives Docker's messages."""
        return loading.load(self._store, stream, quiet=quiet)

    def import_(
        self,
        stream: AsyncIterator[bytes],
        reference: str = "",
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
        source: str = "-",
    ) -> AsyncIterator[dict[str, Any]]:
        """Make an image of the tar of a root; gives Docker's messages, the last one with the id."""
        return loading.import_image(self._store, stream, reference, changes, message, platform, source)

    def save(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """Give images as one tar (Docker's archive and an OCI layout in one). Raises ``NoSuchImage`` at once."""
        return saving.save(self._store, names)

    # -- making -------------------------------------------------------------------------------------------------

    async def add_layer(self, directory: Path, parent: str | None, *, clamp_ns: int | None = None) -> LayerRecord:
        """Take a directory in overlayfs form over as the layer on top of ``parent`` (a chain id).

        The directory is gone afterwards. It is read once; an equal layer that is here already is used instead. The
        layer waits for ``create`` to use it; ``release`` gives it up.
        """
        below = self._store.chain_below(parent)
        record = await asyncio.to_thread(self._store.layer_files.add, directory, below, clamp_ns=clamp_ns)
        return await self._store.keep_layer(record)

    async def release(self, chain_ids: Sequence[str]) -> None:
        """Give layers up that were added and will not be used."""
        await self._store.release(chain_ids)

    async def create(  # noqa: PLR0913 - one keyword per field of a record
        self,
        *,
        config: dict[str, Any],
        chain_ids: Sequence[str],
        parent: str | None = None,
        container: str = "",
        comment: str = "",
        author: str = "",
        step: BuildStep | None = None,
        origin: str,
        created_ns: int | None = None,
        references: Sequence[str] = (),
    ) -> ImageRecord:
        """Make an image from a config and layers that are here (bottom first).

        ``config`` is the whole config document; its ``rootfs`` is written here, from the layers, and architecture and
        system where they are missing. Equal configs give equal ids. ``references`` are names it gets at once.
        """
        document = {"architecture": ARCHITECTURE, "os": "linux", **config}
        diff_ids = [self._store.layer(chain).diff_id for chain in chain_ids]
        document["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        encoded = msgspec.json.encode(document, order="deterministic")
        names = [_tagged(text) for text in references]
        record = ImageRecord(
            id=sha256_digest(encoded),
            chain_ids=tuple(chain_ids),
            created_ns=created_ns or time.time_ns(),
            parent=parent,
            container=container,
            comment=comment,
            author=author,
            step=step,
            origin=origin,
        )
        record = await self._store.add_image(record, encoded, names)
        for name in names:
            self._store.publish("tag", record.id, name.familiar)
        return record

    async def note_step(self, image_id: str, step: BuildStep) -> None:
        """Remember how an image was last come by: from the cache, say."""
        await self._store.note_step(image_id, step)

    async def tag(self, image_id: str, reference: str) -> None:
        """Let a name (``latest`` where no tag is said) point to an image."""
        if image_id not in self._store.images:
            raise EngineError(f"image {image_id} does not exist")
        name = _tagged(reference)
        await self._store.point(image_id, [name])
        self._store.publish("tag", image_id, name.familiar)

    # -- removing -----------------------------------------------------------------------------------------------

    async def remove(self, name: str, *, force: bool = False, prune: bool = True) -> list[dict[str, str]]:
        """Remove a name or an image; gives Docker's rows. ``prune`` takes untagged steps below along."""
        return await removal.remove(self._store, name, force=force, with_parents=prune)

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """Remove unused images, as ``POST /images/prune`` answers."""
        return await removal.prune(self._store, filters)

    async def collect(self) -> None:
        """Let go of what was kept for containers that are gone now; for after a container was removed."""
        await self._store.collect()

    # -- looking ------------------------------------------------------------------------------------------------

    def inspect(self, name: str, version: tuple[int, int] = (1, 50)) -> dict[str, Any]:
        """Give the answer of ``GET /images/{name}/json`` in a version of the API."""
        return inspecting.describe(self._store, self.get(name), self._driver, version)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Give the rows of ``GET /images/{name}/history``."""
        return inspecting.history(self._store, self.get(name))

    def layers(self, name: str) -> dict[str, Any]:
        """Give the answer of ``GET /pydock/images/{name}/layers``."""
        return layers_view.layers(self._store, self.get(name))

    def layers_of(self, image_id: str, chain_ids: Sequence[str]) -> dict[str, Any]:
        """Give the same for a container's image, also when that was removed by force meanwhile."""
        record = self._store.record_of(image_id)
        if record is None:
            record = ImageRecord(id=image_id, chain_ids=tuple(chain_ids), created_ns=0)
        return layers_view.layers(self._store, record)

    def files(self, chain_id: str, *, offset: int = 0, limit: int | None = None, sort: str = "path") -> dict[str, Any]:
        """Give the answer of ``GET /pydock/layers/{chain_id}/files``. Blocks while an index is read: use a thread."""
        return layers_view.files(self._store, chain_id, offset=offset, limit=limit, sort=sort)

    async def changes(self, directory: Path, chain_ids: Sequence[str]) -> tuple[LayerIndex, Changes]:
        """Index a directory in overlayfs form over an image's layers (bottom first): a container's own changes."""
        return await asyncio.to_thread(self._store.layer_files.describe, directory, tuple(chain_ids))

    def columns(
        self, index: LayerIndex, changes: Changes, *, offset: int = 0, limit: int | None = None, sort: str = "path"
    ) -> dict[str, Any]:
        """Give such changes in the form of ``files``."""
        return layers_view.index_columns(index, changes, offset=offset, limit=limit, sort=sort)

    def disk_usage(self) -> dict[str, Any]:
        """Give ``LayersSize`` and ``Images`` of ``GET /system/df``."""
        return listing.disk_usage(self._store)

    def list(
        self,
        filters: Filters | None = None,
        *,
        all: bool = False,  # noqa: A002 - the API's name
        shared_size: bool = False,
        containers: bool = False,
    ) -> list[dict[str, Any]]:
        """Give the rows of ``GET /images/json``."""
        return listing.list_images(
            self._store, filters or {}, show_all=all, shared_size=shared_size, containers=containers
        )


def _tagged(text: str) -> Reference:
    try:
        reference = parse_normalized(text)
    except InvalidReference as error:
        raise InvalidParameter(str(error)) from None
    if reference.digest:
        raise InvalidParameter("refusing to create a tag with a digest reference")
    return reference.with_default_tag()
