"""``POST /images/load`` and ``POST /images/create?fromSrc=``: images that come in as tars."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.streams import ThreadStream
from pydockmagic.oci.digest import chain_ids, sha256_digest
from pydockmagic.oci.errors import InvalidReference, OciError
from pydockmagic.oci.layer.decompress import compression_of
from pydockmagic.oci.media_types import OCI_LAYER, layer_type
from pydockmagic.oci.platform import Platform, host_platform, parse_platform
from pydockmagic.oci.reference import parse_normalized

from .archive import ArchivedImage, ArchivedLayer, Members, read_images, spool
from .layers import told
from .lookup import short_id
from .records import ImageRecord, LayerRecord
from .store import Store
from .times import rfc3339

__all__ = ["import_image", "load"]

_CHUNK = 1 << 20


async def load(store: Store, stream: AsyncIterator[bytes], *, quiet: bool) -> AsyncIterator[dict[str, Any]]:
    """Load every image of an archive; gives Docker's messages. Raises ``InvalidParameter``."""
    with store.scratch() as directory:
        members, images = await asyncio.to_thread(_unpack, ThreadStream(stream), directory)
        del members
        leased: list[str] = []
        try:
            for image in images:
                async for message in _load_layers(store, image, leased):
                    if not quiet:
                        yield message
                for text in await _finish(store, image, leased):
                    yield {"stream": text + "\n"}
        finally:
            await store.release(leased)


def _unpack(stream: ThreadStream, directory: Path) -> tuple[Members, list[ArchivedImage]]:
    with told("tar file"):
        members = spool(stream, directory)
        return members, read_images(members)


async def _load_layers(store: Store, image: ArchivedImage, leased: list[str]) -> AsyncIterator[dict[str, Any]]:
    chains = chain_ids(image.parsed.diff_ids)
    for at, (chain, layer) in enumerate(zip(chains, image.layers, strict=True)):
        known = store.layers.get(chain)
        if known is None:
            size = layer.path.stat().st_size
            short = short_id(image.parsed.diff_ids[at])
            yield {
                "status": "Loading layer",
                "progressDetail": {"current": min(32768, size), "total": size},
                "id": short,
            }
            known = await asyncio.to_thread(_add_layer, store, layer, chains[:at])
            yield {"status": "Loading layer", "progressDetail": {"current": size, "total": size}, "id": short}
        await store.keep_layer(known)
        leased.append(chain)


def _add_layer(store: Store, layer: ArchivedLayer, below: Sequence[str]) -> LayerRecord:
    """Unpack a layer and keep the blob that it came as."""
    with layer.path.open("rb") as file:
        record = store.layer_files.add_tar(file, tuple(below), expected=layer.diff_id)
    with layer.path.open("rb") as file:
        compression = compression_of(file.read(18))
        file.seek(0)
        blob = record.diff_id if compression is None else sha256_digest(iter(lambda: file.read(_CHUNK), b""))
    if layer.blob is not None and layer.blob != blob:
        raise InvalidParameter(f"layer is damaged: its blob has {blob}, not {layer.blob}")
    store.blobs.adopt(layer.path, blob)
    media_type = layer.media_type
    if media_type is None and compression in (None, "gzip", "zstd"):
        media_type = layer_type(compression)
    return msgspec.structs.replace(record, blob=blob, media_type=media_type or OCI_LAYER)


async def _finish(store: Store, image: ArchivedImage, leased: list[str]) -> list[str]:
    image_id = sha256_digest(image.config)
    texts = []
    for name in image.names:
        before = store.references.get(str(name))
        if before is not None and before.image != image_id:
            texts.append(
                f"The image {name.familiar} already exists, renaming the old one with ID {before.image} to empty string"
            )
    known = store.images.get(image_id)
    if known is None:
        chains = chain_ids(image.parsed.diff_ids)
        record = ImageRecord(id=image_id, chain_ids=chains, created_ns=time.time_ns(), origin="load")
        await store.add_image(record, image.config, image.names)
        for chain in chains:
            leased.remove(chain)
    else:
        await store.point(image_id, image.names)
    store.publish("load", image_id, image_id)
    texts += [f"Loaded image: {name.familiar}" for name in image.names] or [f"Loaded image ID: {image_id}"]
    return texts


async def import_image(
    store: Store,
    stream: AsyncIterator[bytes],
    reference: str,
    changes: Sequence[str],
    message: str,
    platform: str,
    source: str = "-",
) -> AsyncIterator[dict[str, Any]]:
    """Make an image of one layer from the tar of a whole root (``docker import``); gives Docker's messages."""
    names = [_name(reference)] if reference else []
    chosen = _platform(platform)
    from .applying import apply_changes  # noqa: PLC0415 - most engines read no instruction

    run_config = apply_changes({}, changes)
    with store.scratch() as directory:
        path = directory / "root.tar"
        record = await asyncio.to_thread(_import_layer, store, ThreadStream(stream), path)
    record = await store.keep_layer(record)
    newest = max(store.layer_files.index(record.chain_id).mtimes, default=0)
    # The newest file's time, so that the same tar gives the same image everywhere.
    created = rfc3339(max(newest, 0) * 10**9)
    comment = message or f"Imported from {source}"
    config: dict[str, Any] = {
        "architecture": chosen.architecture,
        "comment": comment,
        "config": run_config,
        "created": created,
        "history": [{"created": created, "comment": comment}],
        "os": chosen.os,
        "rootfs": {"type": "layers", "diff_ids": [record.diff_id]},
        **({"variant": chosen.variant} if chosen.variant else {}),
    }
    encoded = msgspec.json.encode(config, order="deterministic")
    image = ImageRecord(
        id=sha256_digest(encoded),
        chain_ids=(record.chain_id,),
        created_ns=time.time_ns(),
        comment=comment,
        origin="import",
    )
    await store.add_image(image, encoded, names)
    store.publish("import", image.id, image.id)
    if names:
        store.publish("tag", image.id, names[0].familiar)
    yield {"status": image.id}


def _name(text: str) -> Any:
    try:
        reference = parse_normalized(text)
    except InvalidReference as error:
        raise InvalidParameter(str(error)) from None
    if reference.digest:
        raise InvalidParameter("cannot import digest reference")
    return reference.with_default_tag()


def _platform(text: str) -> Platform:
    try:
        return parse_platform(text) if text else host_platform()
    except OciError as error:
        raise InvalidParameter(str(error)) from None


def _import_layer(store: Store, stream: ThreadStream, path: Path) -> LayerRecord:
    with told("tar file"), path.open("xb") as file:
        while chunk := stream.read(_CHUNK):
            file.write(chunk)
    if not path.stat().st_size:
        raise InvalidParameter("Error processing tar file(exit status 1): unexpected EOF")
    return _add_layer(store, ArchivedLayer(path), ())
