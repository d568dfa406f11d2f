"""``GET /images/get``: images as one tar that both readers know, Docker's ``manifest.json`` and an OCI image layout.

The tar is what Docker 25 and newer write: every config, manifest and layer once, under ``blobs/sha256``. A layer that
came from outside goes out as the very blob that it came in; one made here is written anew, bit for bit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from pydockmagic.engine.errors import InvalidParameter, NoSuchImage
from pydockmagic.engine.streams import from_thread
from pydockmagic.oci.digest import hex_of
from pydockmagic.oci.errors import InvalidReference
from pydockmagic.oci.layer import Kind, LayerEntry
from pydockmagic.oci.layer.header import END, encode_entry, padding
from pydockmagic.oci.manifest import (
    ANNOTATION_REF_NAME,
    LAYOUT_FILE,
    ArchiveImage,
    Descriptor,
    Manifest,
    descriptor_of,
    encode_archive_manifest,
    image_index,
    image_manifest,
)
from pydockmagic.oci.media_types import OCI_LAYER, OCI_MANIFEST
from pydockmagic.oci.reference import Reference, parse_any, parse_named

from . import lookup
from .records import ImageRecord
from .store import Store

__all__ = ["layer_descriptor", "manifest_of", "save"]

_CONTAINERD_NAME = "io.containerd.image.name"


def layer_descriptor(store: Store, chain: str) -> Descriptor:
    """Describe a layer as it leaves this machine."""
    layer = store.layer(chain)
    if layer.blob:
        return Descriptor(layer.media_type or OCI_LAYER, layer.blob, store.blobs.size(layer.blob))
    return Descriptor(OCI_LAYER, layer.diff_id, layer.tar_size)


def manifest_of(store: Store, image: ImageRecord) -> Manifest:
    """Make the manifest of an image as it leaves this machine."""
    layers = [layer_descriptor(store, chain) for chain in image.chain_ids]
    return image_manifest(store.config_bytes(image.id), layers)


@dataclass
class _Chosen:
    """One image to save, and the names that go with it."""

    image: ImageRecord
    names: list[Reference] = field(default_factory=list)


def save(store: Store, names: Sequence[str]) -> AsyncIterator[bytes]:
    """Give the archive of some images. Names are looked up at once: ``NoSuchImage`` comes before the first byte."""
    chosen: dict[str, _Chosen] = {}
    for name in names:
        for image, references in _resolve(store, name):
            one = chosen.setdefault(image.id, _Chosen(image))
            one.names += [reference for reference in references if reference not in one.names]
    for image_id in chosen:
        store.publish("save", image_id, image_id)
    return from_thread(_archive(store, list(chosen.values())))


def _resolve(store: Store, name: str) -> list[tuple[ImageRecord, list[Reference]]]:
    """Give what a name means here: a repository without a tag stands for all of its tags."""
    try:
        reference = parse_any(name)
    except InvalidReference as error:
        raise InvalidParameter(str(error)) from None
    if reference.is_name_only:
        tags = [key for key in store.references if key.startswith(f"{reference}:")]
        if tags:
            return [(store.images[store.references[key].image], [parse_named(key)]) for key in sorted(tags)]
    found = lookup.find(store, name)
    if found is None:
        raise NoSuchImage(name)
    return [(found, [reference] if reference.tag and str(reference) in store.references else [])]


def _archive(store: Store, chosen: list[_Chosen]) -> Iterator[bytes]:
    """Write the tar. Sizes are known before contents, so nothing is kept on the way."""
    blobs: dict[str, bytes | str] = {}  # digest -> content, or the chain id of the layer to write
    descriptors: list[Descriptor] = []
    images: list[ArchiveImage] = []
    for one in chosen:
        manifest = manifest_of(store, one.image)
        encoded = manifest.encode()
        described = descriptor_of(encoded, OCI_MANIFEST)
        blobs[manifest.config.digest] = store.config_bytes(one.image.id)
        blobs[described.digest] = encoded
        for chain, layer in zip(one.image.chain_ids, manifest.layers, strict=True):
            blobs[layer.digest] = chain
        descriptors += [
            msgspec.structs.replace(described, annotations={_CONTAINERD_NAME: str(name), ANNOTATION_REF_NAME: name.tag})
            for name in one.names
        ] or [described]
        images.append(
            ArchiveImage(
                config=_member(manifest.config.digest),
                repo_tags=tuple(name.familiar for name in one.names) or None,
                layers=tuple(_member(layer.digest) for layer in manifest.layers),
                layer_sources={
                    store.layer(chain).diff_id: layer
                    for chain, layer in zip(one.image.chain_ids, manifest.layers, strict=True)
                },
            )
        )
    yield _directory("blobs")
    yield _directory("blobs/sha256")
    for digest in sorted(blobs):
        yield from _blob(store, digest, blobs[digest])
    yield from _file("index.json", image_index(descriptors).encode())
    yield from _file("manifest.json", encode_archive_manifest(images))
    yield from _file("oci-layout", LAYOUT_FILE)
    yield END


def _member(digest: str) -> str:
    return f"blobs/sha256/{hex_of(digest)}"


def _directory(path: str) -> bytes:
    return encode_entry(LayerEntry(path, Kind.DIRECTORY, mode=0o755))


def _file(path: str, content: bytes) -> Iterator[bytes]:
    yield encode_entry(LayerEntry(path, Kind.FILE, size=len(content), mode=0o644)) + content
    yield bytes(padding(len(content)))


def _blob(store: Store, digest: str, content: bytes | str) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield from _file(_member(digest), content)
        return
    size = layer_descriptor(store, content).size
    yield encode_entry(LayerEntry(_member(digest), Kind.FILE, size=size, mode=0o644))
    layer = store.layer(content)
    yield from store.blobs.chunks(layer.blob) if layer.blob else store.layer_files.tar(layer)
    yield bytes(padding(size))
