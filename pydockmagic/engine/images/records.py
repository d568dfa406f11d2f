"""What the engine remembers of images and layers, as it lies in the state store."""

from __future__ import annotations

import msgspec

__all__ = ["BuildStep", "ImageRecord", "LayerRecord", "OutgoingImage", "OutgoingLayer", "ReferenceRecord"]


class LayerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One unpacked layer, known by its chain id; the directory is ``layers/HEX/diff`` below the data root.

    ``size`` is bytes of file content and of symlinks' texts (what Docker counts), ``files`` the number of entries.
    """

    chain_id: str
    diff_id: str
    parent: str | None
    size: int
    files: int
    tar_size: int = 0
    """Bytes of its uncompressed tar, the one that ``diff_id`` is the digest of."""
    blob: str | None = None
    """Digest of the stored tar it came from, if it came from outside; else it is written out anew, bit for bit."""
    media_type: str | None = None
    """OCI media type of ``blob``."""


class BuildStep(msgspec.Struct, frozen=True, kw_only=True):
    """How the builder made an image: the instruction, its Dockerfile lines (1-based, inclusive), time, cache reason."""

    instruction: str
    first_line: int
    last_line: int
    seconds: float
    cached: bool = False
    reason: str = ""


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One image. ``id`` is the digest of its config blob (``sha256:HEX``), which lies in the content store.

    ``created_ns`` is when this engine made or loaded it: config times are clamped so that builds are reproducible,
    and a student still wants to see "3 seconds ago".
    """

    id: str
    chain_ids: tuple[str, ...]
    """Bottom first; empty for an image from scratch."""
    created_ns: int
    parent: str | None = None
    """The image of the step before, when it was built or committed here."""
    container: str = ""
    """Id of the container it was committed from."""
    comment: str = ""
    author: str = ""
    step: BuildStep | None = None
    origin: str = ""
    """Where it came from, in words for the reader: ``build``, ``load``, ``import``, ``starter: ...``, ``pull``."""
    manifest: str = ""
    """Digest of the manifest by which it last came from a registry or went to one; it lies in the content store."""


class ReferenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a name points to. Its key is the normalized reference, ``REPOSITORY:TAG`` or ``REPOSITORY@DIGEST``.

    One with a digest says by which manifest the image was pulled or pushed; that manifest lies in the content store.
    """

    image: str
    tagged_ns: int


class OutgoingLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer on its way to a registry. ``size`` is that of its plain tar; ``blob`` is empty where there is none."""

    chain_id: str
    diff_id: str
    size: int
    blob: str = ""
    blob_size: int = 0
    media_type: str = ""


class OutgoingImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image on its way to a registry: ``manifest`` is the one it came by (or left by before), if any."""

    id: str
    config: bytes
    manifest: bytes
    layers: tuple[OutgoingLayer, ...]
    """Bottom first."""
