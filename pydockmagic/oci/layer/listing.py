"""Indexing a layer tar without unpacking it."""

from __future__ import annotations

import msgspec

from pydockmagic.oci.errors import LimitExceeded, UnsafePath

from .entry import OPAQUE_NAME, WHITEOUT_META_PREFIX, WHITEOUT_PREFIX, Kind, LayerEntry, clean_path
from .index import ScannedLayer
from .limits import DEFAULT_LIMITS, ExtractLimits
from .reader import ByteStream, TarReader
from .tree import Inode, Node
from .xattrs import travels

__all__ = ["index_tar"]


def index_tar(stream: ByteStream, *, limits: ExtractLimits = DEFAULT_LIMITS) -> ScannedLayer:
    """Read an uncompressed layer tar into its index; the data is hashed and skipped.

    Symlinks on the way to an entry are not followed, as no disk is there to look at. Directories that the archive
    only implies get no entry. Raises `TarError`, `UnsafePath`, `LimitExceeded`.
    """
    reader = TarReader(stream, max_bytes=limits.stream)
    root = Node()
    for count, member in enumerate(reader, 1):
        if limits.entries is not None and count > limits.entries:
            raise LimitExceeded(f"the archive has too many entries: more than {limits.entries}")
        path = clean_path(member.entry.path)
        if path:
            xattrs = tuple(pair for pair in member.entry.xattrs if travels(pair[0]))
            _add(root, msgspec.structs.replace(member.entry, path=path, xattrs=xattrs))
    diff_id = reader.finish()
    index = root.to_index()
    return ScannedLayer(index, diff_id, index.content_size)


def _add(root: Node, entry: LayerEntry) -> None:
    head, _, name = entry.path.rpartition("/")
    parent = root.below(head)
    if name == OPAQUE_NAME:
        known = parent.entry or LayerEntry(head, Kind.DIRECTORY, mode=0o755)
        parent.entry = msgspec.structs.replace(known, opaque=True)
    elif name.startswith(WHITEOUT_META_PREFIX):
        return
    elif name.startswith(WHITEOUT_PREFIX):
        hidden = name[len(WHITEOUT_PREFIX) :]
        if hidden in {"", ".", ".."}:
            raise UnsafePath(f"whiteout {name!r} hides no entry of its directory")
        if parent.get(hidden) is None:
            path = f"{head}/{hidden}" if head else hidden
            parent.put(hidden, Node(LayerEntry(path, Kind.WHITEOUT)))
    elif entry.kind is Kind.DIRECTORY:
        node = parent.child(name)
        opaque = node.entry is not None and (node.entry.opaque or node.entry.kind is Kind.WHITEOUT)
        node.entry = msgspec.structs.replace(entry, opaque=opaque)
    elif entry.kind is Kind.HARDLINK:
        target = clean_path(entry.linkname)
        origin = root.below(target)
        if origin.entry is not None and origin.inode is None:
            origin.inode = Inode(origin.entry)
        parent.put(name, Node(msgspec.structs.replace(entry, linkname=target), origin.inode))
    else:
        parent.put(name, Node(entry))
