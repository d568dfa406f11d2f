"""Digests of content (``sha256:HEX``), and the chain ids that name a stack of layers.

OCI image-spec v1.1, descriptor.md "Digests" and config.md "Layer ChainID".
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydockmagic.oci.errors import InvalidDigest

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["StreamDigest", "chain_id", "chain_ids", "hex_of", "is_digest", "parse_digest", "sha256_digest", "verify"]

_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+")
_WORTH_A_THREAD = 4 << 20
_WORTH_A_CALL = 1 << 16


def sha256_digest(data: bytes | Iterable[bytes]) -> str:
    """Give the digest of some bytes, or of pieces of bytes joined."""
    digest = hashlib.sha256()
    for piece in (data,) if isinstance(data, (bytes, bytearray, memoryview)) else data:
        digest.update(piece)
    return "sha256:" + digest.hexdigest()


class StreamDigest:
    """The sha256 of a stream, computed beside the work that makes it: hashing runs in a thread, one chunk behind.

    Give it immutable ``bytes``, in chunks of a megabyte or so. Short streams are hashed at once.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._running: Future[None] | None = None
        self._seen = 0

    def update(self, data: bytes) -> None:
        """Add one chunk."""
        if self._running is not None:
            self._running.result()
            self._running = None
        self._seen += len(data)
        if self._seen < _WORTH_A_THREAD or len(data) < _WORTH_A_CALL:
            self._hash.update(data)
        else:
            self._running = _hashers().submit(self._hash.update, data)

    def digest(self) -> str:
        """Give the digest of all chunks so far (``sha256:HEX``)."""
        if self._running is not None:
            self._running.result()
            self._running = None
        return "sha256:" + self._hash.hexdigest()


@functools.cache
def _hashers() -> ThreadPoolExecutor:
    """Give the threads that hash; they wait idle for the next stream."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only who hashes much pays for it

    return ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="sha256")


def parse_digest(text: str) -> tuple[str, str]:
    """Split a digest into algorithm and hex part; raises `InvalidDigest` in the words of Docker's digest package."""
    if not _DIGEST.fullmatch(text):
        raise InvalidDigest("invalid checksum digest format")
    algorithm, _, encoded = text.partition(":")
    length = _HEX_LENGTHS.get(algorithm)
    if length is None:
        raise InvalidDigest("unsupported digest algorithm")
    if len(encoded) != length:
        raise InvalidDigest("invalid checksum digest length")
    if not _HEX.fullmatch(encoded):
        raise InvalidDigest("invalid checksum digest format")
    return algorithm, encoded


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest that we can check."""
    try:
        parse_digest(text)
    except InvalidDigest:
        return False
    return True


def hex_of(digest: str) -> str:
    """Give the hex part of a valid digest: safe as the name of a file."""
    return parse_digest(digest)[1]


def verify(digest: str, data: bytes) -> None:
    """Raise `InvalidDigest` unless the bytes have this digest."""
    algorithm, encoded = parse_digest(digest)
    found = hashlib.new(algorithm, data).hexdigest()
    if found != encoded:
        raise InvalidDigest(f"content has digest {algorithm}:{found}, not {digest}")


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """Give the chain id of every layer of a stack, bottom first: a name for the layer together with all below it."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(sha256_digest(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def chain_id(diff_ids: Sequence[str]) -> str:
    """Give the chain id of a whole stack; the empty stack has the empty one."""
    return chain_ids(diff_ids)[-1] if diff_ids else ""
