"""Sending one blob: packed on the way if it is not yet, its digest told at the end, nothing left half sent."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.images.records import OutgoingLayer
from pydockmagic.engine.streams import gather
from pydockmagic.oci.layer.compress import GzipStream
from pydockmagic.oci.layer.decompress import open_stream
from pydockmagic.oci.manifest import Descriptor
from pydockmagic.oci.media_types import DOCKER_LAYER_GZIP

from .ports import Images
from .progress import Board
from .repository import Repository
from .threads import in_thread, to_its_end

__all__ = ["upload_layer", "upload_small"]

_CHUNK = 1 << 18


async def upload_small(repository: Repository, digest: str, content: bytes) -> None:
    """Send a blob that is in memory, at once."""
    location = await repository.begin_upload()
    await repository.end_upload(location, digest, content)


async def upload_layer(
    repository: Repository, images: Images, layer: OutgoingLayer, identity: str, board: Board
) -> Descriptor:
    """Send a layer; gives the blob that it became."""
    packed = layer.media_type.endswith(("gzip", "zstd"))
    total = layer.blob_size if packed else layer.size or layer.blob_size

    def moved(count: int) -> None:
        board.count_from_thread(identity, "Pushing", count, total)

    if packed:
        blob = Descriptor(layer.media_type, layer.blob, layer.blob_size)
        pieces = _counted(_file(images, layer.blob), moved)
        return await _upload(repository, pieces, lambda: blob)
    plain = _plain(images, layer) if layer.blob else images.tar(layer.chain_id)
    gzip = GzipStream(_counted(plain, moved))

    def described() -> Descriptor:
        result = gzip.result()
        if result.diff_id != layer.diff_id:
            raise EngineError(f"layer {layer.chain_id} is not what it was when it was made")
        return Descriptor(DOCKER_LAYER_GZIP, result.digest, result.size)

    return await _upload(repository, iter(gzip), described)


async def _upload(repository: Repository, pieces: Iterator[bytes], described: Callable[[], Descriptor]) -> Descriptor:
    """Send pieces as one blob, which is described once they are all sent."""
    location = await repository.begin_upload()
    try:
        location = await repository.send_upload(location, _from_thread(pieces))
        blob = described()
        await repository.end_upload(location, blob.digest)
    except BaseException:
        # also when the client has gone: the registry need not keep half a layer
        with contextlib.suppress(EngineError):
            await to_its_end(repository.abandon_upload(location))
        raise
    return blob


async def _from_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give what a blocking iterator makes, in threads that are waited for."""
    while piece := await in_thread(gather, pieces, _CHUNK):
        yield piece


def _counted(pieces: Iterator[bytes], moved: Callable[[int], None]) -> Iterator[bytes]:
    count = 0
    for piece in pieces:
        yield piece
        count += len(piece)
        moved(count)


def _file(images: Images, digest: str) -> Iterator[bytes]:
    with images.open_blob(digest) as file:
        while data := file.read(_CHUNK):
            yield data


def _plain(images: Images, layer: OutgoingLayer) -> Iterator[bytes]:
    with images.open_blob(layer.blob) as file, open_stream(file) as plain:
        while data := plain.read(_CHUNK):
            yield data
