"""The content store: blobs named by their sha256, in an OCI image layout (image-spec v1.1, image-layout.md).

A blob is written to a temporary file, synced, checked and renamed: under its final name it is always whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.oci.digest import hex_of

__all__ = ["BlobWriter", "Blobs"]

_CHUNK = 1 << 20
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'


class BlobWriter:
    """A blob being written; a context manager: what is not committed when it is left is gone."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / f".tmp-{uuid.uuid4().hex}"
        self._file = self._path.open("xb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append some bytes."""
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> str:
        """The digest of what was written so far."""
        return "sha256:" + self._hash.hexdigest()

    def commit(self, expected: str | None = None) -> str:
        """Make the blob visible under its digest; raise ``InvalidParameter`` if that is not the expected one."""
        if expected is not None and expected != self.digest:
            raise InvalidParameter(f"digest mismatch: content has {self.digest}, not {expected}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.rename(self._home / hex_of(self.digest))
        return self.digest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


class Blobs:
    """The folder ``image`` of a data root."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._home = path / "blobs" / "sha256"
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in (("oci-layout", _LAYOUT), ("index.json", _INDEX)):
            if not (path / name).exists():
                (path / name).write_bytes(content)

    def path_of(self, digest: str) -> Path:
        """Give where a blob lies, or would."""
        return self._home / hex_of(digest)

    def has(self, digest: str) -> bool:
        """Tell whether a blob is there."""
        return self.path_of(digest).exists()

    def size(self, digest: str) -> int:
        """Give a blob's size in bytes. Raises ``EngineError`` if it is missing."""
        with _told(digest):
            return self.path_of(digest).stat().st_size

    def writer(self) -> BlobWriter:
        """Begin a new blob."""
        return BlobWriter(self._home)

    def put(self, data: bytes) -> str:
        """Store some bytes; gives their digest."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            with self.writer() as writer:
                writer.write(data)
                writer.commit()
        return digest

    def put_chunks(self, chunks: Iterable[bytes], expected: str | None = None) -> tuple[str, int]:
        """Store a stream; gives digest and size."""
        with self.writer() as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit(expected), writer.size

    def adopt(self, path: Path, digest: str) -> None:
        """Take a file's content over, whose digest the caller has checked; the file itself stays where it is.

        It must be on the same filesystem, and nobody may write to it any more.
        """
        with path.open("rb") as file:
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            self.path_of(digest).hardlink_to(path)

    def get(self, digest: str) -> bytes:
        """Read a blob whole. Raises ``EngineError`` if it is missing."""
        with _told(digest):
            return self.path_of(digest).read_bytes()

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading. Raises ``EngineError`` if it is missing."""
        with _told(digest):
            return self.path_of(digest).open("rb")

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Read a blob piece by piece."""
        with self.open(digest) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def delete(self, digest: str) -> None:
        """Delete a blob. Idempotent."""
        self.path_of(digest).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Delete half-written blobs and those that nothing names: at start, before anything writes."""
        names = {hex_of(digest) for digest in known}
        for entry in self._home.iterdir():
            if entry.name not in names:
                entry.unlink(missing_ok=True)


@contextlib.contextmanager
def _told(digest: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise EngineError(f"content {digest} is missing from the store") from None
