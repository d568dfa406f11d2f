"""Manifests, indexes and the files of an image layout, as records.

OCI image-spec v1.1 (descriptor.md, manifest.md, image-index.md, image-layout.md) and Docker's schema 2, which has the
same shape under other media types; and ``manifest.json`` of ``docker save``.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence

import msgspec

from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.documents import (
    check_digest,
    check_media_type,
    check_url,
    decode_json,
    encode_json,
)
from pydockmagic.oci.errors import InvalidDocument
from pydockmagic.oci.media_types import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from pydockmagic.oci.platform import Platform

__all__ = [
    "ANNOTATION_REF_NAME",
    "LAYOUT_FILE",
    "ArchiveImage",
    "Descriptor",
    "Index",
    "Layout",
    "Manifest",
    "decode_archive_manifest",
    "decode_descriptor",
    "decode_index",
    "decode_layout",
    "decode_manifest",
    "decode_manifest_or_index",
    "descriptor_of",
    "encode_archive_manifest",
    "image_manifest",
]

ANNOTATION_REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT_VERSION = "1.0.0"
_SHOWN = 40


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Points at a blob: what it is, its digest, its size in bytes."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] | None = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    """The content itself in base64, where it is small."""
    platform: Platform | None = None
    artifact_type: str = ""

    def check(self) -> None:
        """Raise `InvalidDocument` where the spec is broken."""
        check_media_type(self.media_type, "descriptor")
        check_digest(self.digest, "descriptor")
        if not 0 <= self.size < 1 << 63:
            raise InvalidDocument(f"invalid descriptor: size {self.size}")
        for url in self.urls or ():
            check_url(url, "descriptor")
        if self.artifact_type:
            check_media_type(self.artifact_type, "descriptor")
        if self.data is not None:
            try:
                b64decode(self.data, validate=True)
            except (binascii.Error, ValueError):
                raise InvalidDocument(f"invalid descriptor: data {self.data[:_SHOWN]!r} is no base64") from None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One image: its config and its layers, bottom first."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None

    def check(self, *, strict: bool = False) -> None:
        """Raise `InvalidDocument` where the spec is broken.

        ``strict`` refuses an image without layers as well, which the OCI schema does and Docker makes.
        """
        _check_version(self.schema_version, "manifest")
        if self.media_type and self.media_type not in MANIFEST_TYPES:
            raise InvalidDocument(f"invalid manifest: media type {self.media_type!r}")
        for descriptor in (self.config, *self.layers, *([self.subject] if self.subject else ())):
            descriptor.check()
        if self.artifact_type:
            check_media_type(self.artifact_type, "manifest")
        if strict and not self.layers:
            raise InvalidDocument("invalid manifest: no layers")

    def encode(self) -> bytes:
        """Write it as the blob whose digest names it."""
        return encode_json(self)


class Index(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Several manifests: one image for many platforms, or the images of a layout."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None

    def check(self) -> None:
        """Raise `InvalidDocument` where the spec is broken."""
        _check_version(self.schema_version, "index")
        if self.media_type and self.media_type not in INDEX_TYPES:
            raise InvalidDocument(f"invalid index: media type {self.media_type!r}")
        for descriptor in (*self.manifests, *([self.subject] if self.subject else ())):
            descriptor.check()
        if self.artifact_type:
            check_media_type(self.artifact_type, "index")

    def for_platform(self, machine: Platform) -> Descriptor | None:
        """Choose the manifest for a machine: the newest variant that it runs, else one that names no platform."""
        fitting = [d for d in self.manifests if d.platform is not None and machine.runs(d.platform)]
        if fitting:
            return max(fitting, key=lambda d: d.platform.variant if d.platform else "")
        return next((d for d in self.manifests if d.platform is None), None)

    def encode(self) -> bytes:
        """Write it as the blob whose digest names it (or as ``index.json``)."""
        return encode_json(self)


class Layout(msgspec.Struct, frozen=True, rename="camel"):
    """The file ``oci-layout``."""

    image_layout_version: str

    def encode(self) -> bytes:
        """Write it."""
        return encode_json(self)


LAYOUT_FILE = Layout(_LAYOUT_VERSION).encode()


class ArchiveImage(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One image of a ``docker save`` archive: member names of its config and layer tars, and its tags."""

    config: str
    repo_tags: tuple[str, ...] | None
    layers: tuple[str, ...]
    layer_sources: dict[str, Descriptor] | msgspec.UnsetType = msgspec.UNSET
    """Descriptors of the layers by diff id; newer Dockers write them."""


def _check_version(version: int, what: str) -> None:
    if version != 2:
        raise InvalidDocument(f"invalid {what}: schema version {version}, not 2")


def decode_descriptor(data: bytes) -> Descriptor:
    """Read one descriptor; raises `InvalidDocument`."""
    descriptor = decode_json(data, Descriptor, "descriptor")
    descriptor.check()
    return descriptor


def decode_manifest(data: bytes, *, strict: bool = False) -> Manifest:
    """Read an OCI or Docker manifest; raises `InvalidDocument`."""
    manifest = decode_json(data, Manifest, "manifest")
    manifest.check(strict=strict)
    return manifest


def decode_index(data: bytes) -> Index:
    """Read an OCI index or Docker manifest list; raises `InvalidDocument`."""
    index = decode_json(data, Index, "index")
    index.check()
    return index


class _Probe(msgspec.Struct, rename="camel"):
    media_type: str = ""
    manifests: msgspec.Raw = msgspec.Raw()
    layers: msgspec.Raw = msgspec.Raw()


def decode_manifest_or_index(data: bytes) -> Manifest | Index:
    """Read whichever it is, by its media type or, failing that, by its fields; raises `InvalidDocument`.

    A document that is both is refused: two readers might disagree about what its digest names.
    """
    probe = decode_json(data, _Probe, "manifest")
    has_manifests, has_layers = bool(bytes(probe.manifests)), bool(bytes(probe.layers))
    if has_manifests and has_layers:
        raise InvalidDocument("invalid manifest: it has both layers and manifests")
    if probe.media_type in INDEX_TYPES or (not probe.media_type and has_manifests):
        return decode_index(data)
    return decode_manifest(data)


def decode_layout(data: bytes) -> Layout:
    """Read the file ``oci-layout``; raises `InvalidDocument`."""
    layout = decode_json(data, Layout, "oci-layout")
    if layout.image_layout_version.partition(".")[0] != _LAYOUT_VERSION.partition(".")[0]:
        raise InvalidDocument(f"invalid oci-layout: version {layout.image_layout_version!r} is not supported")
    return layout


def decode_archive_manifest(data: bytes) -> list[ArchiveImage]:
    """Read ``manifest.json`` of a ``docker save`` archive; raises `InvalidDocument`."""
    return decode_json(data, list[ArchiveImage], "manifest.json")


def encode_archive_manifest(images: Sequence[ArchiveImage]) -> bytes:
    """Write ``manifest.json`` of a ``docker save`` archive."""
    return encode_json(list(images))


def descriptor_of(data: bytes, media_type: str) -> Descriptor:
    """Describe a blob that is at hand."""
    return Descriptor(media_type, sha256_digest(data), len(data))


def image_manifest(config: bytes, layers: Sequence[Descriptor], *, docker: bool = False) -> Manifest:
    """Make the manifest of an image from its config blob and its layers' descriptors, bottom first."""
    return Manifest(
        schema_version=2,
        media_type=DOCKER_MANIFEST if docker else OCI_MANIFEST,
        config=descriptor_of(config, DOCKER_CONFIG if docker else OCI_CONFIG),
        layers=tuple(layers),
    )


def image_index(manifests: Sequence[Descriptor]) -> Index:
    """Make an OCI index of manifests."""
    return Index(schema_version=2, media_type=OCI_INDEX, manifests=tuple(manifests))
