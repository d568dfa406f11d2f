"""COPY and ADD: where each source goes, and putting it there.

The rules of destinations are the classic builder's (Dockerfile reference, "COPY"): a directory brings its content, a
file goes into a destination that ends with a slash or is a directory; missing directories are made, with mode 0755.
"""

from __future__ import annotations

import functools
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydockmagic.engine.errors import EngineError
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.layer import TarReader, extract
from pydockmagic.oci.layer.decompress import open_stream
from pydockmagic.oci.layer.entry import clean_path

from .draft import Draft, Owner
from .sources import Source
from .tree import Found, Tree

__all__ = ["Placement", "destination_of", "put"]


@dataclass(frozen=True)
class Placement:
    """How to put the sources: ``owner`` None keeps the sources' own, ``mode`` None their modes.

    ``keep_times`` is for files of another image: those of the context all bear the layer's time.
    ``unpack`` takes archives apart, ``parents`` keeps the directories of the sources' names.
    """

    destination: str
    owner: Owner
    mode: int | None
    keep_times: bool = False
    unpack: bool = False
    parents: bool = False


def destination_of(destination: str, working_dir: str) -> str:
    """Make a destination absolute; a slash at its end stays."""
    whole = posixpath.normpath(posixpath.join("/", working_dir, destination))
    whole = "/" + whole.lstrip("/")
    last = destination.rsplit("/", 1)[-1]
    return whole + "/" if last in ("", ".") and whole != "/" else whole


def put(draft: Draft, sources: Sequence[Source], placement: Placement) -> None:
    """Put all sources into the layer in the making. Blocks. Raises EngineError in Docker's words."""
    try:
        for source in sources:
            _put_one(draft, source, placement)
    except (NotADirectoryError, IsADirectoryError) as error:
        raise EngineError(f"failed to copy files: {error.filename}: {_lower(error.strerror)}") from None
    except OSError as error:
        raise EngineError(f"failed to copy files: {error.filename or ''}: {_lower(error.strerror)}") from None
    draft.finish()


def _lower(text: str | None) -> str:
    """Errors are sentences' ends in Docker: ``not a directory``."""
    return (text or "unknown error").lower()


def _put_one(draft: Draft, source: Source, placement: Placement) -> None:
    destination = placement.destination
    if placement.parents:
        kept = source.name if source.is_dir else posixpath.dirname(source.name)
        destination = f"{destination.rstrip('/')}/{kept}".rstrip("/") + "/"
    names = _resolved(draft.view, destination)
    owner = placement.owner
    if source.is_dir:
        draft.directory_at(names, owner)
        for path, entry in source.entries:
            _put_entry(draft, (*names, *path.split("/")), entry, placement)
        return
    if placement.unpack and source.found is not None and not source.url and _is_archive(source.found):
        draft.directory_at(names, owner)
        _unpack(draft, names, source.found)
        return
    existing = draft.view.find("/" + "/".join(names))
    if destination.endswith("/") or (existing is not None and existing.is_dir):
        draft.directory_at(names, owner)
        names = (*names, posixpath.basename(source.name))
    else:
        draft.directory_at(names[:-1], owner)
    if source.found is None:
        default = 0o600 if source.url else 0o644
        draft.write(names, source.content, owner, default if placement.mode is None else placement.mode)
    else:
        _put_entry(draft, names, source.found, placement)


def _put_entry(draft: Draft, names: tuple[str, ...], entry: Found, placement: Placement) -> None:
    ns = min(entry.status.st_mtime_ns, draft.time_ns) if placement.keep_times else draft.time_ns
    if entry.is_dir:
        draft.merge_directory(names, entry, placement.owner, placement.mode, ns)
    else:
        draft.copy(names, entry, placement.owner, placement.mode, ns)


def _resolved(tree: Tree[Any], path: str) -> tuple[str, ...]:
    """Follow the symlinks of a destination inside the image."""
    found, missing = tree.resolve(path)
    return (*found.names, *missing)


def _is_archive(found: Found) -> bool:
    """Whether a file is a tar, plain or compressed, that ADD takes apart."""
    if not found.is_file or found.status.st_size < 32:
        return False
    try:
        with found.open() as raw, open_stream(raw) as stream:
            return next(iter(TarReader(stream)), None) is not None
    except (OciError, OSError):
        return False


def _unpack(draft: Draft, names: Sequence[str], found: Found) -> None:
    """Unpack an archive at a directory of the layer.

    The directories of lower layers that the archive goes into are taken up first, so that they are changed and not
    replaced; where the image has a symlink on the way, it is followed inside the image.
    """
    prefix = "/".join(names)
    try:
        with found.open() as raw, open_stream(raw) as stream:
            _take_up_ways(draft, prefix, TarReader(stream))
        with found.open() as raw, open_stream(raw) as stream:
            if _all_users():
                extract(stream, draft.directory, at=prefix, whiteouts="keep")
            else:
                extract(stream, draft.directory, at=prefix, whiteouts="keep", devices="skip", owners="index")
    except OciError as error:
        raise EngineError(f"failed to copy files: Error processing tar file: {error}") from None
    draft.changed = True


def _take_up_ways(draft: Draft, prefix: str, reader: TarReader) -> None:
    done: set[str] = set()
    for member in reader:
        head = clean_path(member.entry.path).rpartition("/")[0]
        while head and head not in done:
            done.add(head)
            below = draft.view.find(f"/{prefix}/{head}", follow_last=False)
            if below is not None and below.is_dir:
                draft.directory_at(below.names)
            elif below is not None and below.is_link:
                draft.copy(below.names, below, None, None, below.status.st_mtime_ns)
                target = draft.view.find(below.path)
                if target is not None and target.is_dir:
                    draft.directory_at(target.names)
            head = head.rpartition("/")[0]


@functools.cache
def _all_users() -> bool:
    """Whether files may be given to anybody and devices be made: as root outside of any user namespace."""
    try:
        return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    except OSError:
        return os.geteuid() == 0
