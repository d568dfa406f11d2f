"""Writes a container's log as Docker's json-file driver does: one JSON object a line, long lines in parts, rotation.

Format and splitting follow moby ``daemon/logger`` (``copier.go``, ``jsonfilelog``, ``loggerutils/logfile.go``). What
one read brought is turned into entries as a whole, without a step per line: a program that prints a million lines
waits for its log.
Standard library only; runs in the supervisor.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import time
import zlib
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

__all__ = ["GZIP_HEAD", "LINE_LIMIT", "LogWriter", "encode", "timestamp"]

LINE_LIMIT = 16 * 1024
"""Longer lines are written in parts of this many bytes, without a newline but for the last."""

_COMPRESS_STEP = 256 * 1024
"""How much of a rotated file is compressed each time output comes: the rest of the work does not wait for it."""

GZIP_HEAD = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
"""How a compressed log begins; its name follows."""

_NEWLINE = b"\n"
_ESCAPES = {
    b"\\": b"\\\\",  # first, for the others bring backslashes
    b'"': b'\\"',
    b"\r": b"\\r",
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    **{bytes([code]): f"\\u{code:04x}".encode() for code in range(32) if code not in b"\r\n"},
}
_PLAIN = bytes(code for code in range(128) if bytes([code]) not in _ESCAPES)
_NOT_ASCII = bytes(range(128, 256))
_FOREIGN = re.compile("[\u2028\u2029\udc80-\udcff]")
_FOREIGN_ESCAPES = str.maketrans(
    {
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
        **{chr(code): "\\ufffd" for code in range(0xDC80, 0xDD00)},  # a byte that is not UTF-8
    }
)


def encode(text: bytes) -> bytes:
    """Encode log lines as dockerd does: UTF-8 is kept; bad bytes, controls and html characters are escaped.

    Newlines stay: they end entries.
    """
    odd = text.translate(None, _PLAIN)
    if not odd:
        return text
    for character, escape in _ESCAPES.items():
        if character in odd:
            text = text.replace(character, escape)
    if odd.translate(None, _NOT_ASCII) != odd:
        decoded = text.decode("utf-8", "surrogateescape")
        if _FOREIGN.search(decoded):
            return decoded.translate(_FOREIGN_ESCAPES).encode()
    return text


def timestamp(nanoseconds: int) -> str:
    """Give RFC 3339 in UTC with as many digits as needed (Go's RFC3339Nano)."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + digits + "Z"


class _Pending:
    """What a stream wrote after its last newline."""

    def __init__(self, stream: str, attributes: str) -> None:
        self.data = b""
        self.partial_since = ""  # the timestamp of a long line's first part; its other parts carry the same
        self._tail = f'","stream":"{stream}"{attributes},"time":"'

    def entry(self, line: bytes, when: str, newline: str) -> bytes:
        """Make the entry of one line, or of a part of it."""
        return b'{"log":"' + encode(line) + f'{newline}{self._tail}{when}"}}\n'.encode()

    def entries(self, lines: bytes, when: str) -> bytes:
        """Make the entries of whole lines at once; ``lines`` ends with a newline."""
        between = f'\\n{self._tail}{when}"}}\n{{"log":"'.encode()
        return b'{"log":"' + encode(lines[:-1]).replace(_NEWLINE, between) + f'\\n{self._tail}{when}"}}\n'.encode()


class LogWriter:
    """Takes output chunks and writes whole lines. A full disk loses lines, never the container."""

    def __init__(self, target: Mapping[str, Any]) -> None:
        self._path = str(target["path"]) if target["driver"] != "none" else ""
        self._limit = int(target["max_size"])
        self._files = max(1, int(target["max_file"]))
        self._compress = bool(target.get("compress"))
        self._compressor: _Compressor | None = None
        attributes = _encode_attributes({str(key): str(value) for key, value in target["labels"]})
        self._pending = {stream: _Pending(stream, attributes) for stream in ("stdout", "stderr")}
        self._descriptor = -1
        self._size = 0
        if self._path:
            self._open()

    def write(self, stream: str, chunk: bytes) -> None:
        """Take what was read from ``stdout`` or ``stderr`` just now."""
        if self._descriptor < 0:
            return
        pending = self._pending[stream]
        now = timestamp(time.time_ns())
        data = pending.data + chunk
        end = data.rfind(_NEWLINE) + 1
        if pending.partial_since or _has_long_line(data):
            self._write_long(pending, data, now)
        elif end:
            pending.data = data[end:]
            self._append(pending.entries(data[:end], now))
        else:
            pending.data = data
        if self._compressor is not None and self._compressor.step():
            self._compressor = None

    def _write_long(self, pending: _Pending, data: bytes, now: str) -> None:
        """Write line by line, for one of them is too long for one entry."""
        entries: list[bytes] = []
        start = 0
        while True:
            end = data.find(_NEWLINE, start)
            if end < 0 and len(data) - start < LINE_LIMIT:
                break
            if end < 0 or end - start >= LINE_LIMIT:
                pending.partial_since = pending.partial_since or now
                entries.append(pending.entry(data[start : start + LINE_LIMIT], pending.partial_since, ""))
                start += LINE_LIMIT
                continue
            entries.append(pending.entry(data[start:end], pending.partial_since or now, "\\n"))
            pending.partial_since = ""
            start = end + 1
        pending.data = data[start:]
        self._append(b"".join(entries))

    def close(self) -> None:
        """Write what has no newline yet, as the stream ended there, and close the file."""
        now = timestamp(time.time_ns())
        for pending in self._pending.values():
            if pending.data and self._descriptor >= 0:
                self._append(pending.entry(pending.data, pending.partial_since or now, ""))
                pending.data = b""
        self._finish_compressing()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, entries: bytes) -> None:
        """Write entries, and begin a new file before the first one that finds the present one full."""
        while self._limit and self._size + len(entries) > self._limit:
            if self._size >= self._limit:
                self._rotate()
                continue
            # the entry that fills the file still goes into it
            end = entries.find(_NEWLINE, max(self._limit - self._size - 1, 0)) + 1
            if not end or end == len(entries):
                break
            self._put(entries[:end])
            if self._descriptor < 0:
                return
            entries = entries[end:]
        self._put(entries)

    def _put(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while data:
                written = os.write(self._descriptor, data)
                self._size += written
                data = data[written:]

    def _open(self, extra: int = 0) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | extra
        self._descriptor = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        if self._files == 1:
            self._open(os.O_TRUNC)
            return
        self._finish_compressing()
        for ending in ("", ".gz"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{self._files - 1}{ending}")
            for number in range(self._files - 1, 1, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{self._path}.{number - 1}{ending}", f"{self._path}.{number}{ending}")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._path, f"{self._path}.1")
        if self._compress:
            with contextlib.suppress(OSError):
                self._compressor = _Compressor(f"{self._path}.1")
        self._open()

    def _finish_compressing(self) -> None:
        while self._compressor is not None:
            if self._compressor.step():
                self._compressor = None


class _Compressor:
    """Turns a rotated file into ``FILE.gz``, a step at a time: no thread, for others are cloned from this process.

    The name in its header (RFC 1952) is the inode of the file that was, by which a reader that follows knows it again.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._source = open(path, "rb")  # noqa: SIM115 - held from step to step
        try:
            self._target = open(f"{path}.gz.new", "wb")  # noqa: SIM115
        except OSError:
            self._source.close()
            raise
        inode = os.fstat(self._source.fileno()).st_ino
        self._head = GZIP_HEAD + f"{inode}\0".encode()
        self._deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._check = self._size = 0

    def step(self) -> bool:
        """Do a piece of the work; tell whether it is over. A file that cannot be compressed stays as it is."""
        try:
            if self._head:
                self._target.write(self._head)
                self._head = b""
            if data := self._source.read(_COMPRESS_STEP):
                self._check, self._size = zlib.crc32(data, self._check), self._size + len(data)
                self._target.write(self._deflate.compress(data))
                return False
            self._target.write(self._deflate.flush() + struct.pack("<II", self._check, self._size & 0xFFFFFFFF))
            self._close()
            os.chmod(f"{self._path}.gz.new", 0o640)
            os.rename(f"{self._path}.gz.new", f"{self._path}.gz")
            os.unlink(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                self._close()
            with contextlib.suppress(OSError):
                os.unlink(f"{self._path}.gz.new")
        return True

    def _close(self) -> None:
        self._source.close()
        self._target.close()


def _has_long_line(data: bytes) -> bool:
    """Tell whether a line, or the beginning of one, is as long as ``LINE_LIMIT``."""
    start = 0
    while len(data) - start >= LINE_LIMIT:
        end = data.rfind(_NEWLINE, start, start + LINE_LIMIT)
        if end < 0:
            return True
        start = end + 1
    return False


def _encode_attributes(attributes: Mapping[str, str]) -> str:
    if not attributes:
        return ""
    pairs = (f"{encode_basestring(key)}:{encode_basestring(attributes[key])}" for key in sorted(attributes))
    return f',"attrs":{{{",".join(pairs)}}}'
