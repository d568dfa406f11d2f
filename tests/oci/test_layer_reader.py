"""Reading other programs' archives, and refusing damaged ones."""

from __future__ import annotations

import contextlib
import io
import os
import random
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import directory, file, tar_of

from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.errors import LimitExceeded, OciError, TarError
from pydockmagic.oci.layer import ExtractLimits, Kind, LayerEntry, TarReader, extract, index_tar
from pydockmagic.oci.layer.header import END, encode_entry

FORMATS = ["gnu", "oldgnu", "pax", "posix", "ustar", "v7"]


def members(stream, **options):
    reader = TarReader(stream, **options)
    return [(member.entry, b"".join(reader.chunks())) for member in reader]


class Dribble:
    """A stream that gives a few bytes at a time, as a socket may."""

    def __init__(self, data, seed=0):
        self._data = io.BytesIO(data)
        self._random = random.Random(seed)

    def read(self, size):
        return self._data.read(self._random.randint(1, min(size, 700)))


@pytest.mark.parametrize("form", FORMATS)
def test_gnu_tar_is_read_in_every_format(tmp_path, form):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_bytes(b"content" * 1000)
    (tmp_path / "in/empty").touch()
    (tmp_path / "in/link").symlink_to("file")
    os.link(tmp_path / "in/file", tmp_path / "in/hard")
    if form not in {"ustar", "v7"}:
        (tmp_path / "in" / ("n" * 200)).symlink_to("t" * 300)
    done = subprocess.run(
        ["tar", "--sort=name", f"--format={form}", "-C", tmp_path, "-cf", "-", "in"], capture_output=True, check=True
    )
    found = {entry.path: (entry, content) for entry, content in members(io.BytesIO(done.stdout))}
    assert found["in/"][0].kind is Kind.DIRECTORY
    assert found["in/file"][1] == b"content" * 1000
    assert found["in/empty"][0].size == 0
    assert found["in/link"][0].linkname == "file"
    assert (found["in/hard"][0].kind, found["in/hard"][0].linkname) == (Kind.HARDLINK, "in/file")
    if form not in {"ustar", "v7"}:
        assert found["in/" + "n" * 200][0].linkname == "t" * 300


@pytest.mark.parametrize(
    "options",
    [
        ["--format=oldgnu"],
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=lambda options: "".join(options)[9:],
)
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_sparse_files_keep_content_and_holes(tmp_path, options, pieces):
    source = tmp_path / "sparse"
    with source.open("wb") as out:
        for number in range(pieces):
            out.seek(number * 300_000 + 4096)
            out.write(b"%d" % number * 3000)
        out.truncate(pieces * 300_000 + 100_000)
    (tmp_path / "after").write_text("after")
    done = subprocess.run(
        ["tar", "-S", *options, "-C", tmp_path, "-cf", "-", "sparse", "after"], capture_output=True, check=True
    )
    assert len(done.stdout) < source.stat().st_size
    target = tmp_path / "out"
    target.mkdir()
    layer = extract(io.BytesIO(done.stdout), target)
    assert (target / "sparse").read_bytes() == source.read_bytes()
    assert (target / "after").read_text() == "after"
    assert (target / "sparse").stat().st_blocks * 512 < source.stat().st_size
    assert layer.index.get("sparse").size == source.stat().st_size


def test_a_sparse_file_that_ends_in_a_hole_or_is_one(tmp_path):
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 1 << 20)
    for form in ("gnu", "posix"):
        done = subprocess.run(
            ["tar", "-S", f"--format={form}", "-C", tmp_path, "-cf", "-", "hole"], capture_output=True, check=True
        )
        target = tmp_path / form
        target.mkdir()
        extract(io.BytesIO(done.stdout), target)
        assert (target / "hole").read_bytes() == bytes(1 << 20)


@given(st.integers(0, 1000))
def test_short_reads_change_nothing(seed):
    tar = tar_of(directory("d"), file("d/a", b"x" * 5000), file("d/" + "n" * 150, b"y")).getvalue()
    assert members(Dribble(tar, seed)) == members(io.BytesIO(tar))


def test_the_digest_is_that_of_every_byte():
    tar = tar_of(file("a", b"x")).getvalue() + b"\0" * 9000
    reader = TarReader(io.BytesIO(tar))
    assert len(list(reader)) == 1
    assert reader.finish() == sha256_digest(tar)


def test_data_that_is_not_read_is_skipped():
    reader = TarReader(tar_of(file("a", b"x" * 3000), file("b", b"y")))
    assert [member.entry.path for member in reader] == ["a", "b"]


def test_an_archive_may_end_without_its_end_marker():
    assert len(members(tar_of(file("a", b"x" * 512), end=False))) == 1
    assert members(io.BytesIO(b"")) == []
    assert members(io.BytesIO(bytes(512))) == []


def test_missing_padding_at_the_very_end_is_forgiven():
    tar = tar_of(file("a", b"x" * 10), end=False).getvalue()
    assert members(io.BytesIO(tar[:522]))[0][1] == b"x" * 10


@pytest.mark.parametrize("cut", [1, 100, 511, 513, 1000, 1023])
def test_a_cut_archive_is_an_error(cut):
    tar = tar_of(file("a", b"x" * 512), end=False).getvalue()
    with pytest.raises(TarError, match="cut short"):
        members(io.BytesIO(tar[:cut]))


def test_a_lone_zero_block_is_an_error():
    tar = tar_of(file("a"), end=False).getvalue()
    with pytest.raises(TarError, match="lone zero block"):
        members(io.BytesIO(tar + bytes(512) + tar))


def test_what_follows_the_end_is_not_read():
    assert len(members(io.BytesIO(tar_of(file("a")).getvalue() + b"junk" * 1000))) == 1


@pytest.mark.parametrize("extended", [b"x", b"L", b"K"])
def test_an_extended_header_without_its_entry_is_an_error(extended):
    header = bytearray(encode_entry(LayerEntry("long", Kind.FILE, 10)))
    header[156:157] = extended
    checksum = sum(header[:148]) + 256 + sum(header[156:])
    header[148:156] = b"%06o\0 " % checksum
    body = b"10 path=a\n".ljust(512, b"\0")
    with pytest.raises(TarError, match="without its entry"):
        members(io.BytesIO(bytes(header) + body + END))


def test_unknown_types_are_refused_by_name():
    header = bytearray(encode_entry(LayerEntry("odd", Kind.FILE)))
    header[156:157] = b"M"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    with pytest.raises(TarError, match="'odd': unhandled tar header type"):
        members(io.BytesIO(bytes(header) + END))


def test_global_records_hold_until_they_are_overridden():
    out = io.BytesIO()
    headers = {"comment": "from git", "mtime": "5.5"}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as archive:
        archive.addfile(tarfile.TarInfo("a"))
        info = tarfile.TarInfo("b")
        info.pax_headers = {"mtime": "7.25"}
        archive.addfile(info)
    out.seek(0)
    assert [(m.entry.path, m.mtime_ns) for m in TarReader(out)] == [("a", 5_500_000_000), ("b", 7_250_000_000)]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1.5", 1_500_000_000),
        ("-1.5", -1_500_000_000),
        ("3", 3 * 10**9),
        ("1.0000000019", 10**9 + 1),
        ("-0.5", -5 * 10**8),
    ],
)
def test_pax_times_have_fractions_and_signs(text, nanoseconds):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"mtime": text}
        archive.addfile(info)
    out.seek(0)
    member = next(iter(TarReader(out)))
    assert member.mtime_ns == nanoseconds
    assert member.entry.mtime == nanoseconds // 10**9


def test_huge_extended_headers_are_refused_before_they_are_read():
    header = bytearray(encode_entry(LayerEntry("x", Kind.FILE, 1 << 32)))
    header[156:157] = b"x"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    with pytest.raises(LimitExceeded):
        members(io.BytesIO(bytes(header)))


def test_a_stream_beyond_its_bound_is_refused():
    with pytest.raises(LimitExceeded, match="too large"):
        members(tar_of(file("a", b"x" * 10_000)), max_bytes=5000)


def test_an_index_needs_no_unpacking():
    tar = tar_of(directory("d", opaque=True), file("d/a", b"xyz"), LayerEntry("gone", Kind.WHITEOUT))
    layer = index_tar(tar)
    assert [(e.path, e.kind, e.opaque) for e in layer.index] == [
        ("d", Kind.DIRECTORY, True),
        ("d/a", Kind.FILE, False),
        ("gone", Kind.WHITEOUT, False),
    ]
    assert layer.content_size == 3
    with pytest.raises(LimitExceeded, match="too many entries"):
        index_tar(tar_of(file("a"), file("b")), limits=ExtractLimits(entries=1))


SEED = tar_of(
    directory("d"), file("d/" + "n" * 150, b"x" * 700), file("ü", b"", xattrs=(("user.a", b"1"),)), file("b", b"y")
).getvalue()


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(SEED)))
def test_damage_is_an_error_or_nothing_but_never_a_surprise(changes, cut):
    damaged = bytearray(SEED)
    for position, value in changes:
        damaged[position] = value
    for start in range(0, len(damaged), 512):  # let the damage pass the checksum
        block = damaged[start : start + 512]
        if block[257:262] == b"ustar":
            damaged[start + 148 : start + 156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
    with contextlib.suppress(OciError):
        members(io.BytesIO(bytes(damaged[:cut])), max_bytes=1 << 20)


@given(st.binary(max_size=3000))
def test_noise_is_an_error_or_nothing(noise):
    with contextlib.suppress(OciError):
        members(io.BytesIO(noise))
