"""Copying from one root into another."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from support.trees import directory, entries, file, hardlink, names, scratch, snapshot, symlink, tar_of

from pydockmagic.oci.layer import CopyRules, Kind, LayerEntry, checksum, copy_into_root, extract, open_root

pytestmark = pytest.mark.root


@contextmanager
def opened(*folders):
    fds = [open_root(folder) for folder in folders]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


@pytest.fixture
def sides(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    return tmp_path / "source", tmp_path / "target"


def copy(sides, source, target, **rules):
    with opened(*sides) as (a, b):
        return copy_into_root(a, source, b, target, CopyRules(**rules))


@settings(max_examples=40, deadline=None)
@given(entries(whiteouts=False, devices=True))
def test_a_copied_tree_is_the_same_tree(made):
    with scratch() as source, scratch() as target:
        (source / "top").mkdir()
        extract(tar_of(*made.values()), source / "top", whiteouts="keep")
        with opened(source, target) as (a, b):
            done = copy_into_root(a, "top", b, "new/place")
            assert checksum(a, "top") == checksum(b, "new/place")
        assert snapshot(target / "new/place") == snapshot(source / "top")
        pairs = {(f"top/{path}", f"new/place/{path}") for path in snapshot(source / "top")}
        assert set(done) == pairs | {("", "new"), ("top", "new/place")}


def test_owner_mode_and_time_may_be_given(sides):
    extract(tar_of(directory("d", uid=1), file("d/f", b"x", uid=2, mode=0o600), symlink("d/l", "f", uid=3)), sides[0])
    copy(sides, "d", "a/b", owner=(7, 8), mode=0o750, mtime_ns=9 * 10**9)
    for path in ("a/b", "a/b/f", "a/b/l"):
        status = os.lstat(sides[1] / path)
        assert (status.st_uid, status.st_gid, status.st_mtime) == (7, 8, 9)
    assert stat.S_IMODE(os.lstat(sides[1] / "a/b/f").st_mode) == 0o750
    assert stat.S_IMODE(os.lstat(sides[1] / "a").st_mode) == 0o755
    assert os.lstat(sides[1] / "a").st_uid == 7


def test_owners_can_be_left_alone(sides):
    extract(tar_of(file("f", b"x", uid=5, mode=0o640)), sides[0])
    copy(sides, "f", "f", chown=False)
    status = (sides[1] / "f").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o640)


def test_an_existing_directory_is_merged_into_and_keeps_its_face_at_the_top(sides):
    extract(
        tar_of(directory("d", mode=0o700), file("d/new"), directory("d/sub", mode=0o711), file("d/sub/a")), sides[0]
    )
    extract(
        tar_of(directory("t", mode=0o751), file("t/old"), directory("t/sub", mode=0o755), file("t/sub/b")), sides[1]
    )
    done = copy(sides, "d", "t")
    assert names(sides[1] / "t") == ["new", "old", "sub"]
    assert names(sides[1] / "t/sub") == ["a", "b"]
    assert stat.S_IMODE((sides[1] / "t").stat().st_mode) == 0o751
    assert stat.S_IMODE((sides[1] / "t/sub").stat().st_mode) == 0o711
    assert ("d", "t") not in done


def test_a_whole_root_may_be_copied_into_a_root(sides):
    extract(tar_of(directory("d"), file("d/f", b"x")), sides[0])
    copy(sides, "", "/")
    assert (sides[1] / "d/f").read_bytes() == b"x"


def test_files_and_links_in_the_way_are_replaced_not_written_through(sides):
    extract(tar_of(file("f", b"new"), symlink("l", "somewhere")), sides[0])
    extract(tar_of(file("kept", b"kept"), symlink("f", "kept"), file("l", b"old")), sides[1])
    copy(sides, "f", "f")
    copy(sides, "l", "l")
    assert (sides[1] / "kept").read_bytes() == b"kept"
    assert not (sides[1] / "f").is_symlink()
    assert str((sides[1] / "l").readlink()) == "somewhere"


def test_directories_and_files_do_not_replace_each_other(sides):
    extract(tar_of(directory("d"), file("d/f"), file("f")), sides[0])
    extract(tar_of(directory("dir"), file("file")), sides[1])
    with pytest.raises(IsADirectoryError):
        copy(sides, "f", "dir")
    with pytest.raises(NotADirectoryError):
        copy(sides, "d", "file")
    with pytest.raises(IsADirectoryError):
        copy(sides, "f", "/")
    with pytest.raises(FileNotFoundError):
        copy(sides, "missing", "x")
    assert names(sides[1]) == ["dir", "file"]


def test_links_above_either_end_stay_inside_their_root(sides, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("outside")
    extract(
        tar_of(symlink("out", "../outside"), symlink("abs", "/real"), directory("real"), file("real/f", b"in")),
        sides[0],
    )
    extract(tar_of(symlink("out", "../outside"), symlink("abs", "/real")), sides[1])
    with pytest.raises(FileNotFoundError):
        copy(sides, "out/f", "x")
    copy(sides, "abs/f", "abs/g")
    assert (sides[1] / "real/g").read_bytes() == b"in"
    copy(sides, "abs/f", "out/f")
    assert (sides[1] / "outside/f").read_bytes() == b"in"
    assert (tmp_path / "outside/f").read_text() == "outside"


def test_hard_links_within_a_copy_are_kept(sides):
    extract(tar_of(directory("d"), file("d/a", b"x"), directory("d/s"), hardlink("d/s/b", "d/a")), sides[0])
    copy(sides, "d", "t")
    assert (sides[1] / "t/a").stat().st_ino == (sides[1] / "t/s/b").stat().st_ino
    assert (sides[1] / "t/a").stat().st_nlink == 2


def test_devices_may_be_left_out(sides):
    extract(tar_of(directory("d"), LayerEntry("d/null", Kind.CHARACTER_DEVICE, mode=0o666, device=(1, 3))), sides[0])
    copy(sides, "d", "with")
    copy(sides, "d", "without", devices=False)
    assert names(sides[1] / "with") == ["null"]
    assert names(sides[1] / "without") == []


def test_holes_stay_holes(sides):
    with (sides[0] / "f").open("wb") as out:
        out.seek(1 << 22)
        out.write(b"data" * 1024)
        out.truncate(1 << 23)
    copy(sides, "f", "f")
    assert (sides[1] / "f").read_bytes() == (sides[0] / "f").read_bytes()
    assert (sides[1] / "f").stat().st_blocks * 512 < 1 << 20


def test_large_files_and_files_of_proc_are_copied_whole(sides):
    data = os.urandom(3 << 20)
    (sides[0] / "big").write_bytes(data)
    copy(sides, "big", "big")
    assert (sides[1] / "big").read_bytes() == data


def test_copying_by_hand_gives_the_same(sides, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    test_large_files_and_files_of_proc_are_copied_whole(sides)
    test_holes_stay_holes(sides)


def test_no_descriptor_is_left_open(sides):
    extract(tar_of(directory("d"), file("d/a"), directory("d/e"), file("d/e/b"), file("f")), sides[0])
    extract(tar_of(directory("t"), directory("t/e"), directory("t/e/b")), sides[1])
    before = len(names("/proc/self/fd"))
    with pytest.raises(IsADirectoryError):
        copy(sides, "d", "t")
    copy(sides, "d", "u")
    assert len(names("/proc/self/fd")) == before
