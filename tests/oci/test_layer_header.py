"""Tar headers: what fits where, and that others read what we write."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import CONTENTS, MODES, NAMES, OWNERS, TARGETS, TIMES, XATTRS, tar_of

from pydockmagic.oci.errors import TarError
from pydockmagic.oci.layer import Kind, LayerEntry, TarReader
from pydockmagic.oci.layer.header import encode_entry, parse_block, parse_pax

PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)


def read_one(entry, content=b""):
    reader = TarReader(tar_of((entry, content)))
    member = next(iter(reader))
    return member.entry, reader.read(1 << 20)


@given(PATHS, CONTENTS, MODES, OWNERS, OWNERS, TIMES, XATTRS)
def test_a_file_reads_as_it_was_written(path, content, mode, uid, gid, mtime, xattrs):
    entry = LayerEntry(path, Kind.FILE, len(content), mode, uid, gid, mtime, xattrs=xattrs)
    assert read_one(entry, content) == (entry, content)


@given(PATHS, TARGETS, st.sampled_from([Kind.SYMLINK, Kind.HARDLINK]))
def test_a_link_reads_as_it_was_written(path, target, kind):
    entry = LayerEntry(path, kind, mode=0o777, linkname=target)
    assert read_one(entry)[0] == entry


@given(PATHS, CONTENTS, MODES, OWNERS, TIMES)
def test_the_standard_library_reads_the_same(path, content, mode, uid, mtime):
    entry = LayerEntry(path, Kind.FILE, len(content), mode, uid, 7, mtime)
    with tarfile.open(fileobj=tar_of((entry, content)), errors="surrogateescape") as archive:
        (info,) = archive.getmembers()
        assert (info.name, info.mode, info.uid, info.gid, info.mtime) == (path, mode, uid, 7, mtime)
        assert archive.extractfile(info).read() == content
        assert (info.uname, info.gname) == ("", "")


@given(PATHS, CONTENTS, MODES, OWNERS, TIMES)
def test_what_the_standard_library_writes_reads_the_same(path, content, mode, uid, mtime):
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.uid, info.mtime = len(content), mode, uid, mtime
            archive.addfile(info, io.BytesIO(content))
        out.seek(0)
        reader = TarReader(out)
        entry = next(iter(reader)).entry
        assert entry == LayerEntry(path, Kind.FILE, len(content), mode, uid, 0, mtime)
        assert reader.read(1 << 20) == content


def test_plain_entries_take_one_block():
    assert len(encode_entry(LayerEntry("etc/passwd", Kind.FILE, 5))) == 512


def test_long_ascii_names_use_the_prefix_and_no_pax():
    path = "a" * 90 + "/" + "b" * 90
    header = encode_entry(LayerEntry(path, Kind.FILE))
    assert len(header) == 512
    assert parse_block(header).name == path.encode()


@pytest.mark.parametrize("length", range(98, 104))
@pytest.mark.parametrize("cut", [1, 50, 97])
def test_names_around_the_limit_survive(length, cut):
    path = "p" * cut + "/" + "q" * (length - cut - 1)
    assert read_one(LayerEntry(path, Kind.FILE))[0].path == path
    assert read_one(LayerEntry(path, Kind.DIRECTORY))[0].path == path + "/"


@pytest.mark.parametrize("length", [155, 156, 157, 255, 256, 257])
def test_prefixes_around_the_limit_survive(length):
    for last in (99, 100, 101):
        path = "p" * length + "/" + "q" * last
        assert read_one(LayerEntry(path, Kind.FILE))[0].path == path


def test_a_name_without_a_slash_to_split_at_goes_into_pax():
    header = encode_entry(LayerEntry("n" * 101, Kind.FILE))
    assert len(header) == 3 * 512
    assert parse_pax(header[512:1024].rstrip(b"\0")) == [("path", b"n" * 101)]


@pytest.mark.parametrize("size", [8 << 30, (8 << 30) - 1, 1 << 40])
def test_sizes_beyond_eleven_digits_go_into_pax(size):
    member = next(iter(TarReader(io.BytesIO(encode_entry(LayerEntry("big", Kind.FILE, size))))))
    assert member.entry.size == size


def test_pax_record_lengths_count_themselves():
    for size in (*range(80, 100), *range(985, 1000)):
        entry = LayerEntry("f", Kind.FILE, xattrs=(("user.x", b"v" * size),))
        assert read_one(entry)[0].xattrs == entry.xattrs


@pytest.mark.parametrize(
    "body", [b"5 a=b\n", b"x a=b\n", b"6 a=b", b"99 a=b\n", b"6 =ab\n", b"0 \n", b"7 ab=c", b"6 abcd\n", b"-6 a=b\n"]
)
def test_malformed_pax_records_are_refused(body):
    with pytest.raises(TarError):
        parse_pax(body)


def test_pax_values_may_hold_anything():
    assert parse_pax(b"12 a=b=\n\0c=\n") == [("a", b"b=\n\0c=")]


def test_a_wrong_checksum_is_refused():
    block = bytearray(encode_entry(LayerEntry("f", Kind.FILE)))
    block[0] ^= 1
    with pytest.raises(TarError, match="checksum"):
        parse_block(bytes(block))


def with_checksum(block, total):
    return block[:148] + b"%06o\0 " % total + block[156:]


def test_checksums_of_signed_characters_are_accepted():
    block = encode_entry(LayerEntry("\udcff\udcfe", Kind.FILE))
    unsigned = int(block[148:154], 8)
    header = parse_block(with_checksum(block, unsigned - 2 * 256))
    assert header.name == b"\xff\xfe"
    with pytest.raises(TarError):
        parse_block(with_checksum(block, unsigned - 256))


@pytest.mark.parametrize(("offset", "length"), [(100, 8), (108, 8), (124, 12), (136, 12)])
@pytest.mark.parametrize("junk", [b"9", b"x", b"-1", b"0o7", b"1_0", b"7 7"])
def test_numbers_that_are_none_are_refused(offset, length, junk):
    block = encode_entry(LayerEntry("f", Kind.FILE))
    block = block[:offset] + junk.ljust(length, b"\0") + block[offset + length :]
    with pytest.raises(TarError):
        parse_block(with_checksum(block, sum(block[:148]) + 8 * 32 + sum(block[156:])))


def test_base_256_numbers_are_read():
    block = encode_entry(LayerEntry("f", Kind.FILE))
    block = block[:124] + b"\x80" + (1 << 35).to_bytes(11, "big") + (-5).to_bytes(12, "big", signed=True) + block[148:]
    header = parse_block(with_checksum(block, sum(block[:148]) + 8 * 32 + sum(block[156:])))
    assert (header.size, header.mtime) == (1 << 35, -5)


def test_only_devices_carry_device_numbers():
    entry = LayerEntry("tty", Kind.CHARACTER_DEVICE, mode=0o620, device=(136, 1048575))
    assert read_one(entry)[0] == entry


def test_whiteouts_are_written_as_empty_files_with_a_prefix():
    assert read_one(LayerEntry("a/b", Kind.WHITEOUT))[0] == LayerEntry("a/.wh.b", Kind.FILE)
    assert read_one(LayerEntry("b", Kind.WHITEOUT))[0].path == ".wh.b"
