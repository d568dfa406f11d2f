"""The image store: images, layers and names in memory, mirrored to the state; their contents on disk.

Three rules keep it whole when the engine is killed at any instant. Content comes first: blobs and layers are complete
under their final names before a record mentions them. A record and the name that points to it are written in one
transaction. And at start, whatever no record names is thrown away.

A layer lives as long as an image has it, or a container whose image was removed by force, or somebody who is about to
make an image of it (a lease).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.state import Change, State
from pydockmagic.engine.storage.trash import Trash
from pydockmagic.oci.reference import Reference, parse_named

from .blobs import Blobs
from .layers import Layers
from .records import BuildStep, ImageRecord, LayerRecord, ReferenceRecord

__all__ = ["ImageUser", "Store"]


class ImageUser(msgspec.Struct, frozen=True):
    """A container that was made from an image."""

    container_id: str
    name: str
    running: bool


def _nobody(_image_id: str) -> list[ImageUser]:
    return []


class Store:
    """Everything known of images. Reads are plain and instant; changes are coroutines, one at a time."""

    def __init__(
        self,
        root: Path,
        state: State,
        events: EventBus,
        users: Callable[[str], list[ImageUser]] = _nobody,
    ) -> None:
        self.events = events
        self.users = users
        self._state = state
        self._trash = Trash(root / "trash")
        self._scratch = root / "incoming"
        self._trash.discard(self._scratch)
        self._scratch.mkdir(mode=0o700)
        self.blobs = Blobs(root / "image")
        self.layer_files = Layers(root, self._trash)
        self.images: dict[str, ImageRecord] = state.load("image", ImageRecord)
        self.layers: dict[str, LayerRecord] = state.load("layer", LayerRecord)
        self.references: dict[str, ReferenceRecord] = state.load("reference", ReferenceRecord)
        # Removed by force while a container still uses them: no image any more, but their layers stay.
        self._kept: dict[str, ImageRecord] = state.load("image-kept", ImageRecord)
        self._leases: Counter[str] = Counter()
        self._configs: dict[str, bytes] = {}
        self._lock = asyncio.Lock()
        self._lost: list[Change] = []
        self._check()
        self._names: dict[str, set[str]] = {}
        for key, reference in self.references.items():
            self._names.setdefault(reference.image, set()).add(key)
        self._children: dict[str, set[str]] = {}
        for image in self.images.values():
            if image.parent:
                self._children.setdefault(image.parent, set()).add(image.id)
        self._uses: Counter[str] = Counter(
            chain for image in (*self.images.values(), *self._kept.values()) for chain in image.chain_ids
        )

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a directory beside the contents, for what is on its way in; gone when the block is left."""
        path = self._scratch / uuid.uuid4().hex
        path.mkdir()
        try:
            yield path
        finally:
            self._trash.discard(path)

    def _check(self) -> None:
        """Drop what cannot be whole, and sweep the disk. For start-up: nothing else runs yet."""

        def lose(kind: str, table: dict[str, Any], keys: Iterable[str]) -> None:
            for key in list(keys):
                del table[key]
                self._lost.append(Change(kind, key))

        lose("layer", self.layers, [c for c in self.layers if not self.layer_files.exists(c)])
        for kind, images in (("image", self.images), ("image-kept", self._kept)):
            broken = [
                i.id
                for i in images.values()
                if not all(c in self.layers for c in i.chain_ids) or not self.blobs.has(i.id)
            ]
            lose(kind, images, broken)
        lose("reference", self.references, [k for k, r in self.references.items() if r.image not in self.images])
        used = {chain for image in (*self.images.values(), *self._kept.values()) for chain in image.chain_ids}
        lose("layer", self.layers, [chain for chain in self.layers if chain not in used])
        self.layer_files.sweep(self.layers)
        self.blobs.sweep(self._named_blobs())

    def _named_blobs(self) -> set[str]:
        named = {*self.images, *self._kept}
        named |= {image.manifest for image in self.images.values() if image.manifest}
        named |= {layer.blob for layer in self.layers.values() if layer.blob}
        named |= {key.partition("@")[2] for key in self.references if "@" in key}
        return named

    # -- reading ------------------------------------------------------------------------------------------------

    def record_of(self, image_id: str) -> ImageRecord | None:
        """Give an image's record, also where only a container still has it."""
        return self.images.get(image_id) or self._kept.get(image_id)

    def config_bytes(self, image_id: str) -> bytes:
        """Give an image's config document as it is stored."""
        found = self._configs.get(image_id)
        if found is None:
            found = self._configs[image_id] = self.blobs.get(image_id)
        return found

    def config(self, image_id: str) -> dict[str, Any]:
        """Give an image's config document, a copy of one's own."""
        return msgspec.json.decode(self.config_bytes(image_id), type=dict[str, Any])

    def references_of(self, image_id: str) -> list[Reference]:
        """Give all references to an image, in order."""
        return [parse_named(key) for key in sorted(self._names.get(image_id, ()))]

    def children(self, image_id: str) -> set[str]:
        """Give the images that were made from this one here."""
        return self._children.get(image_id, set())

    def size(self, image: ImageRecord) -> int:
        """Give the bytes of file content in all layers of an image."""
        return sum(self.layers[chain].size for chain in image.chain_ids)

    def images_with(self, chain: str) -> list[ImageRecord]:
        """Give the images that have a layer."""
        return [image for image in self.images.values() if chain in image.chain_ids]

    def layer(self, chain: str) -> LayerRecord:
        """Give a layer's record; raise ``EngineError`` if there is none."""
        record = self.layers.get(chain)
        if record is None:
            raise EngineError(f"layer does not exist: {chain}")
        return record

    def chain_below(self, parent: str | None) -> tuple[str, ...]:
        """Give the chain ids from the bottom up to and with ``parent``."""
        chain: list[str] = []
        while parent:
            chain.append(parent)
            parent = self.layer(parent).parent
        return tuple(reversed(chain))

    # -- layers -------------------------------------------------------------------------------------------------

    async def keep_layer(self, record: LayerRecord) -> LayerRecord:
        """Remember a layer that is on disk, and lease it until an image has it or ``release`` is called."""
        async with self._lock:
            existing = self.layers.get(record.chain_id)
            self._leases[record.chain_id] += 1
            if existing is not None:
                if record.blob and not existing.blob:
                    # Now the tar it came from is here as well: it goes out as it came in.
                    existing = msgspec.structs.replace(existing, blob=record.blob, media_type=record.media_type)
                    await self._write([Change("layer", record.chain_id, existing)])
                    self.layers[record.chain_id] = existing
                return existing
            await self._write([Change("layer", record.chain_id, record)])
            self.layers[record.chain_id] = record
            return record

    async def release(self, chains: Iterable[str]) -> None:
        """Give leases back that will not become an image."""
        async with self._lock:
            names = list(chains)
            self._end_leases(names)
            await self._forget_layers(reversed(names), [])

    def _end_leases(self, chains: Iterable[str]) -> None:
        for chain in chains:
            self._leases[chain] -= 1
            if self._leases[chain] <= 0:
                del self._leases[chain]

    # -- images and names ---------------------------------------------------------------------------------------

    async def add_image(self, image: ImageRecord, config: bytes, names: Sequence[Reference] = ()) -> ImageRecord:
        """Remember an image with the names that point to it; its layers must be known. Leases end here."""
        async with self._lock:
            await asyncio.to_thread(self.blobs.put, config)
            for chain in image.chain_ids:
                self.layer(chain)
            before = self.images.get(image.id)
            if before is not None:
                # The same content was made again: it is new in the lists, but whose child it is stays.
                image = msgspec.structs.replace(
                    image,
                    parent=before.parent or image.parent,
                    step=image.step or before.step,
                    manifest=image.manifest or before.manifest,
                )
            changes = [Change("image", image.id, image)]
            self._point(image.id, names, changes)
            await self._write(changes)
            self.images[image.id] = image
            if before is None:
                self._uses.update(image.chain_ids)
            if image.parent:
                self._children.setdefault(image.parent, set()).add(image.id)
            self._end_leases(image.chain_ids)
        return image

    async def note_step(self, image_id: str, step: BuildStep) -> None:
        """Remember how an image was last come by."""
        async with self._lock:
            image = msgspec.structs.replace(self.images[image_id], step=step)
            await self._write([Change("image", image_id, image)])
            self.images[image_id] = image

    async def note_manifest(self, image_id: str, manifest: bytes, names: Sequence[Reference]) -> None:
        """Remember by which manifest an image went to a registry, and the name with its digest there."""
        async with self._lock:
            digest = await asyncio.to_thread(self.blobs.put, manifest)
            image = msgspec.structs.replace(self.images[image_id], manifest=digest)
            changes = [Change("image", image_id, image)]
            self._point(image_id, names, changes)
            await self._write(changes)
            before = self.images[image_id].manifest
            self.images[image_id] = image
            await self._drop_blobs([before] if before else [])

    async def point(self, image_id: str, names: Sequence[Reference]) -> None:
        """Let names point to an image, wherever they pointed before."""
        async with self._lock:
            changes: list[Change] = []
            self._point(image_id, names, changes)
            await self._write(changes)

    def _point(self, image_id: str, names: Iterable[Reference], changes: list[Change]) -> None:
        for name in names:
            key = str(name)
            before = self.references.get(key)
            if before is not None:
                self._names[before.image].discard(key)
            record = ReferenceRecord(image=image_id, tagged_ns=time.time_ns())
            self.references[key] = record
            self._names.setdefault(image_id, set()).add(key)
            changes.append(Change("reference", key, record))

    async def unpoint(self, names: Iterable[Reference]) -> None:
        """Forget names."""
        async with self._lock:
            changes: list[Change] = []
            keys = [str(name) for name in names]
            self._unpoint(keys, changes)
            await self._write(changes)
            await self._drop_blobs([key.partition("@")[2] for key in keys if "@" in key])

    def _unpoint(self, keys: Iterable[str], changes: list[Change]) -> None:
        for key in keys:
            record = self.references.pop(key, None)
            if record is not None:
                self._names.get(record.image, set()).discard(key)
                changes.append(Change("reference", key))

    async def drop_image(self, image_id: str) -> list[str]:
        """Forget an image and the layers that only it had; gives their chain ids, topmost first.

        Where a container still uses the image its layers stay until that is gone (``collect``).
        """
        async with self._lock:
            image = self.images.pop(image_id)
            changes = [Change("image", image_id)]
            digests = [name.digest for name in self.references_of(image_id) if name.digest]
            self._unpoint(list(self._names.pop(image_id, ())), changes)
            if image.parent:
                self._children.get(image.parent, set()).discard(image_id)
            if self.users(image_id):
                self._kept[image_id] = image
                await self._write([*changes, Change("image-kept", image_id, image)])
                return []
            gone = await self._forget(image, changes)
            await self._drop_blobs(digests)
            return gone

    async def collect(self) -> None:
        """Let go of the layers of images that were removed by force and are no longer used by any container."""
        async with self._lock:
            for image_id, image in list(self._kept.items()):
                if not self.users(image_id):
                    del self._kept[image_id]
                    await self._forget(image, [Change("image-kept", image_id)])

    async def _forget(self, image: ImageRecord, changes: list[Change]) -> list[str]:
        """Let go of the contents of an image that no table holds any more; the lock is held."""
        self._uses.subtract(image.chain_ids)
        self._uses += Counter()  # forgets the zeros
        gone = await self._forget_layers(reversed(image.chain_ids), changes)
        self._configs.pop(image.id, None)
        await self._drop_blobs([image.id, *([image.manifest] if image.manifest else [])])
        return gone

    async def _forget_layers(self, chains: Iterable[str], changes: list[Change]) -> list[str]:
        """Forget those layers that nobody has, topmost first, with the changes given; then their contents go."""
        gone: list[LayerRecord] = []
        for chain in chains:
            if self._uses[chain] <= 0 and self._leases[chain] <= 0 and chain in self.layers:
                gone.append(self.layers.pop(chain))
                changes.append(Change("layer", chain))
        await self._write(changes)
        for record in gone:
            await asyncio.to_thread(self.layer_files.remove, record.chain_id)
        await self._drop_blobs([record.blob for record in gone if record.blob])
        return [record.chain_id for record in gone]

    async def _drop_blobs(self, digests: Iterable[str]) -> None:
        named = self._named_blobs()
        for digest in digests:
            if digest not in named:
                await asyncio.to_thread(self.blobs.delete, digest)

    async def _write(self, changes: Sequence[Change]) -> None:
        lost, self._lost = self._lost, []
        if lost or changes:
            await self._state.write([*lost, *changes])

    def labels(self, image_id: str) -> Mapping[str, str]:
        """Give an image's labels."""
        labels = (self.config(image_id).get("config") or {}).get("Labels")
        return labels or {}

    def publish(self, action: str, image_id: str, name: str) -> None:
        """Tell the event bus; the attributes are the image's labels and a name, as dockerd gives them."""
        labels = self.labels(image_id) if image_id in self.images else {}
        self.events.publish("image", action, image_id, {**labels, "name": name})
