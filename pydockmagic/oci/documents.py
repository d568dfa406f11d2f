"""What every OCI document is checked for: JSON of a bounded size, well-formed digests, media types and times."""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from pydockmagic.oci.digest import parse_digest
from pydockmagic.oci.errors import InvalidDigest, InvalidDocument
from pydockmagic.oci.media_types import is_media_type

__all__ = ["MAX_DOCUMENT", "check_digest", "check_media_type", "check_time", "check_url", "decode_json", "encode_json"]

MAX_DOCUMENT = 8 << 20
"""Bytes that a manifest or config may have; registries refuse larger manifests at half of that."""

_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
)
_Document = TypeVar("_Document")


def decode_json(data: bytes, kind: type[_Document], what: str) -> _Document:
    """Decode JSON into a record; raises `InvalidDocument` naming ``what`` it should have been."""
    if len(data) > MAX_DOCUMENT:
        raise InvalidDocument(f"invalid {what}: {len(data)} bytes are too many")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidDocument(f"invalid {what}: {exc}") from None


def encode_json(document: object) -> bytes:
    """Encode a record: fields in their order, keys of mappings sorted, no blanks; equal records give equal bytes."""
    return msgspec.json.encode(document, order="deterministic")


def check_digest(digest: str, what: str) -> None:
    """Accept any well-formed digest, but hold those whose algorithm is known to its length and alphabet."""
    try:
        parse_digest(digest)
    except InvalidDigest as exc:
        if str(exc) != "unsupported digest algorithm":
            raise InvalidDocument(f"invalid {what}: {exc}: {digest!r}") from None


def check_media_type(text: str, what: str) -> None:
    """Raise `InvalidDocument` unless the text is a media type."""
    if not is_media_type(text):
        raise InvalidDocument(f"invalid {what}: {text!r} is no media type")


def check_time(text: str, what: str) -> None:
    """Raise `InvalidDocument` unless the text is an RFC 3339 time."""
    if not _TIME.fullmatch(text):
        raise InvalidDocument(f"invalid {what}: {text!r} is no RFC 3339 time")


def check_url(text: str, what: str) -> None:
    """Raise `InvalidDocument` unless the text is an absolute URL."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme or not (parts.netloc or parts.path):
        raise InvalidDocument(f"invalid {what}: {text!r} is no URL")
