"""Tar headers: one 512-byte block of numbers and names, with PAX records before it where they do not fit.

POSIX.1-2001 pax interchange format, ustar blocks; the GNU forms are read as well. Written by hand because the standard
library's ``tarfile`` is ten times slower, and because a layer's digest depends on every byte: no user or group names,
no access times, PAX only where a value does not fit, so that the same tree gives the same bytes everywhere.
"""

from __future__ import annotations

import functools
import os
import struct
from zlib import adler32

import msgspec

from pydockmagic.oci.errors import TarError

from .entry import OPAQUE_NAME, WHITEOUT_PREFIX, Kind, LayerEntry

__all__ = ["BLOCK", "END", "RawHeader", "encode_entry", "encode_opaque_marker", "padding", "parse_block", "parse_pax"]

BLOCK = 512
END = b"\0" * (2 * BLOCK)

_BLOCK_FORMAT = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
_MAX_OCTAL_7 = 0o7777777
_MAX_OCTAL_11 = 0o77777777777

_FLAGS = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER_DEVICE: b"3",
    Kind.BLOCK_DEVICE: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
    Kind.WHITEOUT: b"0",
}
_FLAG_BY_CODE = tuple(_FLAGS[kind] for kind in Kind)


def padding(size: int) -> int:
    """Give the number of zero bytes that fill ``size`` up to a whole block."""
    return -size % BLOCK


def _sum(data: bytes) -> int:
    # adler32's low half is 1 + the sum of the bytes modulo 65521, which 256 bytes cannot reach.
    return (adler32(data) & 0xFFFF) - 1


def _checksum(block: bytes) -> int:
    """Sum the bytes of a block, its checksum field counted as blanks."""
    return _sum(block[:148]) + _sum(block[156:384]) + _sum(block[384:]) + 8 * 32


def encode_entry(entry: LayerEntry) -> bytes:
    """Write the header block of an entry, with a PAX header before it where one is needed.

    A whiteout is written as the empty file ``.wh.NAME``; the marker of an opaque directory is an entry of its own,
    see `encode_opaque_marker`.
    """
    name = os.fsencode(entry.path)
    if entry.kind is Kind.DIRECTORY:
        name += b"/"
    elif entry.kind is Kind.WHITEOUT:
        head, slash, base = name.rpartition(b"/")
        name = head + slash + WHITEOUT_PREFIX.encode() + base
    return _encode(name, entry)


def encode_opaque_marker(directory: LayerEntry) -> bytes:
    """Write the empty file ``.wh..wh..opq`` that says that a directory hides everything below it in lower layers."""
    path = f"{directory.path}/{OPAQUE_NAME}" if directory.path else OPAQUE_NAME
    return _encode(os.fsencode(path), LayerEntry(path=path, kind=Kind.FILE))


def _encode(name: bytes, entry: LayerEntry) -> bytes:
    records: dict[str, bytes] = {}
    prefix = b""
    if len(name) > 100 or not name.isascii():
        prefix, name = _place_name(name, records)
    linkname = b""
    if entry.linkname:
        linkname = os.fsencode(entry.linkname)
        if len(linkname) > 100 or not linkname.isascii():
            linkname = _place_link(linkname, records)
    size, mtime = entry.size, entry.mtime
    uid = _number("uid", entry.uid, _MAX_OCTAL_7, records)
    gid = _number("gid", entry.gid, _MAX_OCTAL_7, records)
    if size > _MAX_OCTAL_11:
        size = _number("size", size, _MAX_OCTAL_11, records)
    if not 0 <= mtime <= _MAX_OCTAL_11:
        mtime = _number("mtime", mtime, _MAX_OCTAL_11, records)
    for key, value in entry.xattrs:
        records["SCHILY.xattr." + key] = value
    head = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode, uid, gid, size, mtime)
    block = _block(head, *_tail(_FLAG_BY_CODE[entry.kind.code], linkname, prefix, entry.device))
    return _pax_header(name, records) + block if records else block


def _block(head: bytes, tail: bytes, tail_sum: int) -> bytes:
    return b"%b%06o\0 %b" % (head, _sum(head) + tail_sum + 8 * 32, tail)


@functools.lru_cache(maxsize=256)
def _tail(flag: bytes, linkname: bytes, prefix: bytes, device: tuple[int, int]) -> tuple[bytes, int]:
    """Give what follows the checksum, and its sum: the same for nearly all entries of a layer."""
    # Only devices carry device numbers; zeros elsewhere, as Go and GNU tar write them.
    names = b"ustar\x0000" + bytes(64) + b"%07o\0%07o\0" % device + prefix.ljust(167, b"\0")
    tail = flag + linkname.ljust(100, b"\0") + names
    return tail, _sum(tail[:200]) + _sum(tail[200:])


def _number(key: str, value: int, limit: int, records: dict[str, bytes]) -> int:
    if 0 <= value <= limit:
        return value
    records[key] = b"%d" % value
    return 0


def _place_name(name: bytes, records: dict[str, bytes]) -> tuple[bytes, bytes]:
    """Split a long name into ustar's prefix and name; what does not fit or is not ASCII goes into a PAX record."""
    if name.isascii() and len(name) <= 256:
        cut = name.find(b"/", max(0, len(name) - 101), min(156, len(name) - 1))
        if cut > 0:
            return name[:cut], name[cut + 1 :]
    return b"", _place_text("path", name, records)


def _place_link(linkname: bytes, records: dict[str, bytes]) -> bytes:
    return _place_text("linkpath", linkname, records)


def _place_text(key: str, text: bytes, records: dict[str, bytes]) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:
        # PAX values are UTF-8 by definition. Raw bytes fit in the block itself, else POSIX wants them announced.
        if len(text) <= 100:
            return text
        records["hdrcharset"] = b"BINARY"
    records[key] = text
    return text.decode("ascii", "ignore").encode()[:100]


def _pax_header(name: bytes, records: dict[str, bytes]) -> bytes:
    body = b"".join(_pax_record(key, records[key]) for key in sorted(records))
    base = name.rstrip(b"/").rpartition(b"/")[2]
    head = (b"PaxHeaders.0/" + base)[:100].ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        0o644, 0, 0, len(body), 0,
    )  # fmt: skip
    block = _block(head, *_tail(b"x", b"", b"", (0, 0)))
    return block + body + bytes(padding(len(body)))


def _pax_record(key: str, value: bytes) -> bytes:
    rest = b" " + os.fsencode(key) + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d" % length + rest


class RawHeader(msgspec.Struct, gc=False):
    """A header block as it stands in the archive; names are bytes, numbers decoded."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    flag: bytes
    linkname: bytes
    device: tuple[int, int]
    sparse: bytes = b""
    """The 126 bytes from offset 386 of an old GNU header, for a sparse file."""


def parse_block(block: bytes) -> RawHeader:
    """Read one header block; raises `TarError` where the checksum or a number is wrong."""
    name, mode, uid, gid, size, mtime, checksum, flag, linkname, magic, _, _, major, minor, prefix, tail = (
        _BLOCK_FORMAT.unpack(block)
    )
    given = _octal(checksum)
    if given != _checksum(block) and given != _signed_checksum(block):
        raise TarError("invalid tar header: checksum is wrong")
    name = name.split(b"\0", 1)[0]
    if magic[:6] == b"ustar\0":
        if tail[8:] == b"tar\0":  # star keeps times in the last 24 bytes of the prefix
            prefix = prefix[:131]
        prefix = prefix.split(b"\0", 1)[0]
        if prefix:
            name = prefix + b"/" + name
    is_device = flag in b"34"
    return RawHeader(
        name,
        _octal(mode) & 0o7777,
        _octal(uid),
        _octal(gid),
        _octal(size),
        _octal(mtime),
        flag,
        linkname.split(b"\0", 1)[0] if linkname[0] else b"",
        (_octal(major), _octal(minor)) if is_device else (0, 0),
        block[386:512] if flag == b"S" else b"",
    )


def _signed_checksum(block: bytes) -> int:
    # Some old tars summed signed characters.
    signed: tuple[int, ...] = struct.unpack("512b", block)
    return sum(signed) - sum(signed[148:156]) + 8 * 32


@functools.lru_cache(maxsize=4096)
def _octal(field: bytes) -> int:
    """Read a number: octal digits, or GNU's base 256 when the first bit is set."""
    if field[0] & 0x80:
        negative = field[0] == 0xFF
        value = int.from_bytes(field, "big", signed=negative)
        return value if negative else value & ~(0x80 << 8 * (len(field) - 1))
    digits = field.rstrip(b" \0")
    if not digits.isdigit():
        digits = digits.split(b"\0", 1)[0].strip(b" ")
        if not digits:
            return 0
    try:
        if digits.isdigit():
            return int(digits, 8)
    except ValueError:
        pass
    raise TarError(f"invalid tar header: {field!r} is no octal number")


def parse_pax(body: bytes) -> list[tuple[str, bytes]]:
    """Read the records of a PAX header in their order; raises `TarError` where one is malformed."""
    records: list[tuple[str, bytes]] = []
    position = 0
    while position < len(body):
        blank = body.find(b" ", position, position + 12)
        digits = body[position:blank] if blank > 0 else b""
        if not digits.isdigit():
            raise TarError("invalid PAX record: no length")
        end = position + int(digits)
        equals = body.find(b"=", blank, end)
        if equals <= blank + 1 or end > len(body) or body[end - 1 : end] != b"\n":
            raise TarError("invalid PAX record")
        records.append((os.fsdecode(body[blank + 1 : equals]), body[equals + 1 : end - 1]))
        position = end
    return records
