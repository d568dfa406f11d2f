"""The index of a layer: every entry, in columns, without the contents.

It is made once, when a layer is made or unpacked, and kept beside it, so that looking at a layer of 100,000 files
reads one small file and no tar. In memory a column is a list or an array; stored it is one block of bytes inside a
MessagePack record.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from pydockmagic.oci.errors import InvalidDocument

from .entry import Kind, LayerEntry, sort_key

__all__ = ["IndexBuilder", "LayerIndex", "ScannedLayer"]

_KINDS = tuple(Kind)
_VERSION = 1
_BATCH = 4096
_NO_DEVICE = (0, 0)


class _Stored(msgspec.Struct, array_like=True):
    """The record on disk. Arrays are little-endian, texts are joined by NUL bytes."""

    version: int
    paths: bytes
    kinds: bytes
    sizes: bytes
    modes: bytes
    uids: bytes
    gids: bytes
    mtimes: bytes
    links: dict[int, bytes]
    devices: dict[int, tuple[int, int]]
    xattrs: dict[int, list[tuple[bytes, bytes]]]
    opaque: list[int]
    root_opaque: bool


class LayerIndex:
    """The entries of one layer, sorted by `sort_key`; immutable. Make one with `IndexBuilder` or `from_entries`.

    The columns (`paths`, `sizes`, ...) may be read directly where speed matters; row ``i`` of each is entry ``i``.
    """

    __slots__ = ("_positions", "devices", "gids", "kinds", "links", "modes", "mtimes", "opaque", "paths", "root_opaque",
                 "sizes", "uids", "xattrs")  # fmt: skip

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.kinds = bytearray()
        self.sizes = array("q")
        self.modes = array("I")
        self.uids = array("I")
        self.gids = array("I")
        self.mtimes = array("q")
        self.links: dict[int, str] = {}
        self.devices: dict[int, tuple[int, int]] = {}
        self.xattrs: dict[int, tuple[tuple[str, bytes], ...]] = {}
        self.opaque: set[int] = set()
        self.root_opaque = False
        """Whether the layer hides everything below it (overlayfs ignores the mark there: leave lower layers out)."""
        self._positions: dict[str, int] | None = None

    @classmethod
    def from_entries(cls, entries: Iterable[LayerEntry]) -> LayerIndex:
        """Sort entries and put them into columns; of two with the same path the later one counts."""
        builder = IndexBuilder()
        unique = {entry.path: entry for entry in entries}
        for path in sorted(unique, key=sort_key):
            builder.add(unique[path])
        return builder.index

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> LayerEntry:
        if row < 0:
            row += len(self.paths)
        return LayerEntry(
            self.paths[row],
            _KINDS[self.kinds[row]],
            self.sizes[row],
            self.modes[row],
            self.uids[row],
            self.gids[row],
            self.mtimes[row],
            self.links.get(row, ""),
            self.devices.get(row, (0, 0)),
            self.xattrs.get(row, ()),
            row in self.opaque,
        )

    def __iter__(self) -> Iterator[LayerEntry]:
        return map(self.__getitem__, range(len(self.paths)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LayerIndex):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__ if name != "_positions")

    __hash__ = None  # type: ignore[assignment] # compared by content, too large to be a key

    def __repr__(self) -> str:
        return f"<LayerIndex of {len(self)} entries, {self.content_size} bytes>"

    def kind(self, row: int) -> Kind:
        """Give one row's kind without building its entry."""
        return _KINDS[self.kinds[row]]

    def find(self, path: str) -> int | None:
        """Give the row of a path (relative, no slashes around it), or None."""
        if self._positions is not None:
            return self._positions.get(path)
        row = bisect_left(self.paths, sort_key(path), key=sort_key)
        return row if row < len(self.paths) and self.paths[row] == path else None

    def positions(self) -> Mapping[str, int]:
        """Give the mapping from path to row, made on first use; worth it from some hundred look-ups on."""
        if self._positions is None:
            self._positions = {path: row for row, path in enumerate(self.paths)}
        return self._positions

    def get(self, path: str) -> LayerEntry | None:
        """Give the entry of a path, or None."""
        row = self.find(path)
        return None if row is None else self[row]

    def subtree(self, path: str) -> range:
        """Give the rows of everything below a directory (not itself); the empty path means the whole layer."""
        if not path:
            return range(len(self.paths))
        key = sort_key(path)
        start = bisect_left(self.paths, key + b"\0", key=sort_key)
        return range(start, bisect_left(self.paths, key + b"\1", lo=start, key=sort_key))

    @property
    def content_size(self) -> int:
        """Bytes of file content: what Docker calls the size of a layer (hard links count once)."""
        return sum(self.sizes)

    def owners(self) -> dict[str, tuple[int, int]]:
        """Give path -> (uid, gid) of every entry that is not root's: the side table of a disk with one owner."""
        return {path: (uid, gid) for path, uid, gid in zip(self.paths, self.uids, self.gids, strict=True) if uid or gid}

    def encode(self) -> bytes:
        """Write the stored form."""
        return msgspec.msgpack.encode(
            _Stored(
                _VERSION,
                "\0".join(self.paths).encode("utf-8", "surrogateescape"),
                bytes(self.kinds),
                _to_bytes(self.sizes),
                _to_bytes(self.modes),
                _to_bytes(self.uids),
                _to_bytes(self.gids),
                _to_bytes(self.mtimes),
                {row: text.encode("utf-8", "surrogateescape") for row, text in self.links.items()},
                self.devices,
                {
                    row: [(name.encode("utf-8", "surrogateescape"), value) for name, value in pairs]
                    for row, pairs in self.xattrs.items()
                },
                sorted(self.opaque),
                self.root_opaque,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> LayerIndex:
        """Read the stored form; raises `InvalidDocument` where it is damaged or of another version."""
        try:
            stored = msgspec.msgpack.decode(data, type=_Stored)
        except msgspec.MsgspecError as exc:
            raise InvalidDocument(f"layer index is damaged: {exc}") from None
        if stored.version != _VERSION:
            raise InvalidDocument(f"layer index has version {stored.version}, not {_VERSION}")
        index = cls()
        index.kinds = bytearray(stored.kinds)
        if index.kinds:
            index.paths = stored.paths.decode("utf-8", "surrogateescape").split("\0")
        for name in ("sizes", "modes", "uids", "gids", "mtimes"):
            _from_bytes(getattr(index, name), getattr(stored, name))
        index.links = {row: text.decode("utf-8", "surrogateescape") for row, text in stored.links.items()}
        index.devices = stored.devices
        index.xattrs = {
            row: tuple((name.decode("utf-8", "surrogateescape"), value) for name, value in pairs)
            for row, pairs in stored.xattrs.items()
        }
        index.opaque = set(stored.opaque)
        index.root_opaque = stored.root_opaque
        columns = (index.paths, index.sizes, index.modes, index.uids, index.gids, index.mtimes)
        if any(len(column) != len(index.kinds) for column in columns):
            raise InvalidDocument("layer index is damaged: its columns differ in length")
        return index


def _to_bytes(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()


def _from_bytes(column: array[int], data: bytes) -> None:
    if len(data) % column.itemsize:
        raise InvalidDocument("layer index is damaged: a column is cut short")
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()


class IndexBuilder:
    """Collects entries that come in the order of `sort_key`; ``add`` appends one, ``index`` gives the index so far."""

    def __init__(self) -> None:
        self._index = LayerIndex()
        self._new: list[LayerEntry] = []

    def add(self, entry: LayerEntry) -> None:
        """Append one entry, which must sort after the one before."""
        self._new.append(entry)
        if len(self._new) >= _BATCH:
            self._settle()

    @property
    def index(self) -> LayerIndex:
        """The index of all entries so far; more may be added."""
        self._settle()
        return self._index

    def _settle(self) -> None:
        """Move new entries into the columns; a batch at a time costs a third of one by one."""
        index, new = self._index, self._new
        first = len(index.paths)
        index.paths += [entry.path for entry in new]
        index.kinds += bytes([entry.kind.code for entry in new])
        index.sizes.extend([entry.size for entry in new])
        index.modes.extend([entry.mode for entry in new])
        index.uids.extend([entry.uid for entry in new])
        index.gids.extend([entry.gid for entry in new])
        index.mtimes.extend([entry.mtime for entry in new])
        for row, entry in enumerate(new, first):
            if entry.linkname:
                index.links[row] = entry.linkname
            if entry.xattrs:
                index.xattrs[row] = entry.xattrs
            if entry.device != _NO_DEVICE:
                index.devices[row] = entry.device
            if entry.opaque:
                index.opaque.add(row)
        new.clear()


class ScannedLayer(msgspec.Struct, frozen=True):
    """What reading a whole layer gives: index, digest of the uncompressed tar, content bytes. Unpacks in three."""

    index: LayerIndex
    diff_id: str
    content_size: int

    def __iter__(self) -> Iterator[Any]:
        return iter((self.index, self.diff_id, self.content_size))
