"""Pushing: an image's layers, its config and its manifest to a registry, told as dockerd tells it (push_v2.go).

A layer that the registry has is not sent; one that another repository of the same registry has is mounted from there.
A layer that came as a compressed blob leaves as that very blob; one made here is packed on the way. So the same image
has the same manifest on each push, and one that was pulled leaves by the manifest that it came by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.images.records import OutgoingImage, OutgoingLayer
from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.manifest import Descriptor, Manifest, decode_manifest, image_manifest
from pydockmagic.oci.media_types import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_MANIFEST, layer_type
from pydockmagic.oci.reference import Reference

from .download import Retrying
from .errors import NoCredentials, RegistryRefusal, worth_retrying
from .ports import Images
from .progress import Board
from .pull import first_error, short
from .repository import Repository
from .sources import LayerSource, LayerSources
from .threads import to_its_end
from .upload import upload_layer, upload_small

__all__ = ["Pusher", "Pushing"]

_ATTEMPTS = 5
_LOOKED_FOR = 5
"""How many blobs are looked for before a layer is packed anew."""


@dataclass
class Pushing:
    """What all pushes of one engine share: five uploads at a time."""

    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(5))
    second: float = 1.0


class Pusher:
    """One push: some tags of one repository."""

    def __init__(
        self, repository: Repository, images: Images, sources: LayerSources, shared: Pushing, board: Board
    ) -> None:
        self._repository = repository
        self._images = images
        self._sources = sources
        self._shared = shared
        self._board = board

    async def push(self, reference: Reference) -> None:
        """Push one tag. Raises ``EngineError``."""
        image_id = self._images.image_of(reference)
        if image_id is None:
            raise EngineError(f"tag does not exist: {reference.familiar}")
        leased = await self._images.lease_image(image_id)
        try:
            image = self._images.outgoing(image_id)
            for layer in reversed(image.layers):
                self._board.state(short(layer.diff_id), "Preparing")
            layers = await self._send_layers(image, reference)
            await self._send_config(image)
            media_type, data = _manifest(image, layers)
            await self._repository.put_manifest(reference.tag, media_type, data)
        except NoCredentials as error:
            raise EngineError(error.reason) from None
        finally:
            await to_its_end(self._images.release(leased))
        digest = sha256_digest(data)
        await self._images.note_pushed(image_id, data, reference.without_suffix().with_digest(digest))
        self._board.text(f"{reference.tag}: digest: {digest} size: {len(data)}")
        aux = {"Tag": reference.tag, "Digest": digest, "Size": len(data)}
        self._board.tell({"progressDetail": {}, "aux": aux})
        self._images.tell("push", reference)

    async def _send_layers(self, image: OutgoingImage, reference: Reference) -> list[Descriptor]:
        """See to it that the registry has every layer; gives the blobs, bottom first."""
        wanted = _blobs_of(image)
        tasks: list[asyncio.Task[Descriptor]] = []
        once: dict[str, asyncio.Task[Descriptor]] = {}  # the same content may lie at several places of a stack
        failure: EngineError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for layer in reversed(image.layers):
                    task = once.get(layer.diff_id)
                    if task is None:
                        task = group.create_task(self._send_layer(layer, wanted.get(layer.diff_id), reference))
                        once[layer.diff_id] = task
                    tasks.append(task)
        except* (EngineError, OSError) as errors:
            failure = first_error(errors)
        if failure is not None:
            raise failure
        return [task.result() for task in reversed(tasks)]

    async def _send_layer(self, layer: OutgoingLayer, wanted: Descriptor | None, reference: Reference) -> Descriptor:
        identity = short(layer.diff_id)
        if self._shared.uploads.locked():
            self._board.state(identity, "Waiting")
        async with self._shared.uploads:
            found = await self._look(layer, wanted, reference)
            if found is not None:
                self._board.state(identity, "Layer already exists")
            else:
                found = await self._mount(layer, wanted, reference)
            if found is None:
                found = await self._upload(layer, identity)
                self._board.state(identity, "Pushed")
        await self._sources.add(layer.diff_id, LayerSource(found.digest, found.size, found.media_type, reference.name))
        return found

    def _candidates(self, layer: OutgoingLayer, wanted: Descriptor | None, reference: Reference) -> list[Descriptor]:
        """List the blobs that hold a layer: the one its manifest names first, then the one here, then known ones."""
        found = [wanted] if wanted else []
        if layer.blob and _is_packed(layer):
            found.append(Descriptor(layer.media_type, layer.blob, layer.blob_size))
        known = sorted(
            self._sources.of(layer.diff_id),
            key=lambda s: (s.repository != reference.name, s.domain != reference.domain),
        )
        found += [source.descriptor for source in known]
        return list({blob.digest: blob for blob in reversed(found)}.values())[::-1][:_LOOKED_FOR]

    async def _look(self, layer: OutgoingLayer, wanted: Descriptor | None, reference: Reference) -> Descriptor | None:
        """Give the blob of a layer that the repository has already."""
        for blob in self._candidates(layer, wanted, reference):
            try:
                size = await self._repository.blob_size(blob.digest)
            except RegistryRefusal:
                return None  # one that may only write cannot look: it sends
            if size == blob.size:
                return blob
        return None

    async def _mount(self, layer: OutgoingLayer, wanted: Descriptor | None, reference: Reference) -> Descriptor | None:
        """Take a layer over from another repository of the registry."""
        del wanted
        known = [
            s for s in self._sources.of(layer.diff_id) if s.domain == reference.domain and s.path != reference.path
        ]
        for source in known[:_LOOKED_FOR]:
            try:
                location = await self._repository.mount(source.digest, source.path)
            except RegistryRefusal:
                continue
            if not location:
                self._board.text(f"Mounted from {source.path}", short(layer.diff_id))
                return source.descriptor
            await self._repository.abandon_upload(location)
            await self._sources.forget(layer.diff_id, source)
        return None

    async def _upload(self, layer: OutgoingLayer, identity: str) -> Descriptor:
        retrying = Retrying(self._board, self._shared.second)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await upload_layer(self._repository, self._images, layer, identity, self._board)
            except EngineError as error:
                if attempt == _ATTEMPTS or not worth_retrying(error):
                    raise
            await retrying.wait(identity, attempt)
        raise AssertionError

    async def _send_config(self, image: OutgoingImage) -> None:
        try:
            there = await self._repository.blob_size(image.id)
        except RegistryRefusal:
            there = None
        if there != len(image.config):
            await upload_small(self._repository, image.id, image.config)


def _is_packed(layer: OutgoingLayer) -> bool:
    return layer.media_type.endswith(("gzip", "zstd"))


def _blobs_of(image: OutgoingImage) -> dict[str, Descriptor]:
    """Give the blobs that an image's own manifest names, by diff id."""
    if not image.manifest:
        return {}
    blobs = decode_manifest(image.manifest).layers
    if len(blobs) != len(image.layers):
        return {}
    return {layer.diff_id: blob for layer, blob in zip(image.layers, blobs, strict=True)}


def _manifest(image: OutgoingImage, layers: Sequence[Descriptor]) -> tuple[str, bytes]:
    """Give the manifest to push: its own where the blobs are the same, else Docker's kind, as dockerd writes it."""
    if image.manifest:
        own = decode_manifest(image.manifest)
        if [blob.digest for blob in own.layers] == [blob.digest for blob in layers]:
            return own.media_type or OCI_MANIFEST, image.manifest
    if any(blob.media_type.endswith("zstd") for blob in layers):
        described = [_as(blob, docker=False) for blob in layers]
        return OCI_MANIFEST, image_manifest(image.config, described).encode()
    described = [_as(blob, docker=True) for blob in layers]
    return DOCKER_MANIFEST, _as_dockerd_writes(image_manifest(image.config, described, docker=True))


def _as(blob: Descriptor, *, docker: bool) -> Descriptor:
    packed = "zstd" if blob.media_type.endswith("zstd") else "gzip"
    return Descriptor(layer_type(packed, docker=docker), blob.digest, blob.size)


def _as_dockerd_writes(manifest: Manifest) -> bytes:
    """Write a manifest with the fields in dockerd's order, indented by three blanks: its size is shown to people."""

    def described(blob: Descriptor) -> dict[str, object]:
        return {"mediaType": blob.media_type, "size": blob.size, "digest": blob.digest}

    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {**described(manifest.config), "mediaType": DOCKER_CONFIG},
        "layers": [described(blob) for blob in manifest.layers],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=3)
