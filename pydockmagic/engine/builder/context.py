"""The build context: the tar that the client sends, unpacked where it can touch nothing else.

Engine API v1.50, "Build an image": a tar, plain or compressed. What ``.dockerignore`` names is taken away here too,
for clients that send everything.
"""

# ruff: noqa: PTH106, PTH108, PTH208 - walks keep their paths as plain strings, for speed
from __future__ import annotations

import io
import os
import posixpath
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from pydockmagic.dockerfile import DockerfileError, Ignored, read_ignore_file
from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.layer import extract
from pydockmagic.oci.layer.decompress import open_stream

from .view import View

__all__ = ["Context", "receive", "unpack"]

_IN_MEMORY = 8 << 20
_LARGEST_DOCKERFILE = 8 << 20


class Context:
    """An unpacked context and its Dockerfile's text."""

    def __init__(self, root: Path, dockerfile: str) -> None:
        self.root = root
        self.dockerfile = dockerfile
        self.view = View([root])


async def receive(chunks: AsyncIterator[bytes], folder: Path) -> IO[bytes]:
    """Take the upload in: in memory while it is small, then into a file."""
    spool: IO[bytes] = io.BytesIO()
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > _IN_MEMORY and isinstance(spool, io.BytesIO):
            start = spool.getvalue()
            spool = (folder / "context.tar").open("w+b")
            spool.write(start)
        spool.write(chunk)
    spool.seek(0)
    return spool


def unpack(upload: IO[bytes], root: Path, dockerfile: str) -> Context:
    """Unpack an upload and read the Dockerfile. Blocks. Raises InvalidParameter in Docker's words."""
    root.mkdir(mode=0o755)
    try:
        with open_stream(upload) as stream:
            # Devices do not belong into a context, and whom its files belong to does not matter: COPY decides.
            extract(stream, root, whiteouts="keep", devices="skip", owners="index")
    except OciError as error:
        raise InvalidParameter(f"Error processing tar file: {error}") from None
    finally:
        upload.close()
    text = _read_dockerfile(View([root]), dockerfile)
    _apply_ignore_file(root)
    return Context(root, text)


def _read_dockerfile(view: View, name: str) -> str:
    clean = posixpath.normpath(name).lstrip("/")
    if clean == ".." or clean.startswith("../"):
        raise InvalidParameter(f"forbidden path outside the build context: {name} ()")
    found = view.find(clean)
    if found is None and clean == "Dockerfile":
        found = view.find("dockerfile")
    if found is None:
        raise InvalidParameter(f"Cannot locate specified Dockerfile: {name}")
    if not found.is_file:
        raise InvalidParameter(f"unexpected error reading Dockerfile: read {clean}: is a directory")
    if found.status.st_size == 0:
        raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
    if found.status.st_size > _LARGEST_DOCKERFILE:
        raise InvalidParameter(f"the Dockerfile ({name}) is too large: {found.status.st_size} bytes")
    return (view.read(found.path, _LARGEST_DOCKERFILE) or b"").decode("utf-8", "replace")


def _apply_ignore_file(root: Path) -> None:
    text = View([root]).read("/.dockerignore")
    if not text:
        return
    try:
        ignored = Ignored(read_ignore_file(text.decode("utf-8", "replace")))
    except DockerfileError as error:
        raise InvalidParameter(f"error reading .dockerignore: {error}") from None
    if ignored.patterns:
        _prune(os.fspath(root), "", ignored)


def _prune(directory: str, prefix: str, ignored: Ignored) -> None:
    """Remove what is ignored. An ignored directory stays while something in it is asked back with ``!``."""
    with os.scandir(directory) as listing:
        entries = list(listing)
    for entry in entries:
        path = prefix + entry.name
        out = ignored.ignores(path)
        if entry.is_dir(follow_symlinks=False):
            if out and not ignored.has_exceptions:
                shutil.rmtree(entry.path)
                continue
            _prune(entry.path, path + "/", ignored)
            if out and not os.listdir(entry.path):
                os.rmdir(entry.path)
        elif out:
            os.unlink(entry.path)
