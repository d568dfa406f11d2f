"""Reading an image archive that comes as a stream: its members go to files, then it is told what images it holds.

Knows ``docker save`` of every version with a ``manifest.json`` (layers as ``ID/layer.tar``, links among them, or
``blobs/sha256``) and the OCI image layout. Nothing of the archive decides where a file is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.oci.config import ImageConfig, decode_config
from pydockmagic.oci.digest import hex_of, sha256_digest
from pydockmagic.oci.documents import MAX_DOCUMENT
from pydockmagic.oci.errors import InvalidReference, LimitExceeded, OciError, UnsafePath
from pydockmagic.oci.layer import Kind, TarReader
from pydockmagic.oci.layer.decompress import open_stream
from pydockmagic.oci.layer.entry import clean_path
from pydockmagic.oci.layer.reader import ByteStream
from pydockmagic.oci.manifest import (
    ANNOTATION_REF_NAME,
    Descriptor,
    Index,
    decode_archive_manifest,
    decode_index,
    decode_layout,
    decode_manifest,
)
from pydockmagic.oci.media_types import INDEX_TYPES, LAYER_TYPES
from pydockmagic.oci.platform import host_platform
from pydockmagic.oci.reference import Reference, parse_normalized

__all__ = ["ArchivedImage", "ArchivedLayer", "read_images", "spool"]

_MAX_MEMBERS = 100_000
_MAX_LINKS = 40
_MAX_DEPTH = 4
_CONTAINERD_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class ArchivedLayer:
    """One layer: the file that holds it, and what is claimed of it: its diff id, its blob's digest, its type."""

    path: Path
    diff_id: str | None = None
    blob: str | None = None
    media_type: str | None = None


@dataclass(frozen=True)
class ArchivedImage:
    """One image of an archive: its config as it came, and the names it should get."""

    config: bytes
    parsed: ImageConfig
    layers: tuple[ArchivedLayer, ...]
    names: tuple[Reference, ...]


class Members:
    """The files of an archive, by their names in it."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.links: dict[str, str] = {}

    def path(self, name: str) -> Path | None:
        """Give the file that a member's content lies in; links lead to other members, never out."""
        current = clean_path(name)
        for _ in range(_MAX_LINKS):
            if current in self.files:
                return self.files[current]
            target = self.links.get(current)
            if target is None:
                return None
            current = target
        raise InvalidParameter(f"too many links in the archive: {name}")

    def need(self, name: str) -> Path:
        """Give a member's file; raise ``InvalidParameter`` where it is missing."""
        path = self.path(name)
        if path is None:
            raise InvalidParameter(f"invalid archive: {name} is missing")
        return path

    def document(self, name: str) -> bytes:
        """Read a member that must be small."""
        path = self.need(name)
        if path.stat().st_size > MAX_DOCUMENT:
            raise InvalidParameter(f"invalid archive: {name} is too large")
        return path.read_bytes()


def spool(stream: ByteStream, directory: Path) -> Members:
    """Write the members of a tar (compressed or not) to numbered files. Blocking."""
    members = Members()
    with open_stream(stream) as plain:
        reader = TarReader(plain)
        for count, member in enumerate(reader):
            if count > _MAX_MEMBERS:
                raise LimitExceeded(f"the archive has too many entries: more than {_MAX_MEMBERS}")
            name = clean_path(member.entry.path)
            if not name:
                continue
            members.files.pop(name, None)
            members.links.pop(name, None)
            if member.entry.kind is Kind.FILE and member.extents is None:
                path = directory / str(count)
                with path.open("xb") as file:
                    for chunk in reader.chunks():
                        file.write(chunk)
                members.files[name] = path
            elif member.entry.kind is Kind.SYMLINK:
                members.links[name] = _beside(name, member.entry.linkname)
            elif member.entry.kind is Kind.HARDLINK:
                members.links[name] = clean_path(member.entry.linkname)
        reader.finish()
    return members


def _beside(name: str, target: str) -> str:
    if target.startswith("/"):
        raise UnsafePath(f"{name!r} links to {target!r}, outside of the archive")
    return clean_path(f"{name.rpartition('/')[0]}/{target}".lstrip("/"))


def read_images(members: Members) -> list[ArchivedImage]:
    """Tell what images the archive holds. Raises ``InvalidParameter``, ``OciError``."""
    if members.path("manifest.json"):
        return _docker_images(members)
    if members.path("oci-layout") and members.path("index.json"):
        decode_layout(members.document("oci-layout"))
        return _layout_images(members, decode_index(members.document("index.json")))
    raise InvalidParameter("unrecognized image format: the archive has neither manifest.json nor oci-layout")


def _docker_images(members: Members) -> list[ArchivedImage]:
    images = []
    for entry in decode_archive_manifest(members.document("manifest.json")):
        config = members.document(entry.config)
        sources = entry.layer_sources if isinstance(entry.layer_sources, dict) else {}
        names = []
        for text in entry.repo_tags or ():
            reference = parse_normalized(text)
            if not reference.tag:
                raise InvalidParameter(f"invalid tag {text!r}")
            names.append(reference)
        claimed = [(members.need(path), None) for path in entry.layers]
        images.append(_image(config, claimed, names, sources))
    return images


def _layout_images(members: Members, index: Index) -> list[ArchivedImage]:
    found: dict[str, tuple[Descriptor, list[Reference]]] = {}
    for descriptor in index.manifests:
        names = found.setdefault(descriptor.digest, (descriptor, []))[1]
        name = _annotated_name(descriptor)
        if name is not None and name not in names:
            names.append(name)
    images = []
    for descriptor, names in found.values():
        manifest = _manifest(members, descriptor)
        if manifest is None:
            continue
        document = decode_manifest(_blob_document(members, manifest.digest))
        if not document.layers or any(layer.media_type not in LAYER_TYPES for layer in document.layers):
            continue  # an attestation or another artifact, which is no image
        config = _blob_document(members, document.config.digest)
        layers = [(members.need(_blob_name(layer.digest)), layer) for layer in document.layers]
        images.append(_image(config, layers, names, {}))
    return images


def _manifest(members: Members, descriptor: Descriptor) -> Descriptor | None:
    """Give the manifest for this machine that a descriptor leads to, through indexes of platforms if need be."""
    for _ in range(_MAX_DEPTH):
        if descriptor.media_type not in INDEX_TYPES:
            return descriptor
        index = decode_index(_blob_document(members, descriptor.digest))
        if not index.manifests:
            return None
        descriptor = index.for_platform(host_platform()) or index.manifests[0]
    raise InvalidParameter("invalid archive: indexes within indexes")


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{hex_of(digest)}"


def _blob_document(members: Members, digest: str) -> bytes:
    data = members.document(_blob_name(digest))
    if sha256_digest(data) != digest:
        raise InvalidParameter(f"invalid archive: the content of {digest} has another digest")
    return data


def _annotated_name(descriptor: Descriptor) -> Reference | None:
    """Give the name that an index gives an image: containerd's full one, or OCI's where it is more than a tag."""
    annotations = descriptor.annotations or {}
    for text in (annotations.get(_CONTAINERD_NAME, ""), annotations.get(ANNOTATION_REF_NAME, "")):
        if "/" in text or ":" in text:
            try:
                return parse_normalized(text).with_default_tag()
            except InvalidReference:
                continue
    return None


def _image(
    config: bytes,
    layers: Sequence[tuple[Path, Descriptor | None]],
    names: list[Reference],
    sources: dict[str, Descriptor],
) -> ArchivedImage:
    try:
        parsed = decode_config(config)
    except OciError as error:
        raise InvalidParameter(str(error)) from None
    if len(parsed.diff_ids) != len(layers):
        raise InvalidParameter(
            f"invalid manifest, layers length mismatch: expected {len(parsed.diff_ids)}, got {len(layers)}"
        )
    if parsed.os and parsed.os != "linux":
        raise InvalidParameter(f"cannot load {parsed.os} image on linux")
    archived = []
    for diff_id, (path, claimed) in zip(parsed.diff_ids, layers, strict=True):
        descriptor = claimed or sources.get(diff_id)
        media_type = descriptor.media_type if descriptor else None
        archived.append(ArchivedLayer(path, diff_id, claimed.digest if claimed else None, media_type))
    return ArchivedImage(config, parsed, tuple(archived), tuple(names))
