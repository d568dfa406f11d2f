"""Pulling: from a name in a registry to an image here, told as dockerd tells it (moby, distribution/pull_v2.go).

Layers are brought in three at a time and unpacked from the bottom up while others are still on their way. What was
unpacked is leased until the image is made; a pull that fails or whose client goes away leaves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydockmagic.engine.errors import EngineError
from pydockmagic.oci.digest import chain_ids, is_digest
from pydockmagic.oci.manifest import Descriptor
from pydockmagic.oci.platform import Platform
from pydockmagic.oci.reference import Reference

from .documents import Found, check_config, choose
from .download import Retrying, download
from .ports import Images
from .progress import Board
from .repository import Document, Repository
from .sources import LayerSource, LayerSources
from .threads import in_thread, to_its_end

__all__ = ["Puller", "Pulling", "first_error", "short"]


def short(digest: str) -> str:
    """Give the 12 digits that Docker shows."""
    return digest.partition(":")[2][:12]


@dataclass
class Pulling:
    """What all pulls of one engine share: three downloads at a time, and each layer once."""

    downloads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(3))
    second: float = 1.0
    """How long the second of a wait between attempts lasts."""
    _layers: dict[str, tuple[asyncio.Lock, int]] = field(default_factory=dict)

    def hold(self, chain: str) -> asyncio.Lock:
        """Give the lock of a layer; ``drop`` it afterwards."""
        lock, users = self._layers.get(chain, (asyncio.Lock(), 0))
        self._layers[chain] = (lock, users + 1)
        return lock

    def drop(self, chain: str) -> None:
        """Give a layer's lock back."""
        lock, users = self._layers.pop(chain)
        if users > 1:
            self._layers[chain] = (lock, users - 1)


class Puller:
    """One pull: the tags of one repository, one after the other."""

    def __init__(
        self,
        repository: Repository,
        images: Images,
        sources: LayerSources,
        shared: Pulling,
        board: Board,
        platform: Platform | None,
    ) -> None:
        self._repository = repository
        self._images = images
        self._sources = sources
        self._shared = shared
        self._board = board
        self._platform = platform

    async def pull(self, reference: Reference) -> bool:
        """Pull one tag or digest; tell whether it brought anything new."""
        name = reference.digest or reference.tag
        document = await self._document(name)
        found = await choose(self._repository, reference, document, self._platform)
        check_config(found, reference, self._platform)
        board = self._board
        board.text(f"Pulling from {reference.path}", name)
        names = [reference.without_suffix().with_digest(found.digest)]
        if reference.tag:
            names.append(reference)
        old = self._images.image_of(reference)
        await self._bring(found, reference, names)
        board.text(f"Digest: {found.digest}")
        return old != found.image_id

    async def _document(self, name: str) -> Document:
        """Give what a tag or digest names: its digest is asked for first, then exactly that is taken."""
        if is_digest(name):
            return await self._repository.manifest(name)
        head = await self._repository.head(name)
        return await self._repository.manifest(head.digest if head else name)

    async def _bring(self, found: Found, reference: Reference, names: Sequence[Reference]) -> None:
        documents = [document.data for document in found.documents]
        if self._images.has_image(found.image_id):
            await self._images.point(found.image_id, documents[-1:], names)
            self._images.tell("pull", reference)
            return
        chains = chain_ids(found.parsed.diff_ids)
        leased: list[str] = []
        try:
            await self._bring_layers(found, chains, leased)
            await to_its_end(self._images.settle(found.image_id, found.config, chains, documents, names))
            leased.clear()
        finally:
            if leased:
                await to_its_end(self._images.release(leased))
        for diff_id, layer in zip(found.parsed.diff_ids, found.manifest.layers, strict=True):
            await self._sources.add(diff_id, LayerSource(layer.digest, layer.size, layer.media_type, reference.name))
        self._images.tell("pull", reference)

    async def _bring_layers(self, found: Found, chains: Sequence[str], leased: list[str]) -> None:
        """Bring every layer in, and lease it; on an error the others are broken off."""
        blobs = found.manifest.layers
        here = 0
        while here < len(chains) and await to_its_end(self._lease(chains[here], leased)):
            self._board.state(short(blobs[here].digest), "Already exists")
            here += 1
        for blob in blobs[here:]:
            self._board.state(short(blob.digest), "Pulling fs layer")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        done.set_result(None)
        failure: EngineError | None = None
        with self._images.scratch() as directory:
            try:
                async with asyncio.TaskGroup() as group:
                    for at in range(here, len(chains)):
                        layer = _Layer(blobs[at], found.parsed.diff_ids[at], chains[at], tuple(chains[:at]))
                        below, done = done, loop.create_future()
                        group.create_task(self._bring_layer(layer, directory / str(at), below, done, leased))
            except* (EngineError, OSError) as errors:
                failure = first_error(errors)
        if failure is not None:  # raised here, as some Pythons put what such a clause raises into a group again
            raise failure

    async def _bring_layer(
        self,
        layer: _Layer,
        path: Path,
        below: asyncio.Future[None],
        done: asyncio.Future[None],
        leased: list[str],
    ) -> None:
        """Bring one layer in, wait for the one below, unpack it over that."""
        identity = short(layer.blob.digest)
        lock = self._shared.hold(layer.chain)
        try:
            async with lock:  # another pull may be at the same layer: it is brought in once
                if not await to_its_end(self._lease(layer.chain, leased)):
                    await self._download(layer, path, identity)
                    await below
                    await to_its_end(self._unpack(layer, path, identity, leased))
                    await in_thread(path.unlink)
        finally:
            self._shared.drop(layer.chain)
        await below
        self._board.state(identity, "Pull complete")
        done.set_result(None)

    async def _download(self, layer: _Layer, path: Path, identity: str) -> None:
        if self._shared.downloads.locked():
            self._board.state(identity, "Waiting")
        async with self._shared.downloads:
            retrying = Retrying(self._board, self._shared.second)
            await download(self._repository, layer.blob, path, identity, self._board, retrying)

    async def _lease(self, chain: str, leased: list[str]) -> bool:
        """Keep a layer that is here; lease and note are one step, which nothing breaks off."""
        if not await self._images.lease(chain):
            return False
        leased.append(chain)
        return True

    async def _unpack(self, layer: _Layer, path: Path, identity: str, leased: list[str]) -> None:
        board, total = self._board, layer.blob.size
        await self._images.unpack(
            path,
            layer.below,
            diff_id=layer.diff_id,
            digest=layer.blob.digest,
            media_type=layer.blob.media_type,
            progress=lambda count: board.count_from_thread(identity, "Extracting", count, total),
        )
        leased.append(layer.chain)


@dataclass(frozen=True)
class _Layer:
    blob: Descriptor
    diff_id: str
    chain: str
    below: tuple[str, ...]


def first_error(errors: BaseExceptionGroup[EngineError | OSError]) -> EngineError:
    """Give the error that a group of tasks failed by, in words."""
    one: BaseException = errors
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    if isinstance(one, EngineError):
        return one
    assert isinstance(one, OSError)
    return EngineError(f"write {one.filename or 'layer'}: {(one.strerror or str(one)).lower()}")
