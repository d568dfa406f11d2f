"""The build context as a tar: a folder without what its ``.dockerignore`` names, walked and sent piece by piece.

As the docker command does it (docker/cli, command/image/build/context.go): everything belongs to root, and the ignore
file and the Dockerfile are always sent, since the daemon needs them. A Dockerfile that is not in the folder is added
under a fixed name, which the ignore file that is sent hides from ``COPY``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydockmagic.dockerfile import DockerfileError, Ignored, read_ignore_file
from pydockmagic.oci.layer.entry import Kind, LayerEntry
from pydockmagic.oci.layer.header import END, encode_entry, padding

__all__ = ["ADDED_DOCKERFILE", "BuildContext", "ContextProblem", "folder_tar", "text_context"]

ADDED_DOCKERFILE = ".dockerfile.pydock"
_IGNORE_FILE = ".dockerignore"
_CHUNK = 1 << 20


class ContextProblem(Exception):
    """The context cannot be read; ``str()`` is docker's sentence."""


@dataclass(slots=True)
class BuildContext:
    """A folder to send; ``dockerfile`` is the text of a Dockerfile from elsewhere, ``name`` that of one inside."""

    folder: Path
    name: str = "Dockerfile"
    dockerfile: str | None = None
    sent: int = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield the tar.

        Raises ``ContextProblem`` for what cannot be read.
        """
        for piece in self._pieces():
            self.sent += len(piece)
            yield piece

    def _pieces(self) -> Iterator[bytes]:
        text = self._ignore_text()
        ignored = _patterns(text)
        always = {_IGNORE_FILE} if self.dockerfile is not None else {_IGNORE_FILE, self.name}
        links: dict[tuple[int, int], str] = {}
        for path, status in _walk(self.folder, "", ignored, always):
            if path == _IGNORE_FILE and self.dockerfile is not None:
                continue
            yield from _member(self.folder / path, path, status, links)
        if self.dockerfile is not None:
            hidden = f"{text}\n" if text is not None else f"{_IGNORE_FILE}\n"
            yield from _file(_IGNORE_FILE, f"{hidden}{ADDED_DOCKERFILE}\n".encode())
            yield from _file(ADDED_DOCKERFILE, self.dockerfile.encode())
        yield END

    def _ignore_text(self) -> str | None:
        try:
            return (self.folder / _IGNORE_FILE).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ContextProblem(f"error reading .dockerignore: {_reason(error)}") from None


def text_context(dockerfile: str) -> Iterator[bytes]:
    """Yield the tar of a context that holds only a Dockerfile (``docker build - < Dockerfile``)."""
    yield from _file("Dockerfile", dockerfile.encode())
    yield END


def _patterns(text: str | None) -> Ignored:
    try:
        return Ignored(read_ignore_file(text or ""))
    except DockerfileError as error:
        raise ContextProblem(f"error checking context: {error}") from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _walk(folder: Path, prefix: str, ignored: Ignored, always: set[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what is to be sent, sorted by name; an ignored folder is entered while something in it may be wanted."""
    here = folder / prefix if prefix else folder
    try:
        names = sorted(os.listdir(here), key=os.fsencode)  # noqa: PTH208 - names only
    except PermissionError:
        raise ContextProblem(f"error checking context: no permission to read from '{here}'") from None
    except OSError as error:
        if prefix and isinstance(error, FileNotFoundError):
            return  # gone while we walked
        raise ContextProblem(f"error checking context: can't stat '{here}': {_reason(error)}") from None
    for name in names:
        path = f"{prefix}/{name}" if prefix else name
        try:
            status = (folder / path).lstat()
        except FileNotFoundError:
            continue  # gone while we walked
        out = ignored.ignores(path) and path not in always
        is_folder = stat.S_ISDIR(status.st_mode)
        if not out:
            yield path, status
        if is_folder and (not out or ignored.has_exceptions or any(each.startswith(f"{path}/") for each in always)):
            yield from _walk(folder, path, ignored, always)


def folder_tar(path: Path, name: str) -> Iterator[bytes]:
    """Yield the tar of a file or folder under another name, owners kept; without a name, of a folder's contents."""
    links: dict[tuple[int, int], str] = {}
    status = path.lstat()
    if name:
        yield from _member(path, name, status, links, keep_owner=True)
    if stat.S_ISDIR(status.st_mode):
        for inner, each in _walk(path, "", Ignored(()), set()):
            target = f"{name}/{inner}" if name else inner
            yield from _member(path / inner, target, each, links, keep_owner=True)
    yield END


def _member(
    source: Path, path: str, status: os.stat_result, links: dict[tuple[int, int], str], *, keep_owner: bool = False
) -> Iterator[bytes]:
    """Yield one member; nothing for what is gone by now: as with docker, others may work in the folder meanwhile."""
    kind = _kind(status.st_mode)
    if kind is None:
        return  # sockets cannot travel in a tar
    details: dict[str, Any] = {"mode": stat.S_IMODE(status.st_mode), "mtime": int(status.st_mtime)}
    if keep_owner:
        details.update(uid=status.st_uid, gid=status.st_gid)
    if kind is Kind.SYMLINK:
        try:
            details.update(mode=0o777, linkname=os.readlink(source))  # noqa: PTH115 - a text, not a path
        except FileNotFoundError:
            return
    elif kind in {Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE}:
        details["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    elif kind is Kind.FILE:
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink == 1 or inode not in links:
            yield from _regular(source, LayerEntry(path=path, kind=kind, size=status.st_size, **details), links, inode)
            return
        kind = Kind.HARDLINK
        details["linkname"] = links[inode]
    yield encode_entry(LayerEntry(path=path, kind=kind, **details))


def _regular(
    source: Path, entry: LayerEntry, links: dict[tuple[int, int], str], inode: tuple[int, int]
) -> Iterator[bytes]:
    """Yield a file, and note it for the links to it."""
    try:
        file = source.open("rb")
    except FileNotFoundError:
        return
    except PermissionError:
        raise ContextProblem(f"error checking context: no permission to read from '{source}'") from None
    links[inode] = entry.path
    with file:
        yield encode_entry(entry)
        yield from _content(file, entry.size)


def _kind(mode: int) -> Kind | None:
    for check, kind in (
        (stat.S_ISREG, Kind.FILE),
        (stat.S_ISDIR, Kind.DIRECTORY),
        (stat.S_ISLNK, Kind.SYMLINK),
        (stat.S_ISCHR, Kind.CHARACTER_DEVICE),
        (stat.S_ISBLK, Kind.BLOCK_DEVICE),
        (stat.S_ISFIFO, Kind.FIFO),
    ):
        if check(mode):
            return kind
    return None


def _content(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield exactly ``size`` bytes: a file that changes meanwhile must not spoil the tar."""
    left = size
    while left > 0:
        data = file.read(min(_CHUNK, left)) or bytes(min(_CHUNK, left))
        left -= len(data)
        yield data
    yield bytes(padding(size))


def _file(path: str, data: bytes) -> Iterator[bytes]:
    yield encode_entry(LayerEntry(path=path, kind=Kind.FILE, size=len(data), mode=0o600, mtime=0))
    yield data
    yield bytes(padding(len(data)))
