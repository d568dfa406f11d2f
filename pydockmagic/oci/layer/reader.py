"""Reading tars from a stream: one pass, no seeking, nothing trusted.

Reads what Docker, BuildKit, GNU tar, bsdtar, star and Python write: ustar, PAX (global records included), GNU long
names, GNU sparse files in all four of their forms. Whatever is read passes through a hash on the way, so that the
digest of the whole archive is known at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from pydockmagic.oci.digest import StreamDigest
from pydockmagic.oci.errors import LimitExceeded, TarError

from .entry import Kind, LayerEntry
from .header import BLOCK, RawHeader, padding, parse_block, parse_pax

__all__ = ["ByteStream", "TarMember", "TarReader"]

_CHUNK = 1 << 20
_ZERO_BLOCK = bytes(BLOCK)

_KINDS: dict[bytes, Kind] = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,  # contiguous: a wish about the disk that nobody grants
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER_DEVICE,
    b"4": Kind.BLOCK_DEVICE,
    b"5": Kind.DIRECTORY,
    b"D": Kind.DIRECTORY,  # GNU incremental: a directory with a list of names as its data
    b"6": Kind.FIFO,
}

Extents = tuple[tuple[int, int], ...]


class ByteStream(Protocol):
    """Anything with ``read``: a file, a pipe, a decompressor, a socket's file. Short reads are fine; b"" is the end."""

    def read(self, size: int, /) -> bytes:
        """Give at most ``size`` bytes."""
        ...


class TarMember(msgspec.Struct, frozen=True, gc=False):
    """One member of an archive: the entry under the name it was given, and what concerns its data.

    ``entry.path`` is the raw name: clean it before use. ``extents`` are (offset, length) of the pieces of a sparse
    file, in the order of their data; None for a dense one.
    """

    entry: LayerEntry
    mtime_ns: int
    extents: Extents | None = None


class TarReader:
    """Iterate over the members of a tar stream; read the current member's data with `chunks` or `read`.

    ``max_bytes`` bounds the whole stream and ``max_extended`` one PAX or long-name header, so that a small hostile
    archive cannot fill the memory.
    """

    def __init__(self, stream: ByteStream, *, max_bytes: int | None = None, max_extended: int = 1 << 20) -> None:
        self._read = stream.read
        self._digest = StreamDigest()
        self._buffer = b""
        self._position = 0
        self._left = 0
        """Data bytes of the current member still in the stream."""
        self._padding = 0
        self._max_bytes = max_bytes
        self._max_extended = max_extended
        self._globals: dict[str, bytes] = {}
        self.total = 0
        """Bytes read from the stream so far."""

    def __iter__(self) -> Iterator[TarMember]:
        """Yield the members in the archive's order; data that was not read is skipped."""
        while (member := self._next_member()) is not None:
            yield member

    def finish(self) -> str:
        """Read whatever follows the last member and give the digest of the whole stream (``sha256:HEX``)."""
        self._position = len(self._buffer)
        while self._fill(_CHUNK):
            self._position = len(self._buffer)
        return self._digest.digest()

    def chunks(self) -> Iterator[memoryview]:
        """Yield the current member's data (for a sparse file: its pieces one after the other)."""
        while self._left:
            yield self.piece()

    def piece(self) -> memoryview:
        """Give the next piece of the current member's data; empty at its end."""
        if not self._left:
            return memoryview(b"")
        if self._position == len(self._buffer) and not self._fill(_CHUNK):
            raise TarError("unexpected EOF: the archive is cut short")
        piece = memoryview(self._buffer)[self._position : self._position + self._left]
        self._position += len(piece)
        self._left -= len(piece)
        return piece

    def read(self, limit: int) -> bytes:
        """Give the current member's data whole; raises `LimitExceeded` beyond ``limit`` bytes."""
        if self._left > limit:
            raise LimitExceeded(f"entry of {self._left} bytes is too large: at most {limit}")
        return b"".join(self.chunks())

    def _fill(self, size: int) -> int:
        """Drop what was used of the buffer and add at most ``size`` bytes to it; 0 at the end of the stream."""
        data = self._read(max(size, _CHUNK))
        if not data:
            return 0
        self._digest.update(data)
        self.total += len(data)
        if self._max_bytes is not None and self.total > self._max_bytes:
            raise LimitExceeded(f"the archive is too large: more than {self._max_bytes} bytes")
        rest = self._buffer[self._position :]
        self._buffer = rest + data if rest else data
        self._position = 0
        return len(data)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) - self._position < size:
            if not self._fill(_CHUNK):
                raise TarError("unexpected EOF: the archive is cut short")
        start = self._position
        self._position = start + size
        return self._buffer[start : self._position]

    def _skip(self) -> None:
        if self._left:
            for _ in self.chunks():
                pass
        if self._padding:
            # The last member's padding is missing in some archives; whoever needs more will notice.
            while len(self._buffer) - self._position < self._padding:
                if not self._fill(_CHUNK):
                    break
            self._position = min(len(self._buffer), self._position + self._padding)
            self._padding = 0

    def _block(self) -> bytes | None:
        """Give the next block; None at the end of the stream or of the archive (two zero blocks)."""
        if self._position == len(self._buffer) and not self._fill(_CHUNK):
            return None
        start = self._position
        if start + BLOCK <= len(self._buffer):
            self._position = start + BLOCK
            block = self._buffer[start : start + BLOCK]
        else:
            block = self._take(BLOCK)
        if block == _ZERO_BLOCK:
            if self._position == len(self._buffer) and not self._fill(_CHUNK):
                return None
            if self._take(BLOCK) != _ZERO_BLOCK:
                raise TarError("invalid tar header: a lone zero block")
            return None
        return block

    def _extended(self, size: int) -> bytes:
        if size > self._max_extended or size < 0:
            raise LimitExceeded(f"extended tar header of {size} bytes is too large")
        data = self._take(size)
        self._padding = padding(size)
        self._skip()
        return data

    def _next_member(self) -> TarMember | None:
        self._skip()
        records: list[tuple[str, bytes]] = []
        long_name = long_link = None
        while (block := self._block()) is not None:
            header = parse_block(block)
            if header.flag == b"x":
                records = parse_pax(self._extended(header.size))
            elif header.flag == b"g":
                self._globals.update(parse_pax(self._extended(header.size)))
            elif header.flag == b"L":
                long_name = self._extended(header.size).split(b"\0", 1)[0]
            elif header.flag == b"K":
                long_link = self._extended(header.size).split(b"\0", 1)[0]
            elif header.flag == b"V":  # GNU volume label
                self._extended(header.size)
            else:
                header.name = header.name if long_name is None else long_name
                header.linkname = header.linkname if long_link is None else long_link
                return self._member(header, records)
        if records or long_name or long_link:
            raise TarError("unexpected EOF: an extended header without its entry")
        return None

    def _member(self, header: RawHeader, records: list[tuple[str, bytes]]) -> TarMember:
        kind = _KINDS.get(header.flag)
        if kind is None:
            raise TarError(f"{os.fsdecode(header.name)!r}: unhandled tar header type {header.flag!r}")
        mtime_ns = header.mtime * 1_000_000_000
        xattrs: tuple[tuple[str, bytes], ...] = ()
        extents: Extents | None = None
        real_size: int | None = None
        if records or self._globals:
            merged = {**self._globals, **dict(records)}
            mtime_ns = _apply_pax(header, merged, mtime_ns)
            xattrs = tuple(sorted((k[13:], v) for k, v in merged.items() if k.startswith("SCHILY.xattr.")))
            if "GNU.sparse.major" in merged or "GNU.sparse.size" in merged:
                real_size = _pax_int(merged.get("GNU.sparse.realsize", merged.get("GNU.sparse.size", b"0")))
                header.name = merged.get("GNU.sparse.name", header.name)
        if kind is Kind.FILE and header.name.endswith(b"/") and header.flag in b"0\0":
            kind = Kind.DIRECTORY  # v7 tars know no directories otherwise
        self._left = header.size if kind is Kind.FILE or header.flag == b"D" else 0
        if self._left < 0:
            raise TarError("invalid tar header: negative size")
        self._padding = padding(self._left)
        if header.flag == b"S":
            real_size, extents = self._old_sparse(header.sparse)
        elif real_size is not None:
            extents = self._pax_sparse(records)
        size = header.size if kind is Kind.FILE else 0
        if extents is not None and real_size is not None:
            _check_extents(extents, real_size, self._left)
            size = real_size
        entry = LayerEntry(
            header.name.decode("utf-8", "surrogateescape"),
            kind,
            size,
            header.mode,
            header.uid,
            header.gid,
            mtime_ns // 1_000_000_000,
            header.linkname.decode("utf-8", "surrogateescape") if kind is Kind.SYMLINK or kind is Kind.HARDLINK else "",
            header.device,
            xattrs,
        )
        return TarMember(entry, mtime_ns, extents)

    def _old_sparse(self, field: bytes) -> tuple[int, Extents]:
        """Read GNU's first sparse form: four pieces in the header, more in the blocks that follow it."""
        extents = _sparse_pairs(field, 4)
        real_size = _sparse_number(field[97:109])
        extended = field[96:97] != b"\0"
        while extended:
            block = self._take(BLOCK)
            extents += _sparse_pairs(block, 21)
            if len(extents) * 24 > self._max_extended:
                raise LimitExceeded("sparse map is too large")
            extended = block[504:505] != b"\0"
        return real_size, tuple(extents)

    def _pax_sparse(self, records: list[tuple[str, bytes]]) -> Extents:
        """Read the PAX sparse forms: 0.0 (repeated records), 0.1 (one list), 1.0 (a list before the data)."""
        values = dict(records)
        if "GNU.sparse.map" in values:
            numbers = [_pax_int(text) for text in values["GNU.sparse.map"].split(b",") if text]
        elif values.get("GNU.sparse.major") == b"1":
            numbers = self._sparse_list()
        else:
            wanted = {"GNU.sparse.offset", "GNU.sparse.numbytes"}
            numbers = [_pax_int(value) for key, value in records if key in wanted]
        if len(numbers) % 2:
            raise TarError("invalid sparse map")
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))

    def _sparse_list(self) -> list[int]:
        data = b""
        wanted = -1
        while wanted < 0 or data.count(b"\n") < wanted:
            if self._left < BLOCK or len(data) > self._max_extended:
                raise TarError("invalid sparse map")
            data += self._take(BLOCK)
            self._left -= BLOCK
            if wanted < 0 and b"\n" in data:
                wanted = 2 * _pax_int(data.split(b"\n", 1)[0]) + 1
        return [_pax_int(line) for line in data.split(b"\n")[1:wanted]]


def _apply_pax(header: RawHeader, merged: dict[str, bytes], mtime_ns: int) -> int:
    """Let the PAX records override the block; gives the modification time in nanoseconds."""
    setters: dict[str, Callable[[bytes], None]] = {
        "path": lambda value: setattr(header, "name", value),
        "linkpath": lambda value: setattr(header, "linkname", value),
        "size": lambda value: setattr(header, "size", _pax_int(value)),
        "uid": lambda value: setattr(header, "uid", _pax_int(value)),
        "gid": lambda value: setattr(header, "gid", _pax_int(value)),
    }
    for key, setter in setters.items():
        if merged.get(key):
            setter(merged[key])
    return _pax_time(merged["mtime"]) if merged.get("mtime") else mtime_ns


def _pax_int(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise TarError(f"invalid PAX record: {text[:40]!r} is no number")
    return int(text)


def _pax_time(text: bytes) -> int:
    """Read seconds with a fraction (``-1.5`` is one and a half seconds before 1970) into nanoseconds."""
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > 18 or (fraction and not fraction.isdigit()):
        raise TarError(f"invalid PAX record: {text[:40]!r} is no time")
    value = int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -value if text.startswith(b"-") else value


def _sparse_number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise TarError("invalid sparse map") from None


def _sparse_pairs(block: bytes, count: int) -> list[tuple[int, int]]:
    pairs = []
    for start in range(0, 24 * count, 24):
        if block[start] == 0:
            break
        pairs.append((_sparse_number(block[start : start + 12]), _sparse_number(block[start + 12 : start + 24])))
    return pairs


def _check_extents(extents: Extents, real_size: int, stored: int) -> None:
    end = 0
    for offset, length in extents:
        if offset < end or offset + length > real_size:
            raise TarError("invalid sparse map")
        end = offset + length
    if sum(length for _, length in extents) != stored:
        raise TarError("invalid sparse map: the data does not fit it")
