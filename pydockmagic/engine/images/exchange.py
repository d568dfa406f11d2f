"""What the registry client is given of the images: a door for layers and manifests that come in and go out.

Layers come as files that were checked already, are unpacked and leased; an image that uses them ends the leases, and
``release`` gives them up. Nothing of a pull that breaks off stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import msgspec

from pydockmagic.engine.errors import EngineError
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.manifest import decode_manifest
from pydockmagic.oci.media_types import OCI_LAYER
from pydockmagic.oci.reference import Reference, parse_named

from .records import ImageRecord, LayerRecord, OutgoingImage, OutgoingLayer
from .store import Store

__all__ = ["Exchange"]


class Exchange:
    """The images as the registry client sees them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- looking ------------------------------------------------------------------------------------------------

    def image_of(self, reference: Reference) -> str | None:
        """Give the id of the image that a name points to."""
        record = self._store.references.get(str(reference))
        return record.image if record else None

    def has_image(self, image_id: str) -> bool:
        """Tell whether an image is here."""
        return image_id in self._store.images

    def has_layer(self, chain: str) -> bool:
        """Tell whether a layer is here."""
        return chain in self._store.layers

    def tags_of(self, repository: Reference) -> list[Reference]:
        """List the names with tags of a repository, in order."""
        beginning = f"{repository.name}:"
        return [parse_named(key) for key in sorted(self._store.references) if key.startswith(beginning)]

    def diff_ids(self) -> set[str]:
        """Give the diff ids of all layers."""
        return {layer.diff_id for layer in self._store.layers.values()}

    # -- coming in ----------------------------------------------------------------------------------------------

    def scratch(self) -> AbstractContextManager[Path]:
        """Give a directory for what is on its way in; gone when the block is left."""
        return self._store.scratch()

    async def lease(self, chain: str) -> bool:
        """Keep a layer that is here until ``settle`` or ``release``; False if it is not here."""
        record = self._store.layers.get(chain)
        if record is None:
            return False
        await self._store.keep_layer(record)
        return True

    async def unpack(
        self,
        path: Path,
        below: Sequence[str],
        *,
        diff_id: str,
        digest: str,
        media_type: str,
        progress: Callable[[int], None],
    ) -> None:
        """Unpack a blob whose digest was checked as the layer over ``below`` (chain ids), and lease it.

        ``progress`` is called in a thread with the bytes read so far. Raises ``InvalidParameter`` where the content is
        not what ``diff_id`` says.
        """

        def unpacked() -> LayerRecord:
            with path.open("rb") as file:
                record = self._store.layer_files.add_tar(_Watched(file, progress), tuple(below), expected=diff_id)
            self._store.blobs.adopt(path, digest)
            return record

        record = await asyncio.to_thread(unpacked)
        await self._store.keep_layer(msgspec.structs.replace(record, blob=digest, media_type=media_type or OCI_LAYER))

    async def release(self, chains: Sequence[str]) -> None:
        """Give up layers that were leased."""
        await self._store.release(chains)

    async def settle(
        self,
        image_id: str,
        config: bytes,
        chains: Sequence[str],
        documents: Sequence[bytes],
        names: Sequence[Reference],
    ) -> None:
        """Make an image of leased layers and name it; ``documents`` are its manifest and the index that led to it."""
        digests = [await asyncio.to_thread(self._store.blobs.put, data) for data in documents]
        record = ImageRecord(
            id=image_id,
            chain_ids=tuple(chains),
            created_ns=time.time_ns(),
            origin="pull",
            manifest=digests[0] if digests else "",
        )
        await self._store.add_image(record, config, names)

    async def point(self, image_id: str, documents: Sequence[bytes], names: Sequence[Reference]) -> None:
        """Let names point to an image that is here; ``documents`` are what their digests name."""
        for data in documents:
            await asyncio.to_thread(self._store.blobs.put, data)
        await self._store.point(image_id, names)

    def tell(self, action: str, reference: Reference) -> None:
        """Tell the event bus that a name was pulled or pushed."""
        image_id = self.image_of(reference)
        labels = self._store.labels(image_id) if image_id else {}
        attributes = {**labels, "name": reference.familiar_name}
        self._store.events.publish("image", action, reference.familiar, attributes)

    # -- going out ----------------------------------------------------------------------------------------------

    def outgoing(self, image_id: str) -> OutgoingImage:
        """Describe an image that is to leave: its config, its manifest if it has one, its layers, bottom first."""
        image = self._store.images[image_id]
        layers = []
        for chain in image.chain_ids:
            layer = self._store.layer(chain)
            blob = layer.blob or ""
            layers.append(
                OutgoingLayer(
                    chain_id=chain,
                    diff_id=layer.diff_id,
                    size=layer.tar_size,
                    blob=blob,
                    blob_size=self._store.blobs.size(blob) if blob else 0,
                    media_type=layer.media_type or "",
                )
            )
        return OutgoingImage(
            id=image.id, config=self._store.config_bytes(image.id), manifest=self._manifest(image), layers=tuple(layers)
        )

    def _manifest(self, image: ImageRecord) -> bytes:
        """Give the manifest that an image came or went by, where it still is one of this very image."""
        if not image.manifest or not self._store.blobs.has(image.manifest):
            return b""
        data = self._store.blobs.get(image.manifest)
        try:
            return data if decode_manifest(data).config.digest == image.id else b""
        except OciError:
            return b""

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a layer's blob."""
        return self._store.blobs.open(digest)

    def tar(self, chain: str) -> Iterator[bytes]:
        """Write a layer's plain tar anew. Blocking. Raises ``EngineError``."""
        return self._store.layer_files.tar(self._store.layer(chain))

    async def lease_image(self, image_id: str) -> list[str]:
        """Keep the layers of an image while it leaves; give them back by ``release``."""
        image = self._store.images.get(image_id)
        if image is None:
            raise EngineError(f"image {image_id} does not exist")
        for chain in image.chain_ids:
            await self.lease(chain)
        return list(image.chain_ids)

    async def note_pushed(self, image_id: str, manifest: bytes, name: Reference) -> None:
        """Remember by which manifest an image left, under its name with the digest."""
        if image_id in self._store.images:  # it may have been removed meanwhile
            await self._store.note_manifest(image_id, manifest, [name])


class _Watched:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, progress: Callable[[int], None]) -> None:
        self._file = file
        self._progress = progress
        self._done = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._done += len(data)
        self._progress(self._done)
        return data
