"""From what a registry gives for a name to the one manifest to take, in dockerd's words where there is none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter, NotFound
from pydockmagic.oci.config import ImageConfig, decode_config
from pydockmagic.oci.documents import MAX_DOCUMENT
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.manifest import Index, Manifest, decode_manifest_or_index
from pydockmagic.oci.media_types import DOCKER_CONFIG, OCI_CONFIG
from pydockmagic.oci.platform import Platform, host_platform, parse_platform
from pydockmagic.oci.reference import Reference

from .repository import SCHEMA1, Document, Repository

__all__ = ["MAX_DOCUMENT", "Found", "check_config", "choose", "platform_of", "read_document"]

_CONFIGS = frozenset({DOCKER_CONFIG, OCI_CONFIG, "application/octet-stream", ""})
_MAX_DEPTH = 4


class Found(msgspec.Struct, frozen=True):
    """What a name leads to: the documents on the way (the outermost last), the manifest and its config."""

    documents: tuple[Document, ...]
    manifest: Manifest
    config: bytes
    parsed: ImageConfig

    @property
    def digest(self) -> str:
        """The digest that a person sees: of what the tag names."""
        return self.documents[-1].digest

    @property
    def image_id(self) -> str:
        """The image's id."""
        return self.manifest.config.digest


def platform_of(text: str) -> Platform | None:
    """Read ``--platform``. Raises ``InvalidParameter``."""
    try:
        return parse_platform(text) if text else None
    except OciError as error:
        raise InvalidParameter(str(error)) from None


def read_document(document: Document, reference: Reference) -> Manifest | Index:
    """Read a manifest or index. Raises ``EngineError`` for anything else, schema 1 among it."""
    if document.media_type in SCHEMA1 or _is_schema1(document.data):
        raise EngineError(
            "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is "
            "disabled by default and will be removed in an upcoming release. Suggest the author of "
            f"{reference} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. "
            "More information at https://docs.docker.com/go/deprecated-image-specs/"
        )
    try:
        return decode_manifest_or_index(document.data)
    except OciError as error:
        raise EngineError(str(error)) from None


class _Version(msgspec.Struct):
    schemaVersion: int = 0  # noqa: N815 - the document's word


def _is_schema1(data: bytes) -> bool:
    try:
        return msgspec.json.decode(data, type=_Version).schemaVersion == 1
    except (msgspec.MsgspecError, UnicodeError):
        return False


async def choose(repository: Repository, reference: Reference, document: Document, platform: Platform | None) -> Found:
    """Follow indexes to the manifest for a platform, and read its config."""
    documents = [document]
    for _ in range(_MAX_DEPTH):
        read = read_document(documents[0], reference)
        if isinstance(read, Manifest):
            return await _with_config(repository, tuple(documents), read)
        wanted = platform or host_platform()
        chosen = read.for_platform(wanted)
        if chosen is None:
            raise NotFound(
                f"no matching manifest for {wanted} in the manifest list entries: "
                "no match for platform in manifest: not found"
            )
        documents.insert(0, await repository.manifest(chosen.digest))
    raise EngineError("manifest lists within manifest lists")


async def _with_config(repository: Repository, documents: tuple[Document, ...], manifest: Manifest) -> Found:
    if manifest.config.media_type not in _CONFIGS:
        raise EngineError(f'Encountered remote "{manifest.config.media_type}"(unknown) when fetching')
    if not manifest.config.digest.startswith("sha256:"):
        raise EngineError(f"unsupported digest algorithm: {manifest.config.digest}")
    config = await repository.small_blob(manifest.config.digest, MAX_DOCUMENT)
    try:
        parsed = decode_config(config)
    except OciError as error:
        raise EngineError(str(error)) from None
    return Found(documents, manifest, config, parsed)


def check_config(found: Found, reference: Reference, wanted: Platform | None) -> None:
    """Raise ``EngineError`` where config and manifest disagree, or the image is for another kind of machine."""
    system, architecture = found.parsed.os or "linux", found.parsed.architecture
    if system != "linux":
        raise EngineError(
            f'image operating system "{system}" cannot be used on this platform: operating system is not supported'
        )
    actual = Platform(architecture, system, variant=found.parsed.variant or "")
    if wanted is not None and architecture and not wanted.runs(actual):
        raise NotFound(
            f"image with reference {reference.familiar} was found but does not provide the specified platform "
            f"({wanted})"
        )
    _check_layers(found.parsed.diff_ids, found.manifest)


def _check_layers(diff_ids: Sequence[str], manifest: Manifest) -> None:
    if len(diff_ids) != len(manifest.layers):
        raise EngineError("layers from manifest don't match image configuration")
    for text in (*diff_ids, *(layer.digest for layer in manifest.layers)):
        if not text.startswith("sha256:"):
            raise EngineError(f"unsupported digest algorithm: {text}")
