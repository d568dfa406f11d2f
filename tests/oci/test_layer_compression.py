"""Compressed streams, read and written."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.errors import CompressionError
from pydockmagic.oci.layer import GzipStream, compression_of, gzip_chunks, open_stream
from pydockmagic.oci.layer import compress as compress_module
from pydockmagic.oci.layer import decompress as decompress_module

PLAIN = b"".join(b"%d line of text\n" % number for number in range(40_000)) + os.urandom(5000)


def by_program(name, data):
    return subprocess.run([name, "-c"], input=data, capture_output=True, check=True).stdout


FORMS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: by_program("zstd", data),
    None: bytes,
}


if shutil.which("zstd") is None and not os.environ.get("CI"):
    del FORMS["zstd"]
needs_zstd = pytest.mark.skipif("zstd" not in FORMS, reason="needs the program zstd")


@pytest.fixture(params=["fast", "plain"])
def libraries(request, monkeypatch):
    """With the optional libraries, and without."""
    if request.param == "plain":
        monkeypatch.setattr(decompress_module, "_module", lambda _name: None)
        monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)


def plain_of(data):
    with open_stream(io.BytesIO(data)) as stream:
        return stream.read(), stream.compression


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_and_named(libraries, form):
    packed = FORMS[form](PLAIN)
    assert compression_of(packed) == form
    assert plain_of(packed) == (PLAIN, form)


@pytest.mark.parametrize("form", [form for form in FORMS if form])
def test_joined_streams_are_read_to_the_last(libraries, form):
    packed = FORMS[form](PLAIN)
    assert plain_of(packed + packed)[0] == PLAIN + PLAIN
    assert plain_of(packed + FORMS[form](b""))[0] == PLAIN
    assert plain_of(packed + FORMS[form](b"x") + FORMS[form](b"y"))[0] == PLAIN + b"xy"


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
def test_zeros_after_the_end_are_padding_and_anything_else_is_damage(libraries, form):
    packed = FORMS[form](PLAIN)
    assert plain_of(packed + bytes(2000))[0] == PLAIN
    with pytest.raises(CompressionError, match="garbage after its end"):
        plain_of(packed + b"junk" * 20)


@pytest.mark.parametrize("extra", [-1, 0, 1, 70_000])
@pytest.mark.parametrize("form", [form for form in FORMS if form])
def test_sizes_around_the_step_lose_nothing(libraries, form, extra):
    plain = bytes((2 << 20) + extra)
    assert plain_of(FORMS[form](plain))[0] == plain
    assert plain_of(FORMS[form](plain) + FORMS[form](b"end"))[0] == plain + b"end"


@pytest.mark.parametrize("form", [form for form in FORMS if form])
@pytest.mark.parametrize("cut", [0.2, 0.9, 0.9999])
def test_cut_streams_are_errors(libraries, form, cut):
    packed = FORMS[form](PLAIN)
    with pytest.raises(CompressionError, match=form):
        plain_of(packed[: int(len(packed) * cut)])


@pytest.mark.parametrize("form", [form for form in FORMS if form])
def test_damaged_streams_are_errors(libraries, form):
    packed = bytearray(FORMS[form](PLAIN))
    packed[len(packed) // 2] ^= 0xFF
    packed[len(packed) // 2 + 1] ^= 0xFF
    with pytest.raises(CompressionError, match=form):
        plain_of(bytes(packed))


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f", b"BZ", b"plain text"])
def test_what_is_not_compressed_passes(libraries, data):
    assert plain_of(data) == (data, None)


class Dribble:
    def __init__(self, data):
        self._data = io.BytesIO(data)

    def read(self, size):
        return self._data.read(min(size, 7))


@pytest.mark.parametrize("form", FORMS)
def test_sources_may_give_little_at_a_time(libraries, form):
    data = b"".join(b"%d" % number for number in range(3000))
    with open_stream(Dribble(FORMS[form](data))) as stream:
        assert b"".join(iter(lambda: stream.read(1000), b"")) == data


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
def test_a_bomb_is_never_held_in_memory(libraries, form):
    chunk = bytes(1 << 20)
    compressor = {"gzip": zlib.compressobj(9, wbits=31), "bzip2": bz2.BZ2Compressor(), "xz": lzma.LZMACompressor()}[
        form
    ]
    packed = b"".join(compressor.compress(chunk) for _ in range(30)) + compressor.flush()
    tracemalloc.start()
    try:
        with open_stream(io.BytesIO(packed)) as stream:
            total = sum(len(data) for data in iter(lambda: stream.read(1 << 16), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 30 << 20
    assert peak < 16 << 20


def test_without_any_way_to_read_zstd_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(decompress_module, "_module", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(CompressionError, match="install the Python package zstandard or the program zstd"):
        open_stream(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(30)))


@needs_zstd
def test_skippable_zstd_frames_are_known():
    assert compression_of(b"\x50\x2a\x4d\x18\x04\0\0\0") == "zstd"
    assert plain_of(b"\x5f\x2a\x4d\x18\x04\0\0\0abcd" + by_program("zstd", b"after"))[0] == b"after"


@needs_zstd
def test_a_zstd_stream_that_is_given_up_leaves_no_process():
    packed = by_program("zstd", PLAIN * 20)
    stream = open_stream(io.BytesIO(packed))
    assert stream.read(10) == PLAIN[:10]
    stream.close()


@needs_zstd
def test_errors_of_the_source_reach_the_reader(monkeypatch):
    monkeypatch.setattr(decompress_module, "_module", lambda _name: None)

    class Failing:
        def __init__(self):
            self._data = io.BytesIO(by_program("zstd", PLAIN)[:1000])

        def read(self, size):
            if data := self._data.read(size):
                return data
            raise ConnectionResetError("gone")

    with open_stream(Failing()) as stream, pytest.raises(ConnectionResetError):
        stream.read()


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_what_we_compress_gzip_reads(chunks):
    stream = GzipStream(chunks)
    packed = b"".join(stream)
    assert gzip.decompress(packed) == b"".join(chunks)
    blob = stream.result()
    assert (blob.digest, blob.size, blob.diff_id) == (sha256_digest(packed), len(packed), sha256_digest(chunks))


def test_compressing_twice_gives_the_same_bytes(libraries):
    assert b"".join(gzip_chunks([PLAIN])) == b"".join(gzip_chunks([PLAIN]))
    assert plain_of(b"".join(gzip_chunks([PLAIN, b"", PLAIN])))[0] == PLAIN + PLAIN
    packed = b"".join(gzip_chunks([PLAIN]))
    assert packed[4:8] == bytes(4)  # no time
    assert len(packed) < len(PLAIN) / 2
    assert compress_module.GzipStream([]) is not None


def test_gzip_programs_read_it():
    packed = b"".join(gzip_chunks([PLAIN]))
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True).stdout == PLAIN
