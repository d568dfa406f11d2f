"""From what a person types to an image: a name, a name with tag or digest, an id or the beginning of one."""

from __future__ import annotations

import functools
import re

from pydockmagic.engine.errors import InvalidParameter, NoSuchImage
from pydockmagic.oci.errors import InvalidReference
from pydockmagic.oci.reference import parse_any

from .records import ImageRecord
from .store import Store

__all__ = ["find", "get", "is_id_prefix", "short_id"]

_parse = functools.lru_cache(256)(parse_any)
"""Lists of containers look the same few names up again and again."""
_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


def short_id(identifier: str) -> str:
    """Give the 12 digits that Docker shows."""
    return identifier.removeprefix("sha256:")[:12]


def is_id_prefix(image_id: str, text: str) -> bool:
    """Tell whether a text means an image by its id, in whole or in part, with ``sha256:`` or without."""
    return image_id.startswith(text) or image_id.removeprefix("sha256:").startswith(text)


def find(store: Store, name: str) -> ImageRecord | None:
    """Find an image, or None; names come before the beginnings of ids.

    Raises ``InvalidParameter`` for what cannot be a name, and for a beginning that several ids have.
    """
    try:
        reference = _parse(name)
    except InvalidReference as error:
        raise InvalidParameter(str(error)) from None
    if not reference.path:
        return store.images.get(reference.digest)
    if reference.digest and reference.tag:
        reference = reference.without_suffix().with_digest(reference.digest)
    record = store.references.get(str(reference.with_default_tag()))
    if record is not None:
        return store.images[record.image]
    return _by_prefix(store, name)


def _by_prefix(store: Store, name: str) -> ImageRecord | None:
    match = _PREFIX.fullmatch(name)
    if match is None:
        return None
    prefix = "sha256:" + match.group(1)
    found = [image for image_id, image in store.images.items() if image_id.startswith(prefix)]
    if len(found) > 1:
        raise InvalidParameter(f"Multiple IDs found with provided prefix: {name}")
    return found[0] if found else None


def get(store: Store, name: str) -> ImageRecord:
    """Find an image; raise ``NoSuchImage`` with the name as Docker completes it (``nosuch:latest``)."""
    image = find(store, name)
    if image is None:
        reference = parse_any(name)
        raise NoSuchImage(reference.with_default_tag().familiar if reference.path else name)
    return image
