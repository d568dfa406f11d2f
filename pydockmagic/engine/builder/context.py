"""The build context: the tar that the client sends, and the Dockerfile in it.

Engine API v1.50, "Build an image": a tar, plain or compressed. What ``.dockerignore`` names is taken away here too,
for clients that send everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import posixpath
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from pydockmagic.dockerfile import DockerfileError, Ignored, read_ignore_file
from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.layer.decompress import compression_of, open_stream

from .packed import Packed, PackedTree

__all__ = ["Context", "open_context", "receive"]

_IN_MEMORY = 8 << 20
_PIECE = 1 << 20
_LARGEST_DOCKERFILE = 8 << 20


class Context:
    """A context and its Dockerfile's text."""

    def __init__(self, tree: PackedTree, dockerfile: str, opened: contextlib.ExitStack) -> None:
        self.tree = tree
        self.dockerfile = dockerfile
        self._opened = opened

    def close(self) -> None:
        """Let go of the upload; nothing in the tree can be read any more."""
        self._opened.close()


async def receive(chunks: AsyncIterator[bytes], folder: Path) -> IO[bytes]:
    """Take the upload in: in memory while it is small, then into a file."""
    memory = io.BytesIO()
    file: IO[bytes] | None = None
    try:
        async for chunk in chunks:
            memory.write(chunk)
            if memory.tell() >= (_IN_MEMORY if file is None else _PIECE):
                file = file or (folder / "context.tar").open("w+b")
                await asyncio.to_thread(file.write, memory.getvalue())
                memory = io.BytesIO()
        if file is not None:
            await asyncio.to_thread(file.write, memory.getvalue())
            file.flush()
    except BaseException:
        if file is not None:
            file.close()
        raise
    spool = file or memory
    spool.seek(0)
    return spool


def open_context(upload: IO[bytes], folder: Path, dockerfile: str) -> Context:
    """Read the directory of an upload and the Dockerfile. Blocks. Raises InvalidParameter in Docker's words."""
    with contextlib.ExitStack() as opened:
        opened.enter_context(upload)
        try:
            plain = opened.enter_context(_plain(upload, folder))
            tree = PackedTree(plain)
        except OciError as error:
            raise InvalidParameter(f"Error processing tar file: {error}") from None
        text = _read_dockerfile(tree, dockerfile)
        _apply_ignore_file(tree)
        return Context(tree, text, opened.pop_all())


def _plain(upload: IO[bytes], folder: Path) -> IO[bytes]:
    start = upload.read(32)
    upload.seek(0)
    if compression_of(start) is None:
        return upload
    plain = (folder / "plain.tar").open("w+b")
    try:
        with open_stream(upload) as stream:
            shutil.copyfileobj(stream, plain)
    except BaseException:
        plain.close()
        raise
    plain.flush()
    plain.seek(0)
    return plain


def _read_dockerfile(tree: PackedTree, name: str) -> str:
    clean = posixpath.normpath(name).lstrip("/")
    if clean == ".." or clean.startswith("../"):
        raise InvalidParameter(f"forbidden path outside the build context: {name} ()")
    found = tree.find(clean)
    if found is None and clean == "Dockerfile":
        found = tree.find("dockerfile")
    if found is None:
        raise InvalidParameter(f"Cannot locate specified Dockerfile: {name}")
    if not found.is_file:
        raise InvalidParameter(f"unexpected error reading Dockerfile: read {clean}: is a directory")
    if found.status.st_size == 0:
        raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
    if found.status.st_size > _LARGEST_DOCKERFILE:
        raise InvalidParameter(f"the Dockerfile ({name}) is too large: {found.status.st_size} bytes")
    return (tree.read(found.path, _LARGEST_DOCKERFILE) or b"").decode("utf-8", "replace")


def _apply_ignore_file(tree: PackedTree) -> None:
    text = tree.read("/.dockerignore")
    if not text:
        return
    try:
        ignored = Ignored(read_ignore_file(text.decode("utf-8", "replace")))
    except DockerfileError as error:
        raise InvalidParameter(f"error reading .dockerignore: {error}") from None
    if ignored.patterns:
        _prune(tree, tree.root(), ignored)


def _prune(tree: PackedTree, directory: Packed, ignored: Ignored) -> None:
    """Remove what is ignored. An ignored directory stays while something in it is asked back with ``!``."""
    for found in list(tree.children(directory)):
        out = ignored.ignores(found.path[1:])
        if found.is_dir and not (out and not ignored.has_exceptions):
            _prune(tree, found, ignored)
            out = out and not found.status.children
        if out:
            tree.remove(found)
