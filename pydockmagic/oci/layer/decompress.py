"""Reading compressed layers as a stream: gzip, bzip2, xz and zstd, told apart by their first bytes.

gzip is read by ``isal`` where it is installed (twice as fast), else by zlib. zstd by the standard library's
``compression.zstd`` or the ``zstandard`` package, else by the ``zstd`` program. Nothing is held in memory whole.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import importlib
import io
import lzma
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable
from typing import Any, Protocol, Self, runtime_checkable

from pydockmagic.oci.errors import CompressionError

from .reader import ByteStream

__all__ = ["DecompressedStream", "compression_of", "open_stream"]

_CHUNK = 1 << 18
_STEP = 1 << 20
"""What a decoder may give in one step: a hostile stream grows a thousandfold and more."""
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_LONGEST_MAGIC = 18


def compression_of(start: bytes) -> str | None:
    """Name the compression of a stream by its first bytes; None for a stream that is not compressed."""
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    # A zstd stream may begin with a skippable frame (0x184D2A50 to 0x184D2A5F, little-endian).
    if len(start) >= 4 and start[0] & 0xF0 == 0x50 and start[1:4] == b"\x2a\x4d\x18":
        return "zstd"
    return None


class _Decoder(Protocol):
    """What the decompressors of zlib, isal, bz2, lzma and zstd have in common; the length is what they give at most."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


@runtime_checkable
class _NeedsInput(_Decoder, Protocol):
    """Those of bz2, lzma and zstd keep what they were given and could not yet turn into output."""

    @property
    def needs_input(self) -> bool: ...


class _KeepsTail(_Decoder, Protocol):
    """Those of zlib and isal hand it back."""

    @property
    def unconsumed_tail(self) -> bytes: ...


class DecompressedStream:
    """A stream of plain bytes; ``compression`` says what it was. Close it, or use it as a context manager."""

    def __init__(self, stream: ByteStream) -> None:
        start = b""
        while len(start) < _LONGEST_MAGIC and (data := stream.read(_LONGEST_MAGIC - len(start))):
            start += data
        self.compression = compression_of(start)
        self._source = _Rejoined(start, stream)
        self._child: _ZstdProgram | None = None
        self._plain: ByteStream = self._source
        if self.compression == "zstd" and _module("compression.zstd") is None:
            if (package := _module("zstandard")) is not None:
                self._plain = _ZstdPackage(package, self._source)
            else:
                self._plain = self._child = _ZstdProgram(self._source)
        elif self.compression is not None:
            self._plain = _Codec(self.compression, self._source)

    def read(self, size: int = -1, /) -> bytes:
        """Give plain bytes, at most ``size``; b"" at the end. Raises `CompressionError` for a damaged stream."""
        if size < 0:
            return b"".join(iter(functools.partial(self.read, _CHUNK), b""))
        return self._plain.read(size)

    def close(self) -> None:
        """Stop the helper program, if one runs. The source stays the caller's."""
        if self._child is not None:
            self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_stream(stream: ByteStream) -> DecompressedStream:
    """Decompress whatever comes, by its first bytes; plain streams pass unchanged."""
    return DecompressedStream(stream)


class _Rejoined:
    """A stream whose first bytes were looked at already."""

    def __init__(self, start: bytes, stream: ByteStream) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        return self._stream.read(size)


class _Codec:
    """Runs a decoder over a stream, one member after the other (gzip files may be joined)."""

    def __init__(self, name: str, source: _Rejoined) -> None:
        self._name = name
        self._source = source
        self._decoder = _decoder(name)
        self._plain = io.BytesIO()
        self._ended = False

    def read(self, size: int, /) -> bytes:
        while True:
            data = self._plain.read(size)
            if data or self._ended:
                return data
            self._plain = io.BytesIO(self._step())

    def _step(self) -> bytes:
        if self._decoder.eof:
            return self._next_member()
        if isinstance(self._decoder, _NeedsInput):
            data = self._source.read(_CHUNK) if self._decoder.needs_input else b""
            if not data and self._decoder.needs_input:
                raise CompressionError(f"damaged {self._name} stream: unexpected EOF")
            return self._decompress(data)
        data = self._decoder.unconsumed_tail or self._source.read(_CHUNK)
        plain = self._decompress(data)
        if not data and not plain and not self._decoder.eof:
            raise CompressionError(f"damaged {self._name} stream: unexpected EOF")
        return plain

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._decoder.decompress(data, _STEP)
        except Exception as exc:
            # Each library raises classes of its own, and some of them may not be there to be named.
            raise CompressionError(f"damaged {self._name} stream: {exc}") from exc

    def _next_member(self) -> bytes:
        """Start over with what follows a finished member; zeros after it are padding, as gzip and xz allow."""
        data = self._decoder.unused_data
        while len(data) < _LONGEST_MAGIC and (more := self._source.read(_CHUNK)):
            data = data.lstrip(b"\0") + more
        data = data.lstrip(b"\0")
        if not data:
            self._ended = True
            return b""
        if compression_of(data) != self._name:
            raise CompressionError(f"damaged {self._name} stream: garbage after its end")
        self._decoder = _decoder(self._name)
        return self._decompress(data)


def _decoder(name: str) -> _NeedsInput | _KeepsTail:
    if name == "gzip":
        decompressobj: Callable[..., _KeepsTail] = (_module("isal.isal_zlib") or zlib).decompressobj
        return decompressobj(wbits=31)
    if name == "bzip2":
        return bz2.BZ2Decompressor()
    if name == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ)
    decoder: _NeedsInput = _module("compression.zstd").ZstdDecompressor()
    return decoder


@functools.cache
def _module(name: str) -> Any:
    """Import a module that may not be there; None then."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class _ZstdPackage:
    """The ``zstandard`` package's reader, with our error."""

    def __init__(self, package: Any, source: _Rejoined) -> None:
        self._error: type[Exception] = package.ZstdError
        self._reader = package.ZstdDecompressor().stream_reader(source, read_across_frames=True)

    def read(self, size: int, /) -> bytes:
        try:
            data: bytes = self._reader.read(size)
        except self._error as exc:
            raise CompressionError(f"damaged zstd stream: {exc}") from None
        return data


class _ZstdProgram:
    """The ``zstd`` program as a decoder: a thread feeds it, we read what it writes."""

    def __init__(self, source: _Rejoined) -> None:
        program = shutil.which("zstd")
        if program is None:
            raise CompressionError(
                "this layer is compressed with zstd, and nothing here can read that: "
                "install the Python package zstandard or the program zstd"
            )
        # S603: a fixed program with fixed arguments; the data comes by its standard input.
        self._process = subprocess.Popen(
            [program, "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._failure: BaseException | None = None
        self._source = source
        self._feeder = threading.Thread(target=self._feed, name="zstd feeder", daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            while data := self._source.read(_CHUNK):
                stdin.write(data)
        except BrokenPipeError:
            pass  # the program has given up; its exit code says why
        except BaseException as exc:  # noqa: BLE001 - raised again in the reading thread
            self._failure = exc
        finally:
            with contextlib.suppress(BrokenPipeError):
                stdin.close()

    def read(self, size: int, /) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if not data:
            self._feeder.join()
            if self._failure is not None:
                raise self._failure
            if self._process.wait() != 0:
                assert self._process.stderr is not None
                reason = self._process.stderr.read().decode(errors="replace").strip().rpartition(": ")[2]
                raise CompressionError(f"damaged zstd stream: {reason or 'zstd failed'}")
        return data

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._feeder.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
