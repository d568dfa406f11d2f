"""From a layer's directory to its index, its digest and its tar, in one pass; and other tars of trees.

The directory is in overlayfs form, as a storage driver leaves it: a deleted name is a character device 0:0 (or an
empty file with the ``overlay.whiteout`` attribute), a replaced directory has ``overlay.opaque=y``. The tar is what the
image-spec v1.1 (layer.md) asks for. The same directory always gives the same bytes: sorted names, whole seconds, no
user names, hard links to the first of their names.

Left out, because a layer cannot hold them: sockets, and files and directories whose name begins with ``.wh.``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

from pydockmagic.oci.digest import StreamDigest

from .index import ScannedLayer
from .roots import open_root
from .walk import Owners, TreeWalk, WalkRules

__all__ = ["Writable", "checksum", "export_tree", "iter_tar", "scan", "tar_entry", "write_tar"]


class Writable(Protocol):
    """A file object to write to."""

    def write(self, data: bytes, /) -> object:
        """Take all of the bytes."""
        ...


def scan(
    directory: str | os.PathLike[str], *, clamp_ns: int | None = None, owners: Owners | None = None
) -> ScannedLayer:
    """Index a layer directory and compute the digest of its tar, reading every file once.

    ``clamp_ns``: modification times later than this are set to it, in the tar and on disk alike.
    ``owners``: path -> (uid, gid) where the disk holds one user only; what is not in it is root's.
    """
    return _write(directory, None, WalkRules(clamp_ns=clamp_ns, owners=owners))


def write_tar(
    directory: str | os.PathLike[str], out: Writable, *, clamp_ns: int | None = None, owners: Owners | None = None
) -> ScannedLayer:
    """Write the tar of a layer directory to a file object; gives what `scan` gives."""
    return _write(directory, out, WalkRules(clamp_ns=clamp_ns, owners=owners))


def iter_tar(
    directory: str | os.PathLike[str], *, clamp_ns: int | None = None, owners: Owners | None = None
) -> Iterator[bytes]:
    """Yield the tar of a layer directory in pieces of about a megabyte: the bytes whose digest `scan` gives."""
    return _contents(TreeWalk(WalkRules(clamp_ns=clamp_ns, owners=owners)), directory)


def export_tree(directory: str | os.PathLike[str], *, owners: Owners | None = None) -> Iterator[bytes]:
    """Yield the tar of a whole, plain tree, such as a container's mounted root (``docker export``)."""
    return _contents(TreeWalk(WalkRules(layer=False, owners=owners)), directory)


def tar_entry(root_fd: int, path: str, name: str, *, owners: Owners | None = None) -> Iterator[bytes]:
    """Yield the tar of one file or directory inside a root, under ``name`` (``docker cp`` out of a container).

    ``path`` must hold no symlinks but for the last component, which is taken as itself; see `resolve_in_root`.
    ``owners`` speaks of the names in the tar. An empty name gives a directory's contents alone.
    """
    return TreeWalk(WalkRules(layer=False, owners=owners)).entry(root_fd, path, name)


def checksum(root_fd: int, path: str, *, owner: tuple[int, int] | None = None) -> str:
    """Give a digest of one file or directory inside a root that changes whenever a copy of it would.

    Names, kinds, modes, owners, link targets, attributes and contents count, times do not. With ``owner`` all are
    counted as this one's, as ``COPY`` makes them. A file's own name does not count, only those below a directory.
    """
    walk = TreeWalk(WalkRules(layer=False, mtime=0, owner=owner))
    digest = StreamDigest()
    for chunk in walk.entry(root_fd, path, "."):
        digest.update(chunk)
    return digest.digest()


def _contents(walk: TreeWalk, directory: str | os.PathLike[str]) -> Iterator[bytes]:
    root_fd = open_root(directory)
    try:
        yield from walk.contents(root_fd)
    finally:
        os.close(root_fd)


def _write(directory: str | os.PathLike[str], out: Writable | None, rules: WalkRules) -> ScannedLayer:
    walk = TreeWalk(rules)
    digest = StreamDigest()
    for chunk in _contents(walk, directory):
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
    index = walk.builder.index
    return ScannedLayer(index, digest.digest(), index.content_size)
