"""Unpacking: what becomes of whiteouts, owners, devices and what is in the way."""

from __future__ import annotations

import io
import os
import stat
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ordinary import OrdinaryUser
from support.trees import (
    by_tarfile,
    directory,
    entries,
    file,
    hardlink,
    names,
    scratch,
    snapshot,
    symlink,
    tar_of,
    whiteout,
)

from pydockmagic.oci.errors import LayerError, LimitExceeded, UnsafePath
from pydockmagic.oci.layer import ExtractLimits, Kind, LayerEntry, extract, scan
from pydockmagic.oci.layer.xattrs import is_opaque

pytestmark = pytest.mark.root


def is_whiteout(path):
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def opaque(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return is_opaque(fd, os.listxattr(fd))
    finally:
        os.close(fd)


def test_whiteouts_become_overlay_whiteouts(tmp_path):
    layer = extract(tar_of(directory("d"), whiteout("d/gone"), whiteout("top")), tmp_path)
    assert is_whiteout(tmp_path / "d/gone")
    assert is_whiteout(tmp_path / "top")
    assert [e.kind for e in layer.index] == [Kind.DIRECTORY, Kind.WHITEOUT, Kind.WHITEOUT]


@pytest.mark.parametrize("form", ["trusted", "user"])
def test_opaque_markers_become_opaque_directories(tmp_path, form):
    layer = extract(tar_of(directory("d", opaque=True), file("d/f")), tmp_path, whiteouts=f"overlay-{form}")
    assert os.getxattr(tmp_path / "d", f"{form}.overlay.opaque") == b"y"
    assert layer.index.get("d").opaque
    assert names(tmp_path / "d") == ["f"]


def test_a_marker_may_come_before_its_directory_and_after_its_files(tmp_path):
    marker = file("d/.wh..wh..opq")
    layer = extract(tar_of(marker, directory("d", mode=0o700, mtime=5), file("e/f"), file("e/.wh..wh..opq")), tmp_path)
    assert opaque(tmp_path / "d")
    assert opaque(tmp_path / "e")
    assert layer.index.get("d").mode == 0o700
    assert [e.opaque for e in layer.index] == [True, True, False]
    assert scan(tmp_path).index == layer.index


def test_a_layers_own_entry_wins_over_its_whiteout_in_either_order(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    for folder, members in (
        (first, [file("a/.wh.f"), file("a/f", b"x"), file("a/.wh.d"), directory("a/d"), file("a/d/x")]),
        (second, [file("a/f", b"x"), file("a/.wh.f"), directory("a/d"), file("a/d/x"), file("a/.wh.d")]),
    ):
        folder.mkdir()
        layer = extract(tar_of(*members), folder)
        assert (folder / "a/f").read_bytes() == b"x"
        assert opaque(folder / "a/d")
        assert (folder / "a/d/x").exists()
        assert scan(folder).index == layer.index


def test_whiteouts_inside_an_opaque_directory_are_left_out(tmp_path):
    """They hide nothing that is not hidden, and overlayfs would list them as names that nobody can open."""
    members = [
        directory("o"),
        whiteout("o/a"),
        directory("o/d"),
        whiteout("o/d/b"),
        file("o/f"),
        file("o/.wh..wh..opq"),
    ]
    layer = extract(tar_of(*members, whiteout("kept")), tmp_path)
    assert layer.index.paths == ["kept", "o", "o/d", "o/f"]
    assert scan(tmp_path).index == layer.index


def test_entries_below_a_whiteout_of_the_same_layer_make_an_opaque_directory(tmp_path):
    layer = extract(tar_of(file("a/.wh.d"), file("a/d/deep/x", b"1")), tmp_path)
    assert opaque(tmp_path / "a/d")
    assert (tmp_path / "a/d/deep/x").read_bytes() == b"1"
    assert scan(tmp_path).index == layer.index


def test_applying_a_layer_removes_what_it_deletes(tmp_path):
    base = [
        directory("d"),
        file("d/a"),
        directory("d/sub"),
        file("d/sub/b"),
        directory("o"),
        file("o/old"),
        file("keep"),
    ]
    extract(tar_of(*base), tmp_path)
    top = [whiteout("d/sub"), directory("o", opaque=True), file("o/new"), whiteout("never-was"), whiteout("d/a")]
    extract(tar_of(*top), tmp_path, whiteouts="apply")
    assert sorted(snapshot(tmp_path)) == ["d", "keep", "o", "o/new"]


def test_an_opaque_marker_spares_what_the_same_archive_brought_before_it(tmp_path):
    extract(tar_of(directory("o"), file("o/old"), directory("o/deep"), file("o/deep/old")), tmp_path)
    members = [file("o/deep/new"), file("o/new"), file("o/.wh..wh..opq")]
    extract(tar_of(*members), tmp_path, whiteouts="apply")
    assert sorted(snapshot(tmp_path)) == ["o", "o/deep", "o/deep/new", "o/new"]


@settings(max_examples=40, deadline=None)
@given(st.lists(entries(), min_size=1, max_size=3))
def test_applying_layers_one_by_one_gives_what_the_merged_view_says(layers):
    from pydockmagic.oci.layer import MergedView

    with scratch() as folder:
        indexes = []
        for made in layers:
            tar = tar_of(*made.values()).getvalue()
            with scratch() as own:
                indexes.append(extract(io.BytesIO(tar), own).index)
            extract(io.BytesIO(tar), folder, whiteouts="apply")
        view = MergedView(indexes)
        seen = snapshot(folder)
        assert set(view) == set(seen)
        for path, (kind, mode, owner, *_) in seen.items():
            entry = view.get(path)
            assert (entry.mode, (entry.uid, entry.gid)) == (mode, owner)
            assert (entry.kind is Kind.DIRECTORY) == stat.S_ISDIR(kind)


def test_names_are_kept_as_they_are_where_the_archive_is_no_layer(tmp_path):
    extract(tar_of(file(".wh.a", b"x"), file("d/.wh..wh..opq")), tmp_path, whiteouts="keep")
    assert (tmp_path / ".wh.a").read_bytes() == b"x"
    assert (tmp_path / "d/.wh..wh..opq").exists()


def test_the_bookkeeping_of_aufs_is_ignored(tmp_path):
    layer = extract(tar_of(directory(".wh..wh.plnk"), file(".wh..wh.aufs"), file("a")), tmp_path)
    assert layer.index.paths == ["a"]


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh...", "d/.wh.."])
def test_whiteouts_of_no_name_are_refused(tmp_path, name):
    with pytest.raises(UnsafePath):
        extract(tar_of(file(name)), tmp_path)


def test_a_character_device_of_zero_is_a_whiteout_in_a_layer(tmp_path):
    layer = extract(tar_of(LayerEntry("w", Kind.CHARACTER_DEVICE)), tmp_path)
    assert layer.index.get("w").kind is Kind.WHITEOUT
    assert scan(tmp_path).index == layer.index


def test_devices_are_made_skipped_or_refused(tmp_path):
    null = LayerEntry("null", Kind.CHARACTER_DEVICE, mode=0o666, device=(1, 3))
    disk = LayerEntry("disk", Kind.BLOCK_DEVICE, mode=0o660, gid=6, device=(8, 0))
    for devices in ("make", "skip", "refuse"):
        (tmp_path / devices).mkdir()
    made = extract(tar_of(null, disk), tmp_path / "make").index
    assert os.lstat(tmp_path / "make/null").st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK(os.lstat(tmp_path / "make/disk").st_mode)
    assert stat.S_IMODE(os.lstat(tmp_path / "make/null").st_mode) == 0o666
    assert made.get("disk") == disk
    assert len(extract(tar_of(null, file("f")), tmp_path / "skip", devices="skip").index) == 1
    with pytest.raises(UnsafePath, match="device node"):
        extract(tar_of(null), tmp_path / "refuse", devices="refuse")
    assert names(tmp_path / "refuse") == []


def test_owners_go_to_the_disk_the_index_or_are_given(tmp_path):
    members = [directory("d", uid=5, gid=6), file("d/f", uid=7, gid=8), symlink("l", "x", uid=9, gid=10)]
    for owners, disk, index in (("disk", 7, 7), ("index", 0, 7), ((3, 4), 3, 3)):
        folder = tmp_path / str(owners)
        folder.mkdir()
        layer = extract(tar_of(*members), folder, owners=owners)
        assert (folder / "d/f").stat().st_uid == disk
        assert layer.index.get("d/f").uid == index
        table = layer.index.owners() if owners == "index" else None
        assert scan(folder, owners=table).index == layer.index


def test_setuid_bits_survive_the_change_of_owner(tmp_path):
    extract(tar_of(file("su", b"x", mode=0o4755, uid=1), file("sg", b"x", mode=0o2755, gid=7)), tmp_path)
    assert [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("su", "sg")] == [0o4755, 0o2755]


def test_directories_have_their_times_although_they_were_filled_later(tmp_path):
    extract(tar_of(directory("d", mtime=5, mode=0o555), directory("d/e", mtime=7), file("d/e/f")), tmp_path)
    assert (tmp_path / "d").stat().st_mtime == 5
    assert (tmp_path / "d/e").stat().st_mtime == 7
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o555


def test_times_keep_their_fractions_on_disk(tmp_path):
    info = tarfile.TarInfo("f")
    info.pax_headers = {"mtime": "1.25"}
    layer = extract(by_tarfile((info, b"")), tmp_path)
    assert (tmp_path / "f").stat().st_mtime_ns == 1_250_000_000
    assert layer.index.get("f").mtime == 1


def test_missing_parents_are_made_the_same_way_everywhere(tmp_path):
    layer = extract(tar_of(file("a/b/c", b"x", mtime=3)), tmp_path)
    assert layer.index.get("a/b") == LayerEntry("a/b", Kind.DIRECTORY, mode=0o755)
    assert (tmp_path / "a").stat().st_mtime == 0
    assert scan(tmp_path).index == layer.index


def test_a_directory_that_comes_later_dresses_the_implied_one(tmp_path):
    layer = extract(tar_of(file("a/f"), directory("a", mode=0o700, uid=3, mtime=9)), tmp_path)
    assert layer.index.get("a") == LayerEntry("a", Kind.DIRECTORY, mode=0o700, uid=3, mtime=9)
    assert scan(tmp_path).index == layer.index


def test_the_last_of_several_entries_with_one_name_counts(tmp_path):
    members = [
        file("a", b"1"), file("a", b"22"), directory("b"), file("b/x"), file("b", b"file"),
        file("c"), directory("c"), file("c/y"), symlink("s", "c"), file("s", b"plain"),
    ]  # fmt: skip
    layer = extract(tar_of(*members), tmp_path)
    assert (tmp_path / "a").read_bytes() == b"22"
    assert (tmp_path / "b").read_bytes() == b"file"
    assert (tmp_path / "s").read_bytes() == b"plain"
    assert layer.index.paths == ["a", "b", "c", "c/y", "s"]
    assert scan(tmp_path).index == layer.index


def test_replacing_a_directory_forgets_descriptors_below_it(tmp_path):
    members = [file("d/e/f/1"), file("d", b"x"), directory("d"), file("d/e/f/2"), file("d/e/3")]
    layer = extract(tar_of(*members), tmp_path)
    assert sorted(snapshot(tmp_path)) == ["d", "d/e", "d/e/3", "d/e/f", "d/e/f/2"]
    assert scan(tmp_path).index == layer.index


def test_hard_links_in_any_order_give_the_index_of_the_disk(tmp_path):
    members = [file("z", b"zz", mtime=4), hardlink("a", "z"), hardlink("m", "a"), hardlink("b/c", "./z")]
    layer = extract(tar_of(*members), tmp_path)
    assert scan(tmp_path).index == layer.index
    assert [(e.path, e.kind, e.linkname) for e in layer.index if e.kind is not Kind.DIRECTORY] == [
        ("a", Kind.FILE, ""), ("b/c", Kind.HARDLINK, "a"), ("m", Kind.HARDLINK, "a"), ("z", Kind.HARDLINK, "a"),
    ]  # fmt: skip
    assert layer.content_size == 2


def test_a_link_keeps_its_content_when_the_first_name_is_replaced(tmp_path):
    layer = extract(tar_of(file("f", b"old"), hardlink("l", "f"), file("f", b"new!")), tmp_path)
    assert (tmp_path / "l").read_bytes() == b"old"
    assert (tmp_path / "f").read_bytes() == b"new!"
    assert scan(tmp_path).index == layer.index


def test_a_link_to_itself_changes_nothing(tmp_path):
    layer = extract(tar_of(file("f", b"x"), hardlink("f", "f")), tmp_path)
    assert (tmp_path / "f").read_bytes() == b"x"
    assert scan(tmp_path).index == layer.index


@pytest.mark.parametrize("target", ["missing", "d/missing", "f/below", "d"])
def test_links_to_nothing_or_to_directories_are_errors(tmp_path, target):
    with pytest.raises(LayerError, match="hard link"):
        extract(tar_of(directory("d"), file("f"), hardlink("l", target)), tmp_path)


def test_a_parent_that_is_a_file_is_an_error(tmp_path):
    with pytest.raises(UnsafePath, match="no directory"):
        extract(tar_of(file("a"), file("a/b")), tmp_path)


def test_symlinked_parents_are_followed_inside_and_the_index_says_where(tmp_path):
    members = [directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"), file("lib/x", b"1")]
    layer = extract(tar_of(*members), tmp_path)
    assert (tmp_path / "usr/lib/x").read_bytes() == b"1"
    assert layer.index.paths == ["lib", "usr", "usr/lib", "usr/lib/x"]
    assert scan(tmp_path).index == layer.index


def test_the_root_entry_dresses_the_root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    extract(tar_of(LayerEntry("./", Kind.DIRECTORY, mode=0o711, uid=3, mtime=5), file("./f")), root)
    status = root.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime) == (0o711, 3, 5)


@pytest.mark.parametrize("entry", [file(".")[0], symlink("/", "x"), symlink("a/..", "x"), hardlink("./", "f")])
def test_nothing_else_replaces_the_root(tmp_path, entry):
    with pytest.raises(UnsafePath, match="root itself"):
        extract(tar_of(file("f"), entry), tmp_path)


def test_a_place_inside_the_root_may_be_named(tmp_path):
    extract(tar_of(directory("usr"), directory("usr/tmp"), symlink("tmp", "/usr/tmp")), tmp_path)
    layer = extract(tar_of(file("x", b"1"), hardlink("y", "x")), tmp_path, at="/tmp", whiteouts="keep")
    assert (tmp_path / "usr/tmp/x").read_bytes() == b"1"
    assert (tmp_path / "usr/tmp/y").stat().st_nlink == 2
    assert layer.index.paths == ["usr/tmp/x", "usr/tmp/y"]


def test_types_are_kept_where_asked(tmp_path):
    extract(tar_of(directory("d"), file("f")), tmp_path)
    with pytest.raises(UnsafePath, match='cannot overwrite directory "/d" with non-directory'):
        extract(tar_of(file("d")), tmp_path, whiteouts="keep", keep_types=True)
    with pytest.raises(UnsafePath, match='cannot overwrite non-directory "/f" with directory'):
        extract(tar_of(directory("f")), tmp_path, whiteouts="keep", keep_types=True)
    extract(tar_of(file("f", b"new"), directory("d")), tmp_path, whiteouts="keep", keep_types=True)
    assert (tmp_path / "f").read_bytes() == b"new"


def test_limits_hold(tmp_path):
    members = [file("a", b"x" * 600), file("b", b"x" * 600)]
    for limits, words in (
        (ExtractLimits(entries=1), "too many entries"),
        (ExtractLimits(content=1000), "bytes of content"),
        (ExtractLimits(stream=1000), "too large"),
    ):
        with pytest.raises(LimitExceeded, match=words):
            extract(tar_of(*members), tmp_path, limits=limits)


def test_a_failure_names_the_path_and_leaves_no_descriptor(tmp_path):
    before = len(names("/proc/self/fd"))
    with pytest.raises(OSError) as caught:
        extract(tar_of(file("d/" + "n" * 300)), tmp_path)
    assert caught.value.filename == "/d/" + "n" * 300
    for bad in (hardlink("l", "missing"), file("../x"), file("d/.wh..")):
        with pytest.raises(LayerError):
            extract(tar_of(directory("d"), file("d/f"), bad), tmp_path)
    assert len(names("/proc/self/fd")) == before


ROOTLESS = """
import io, os, sys
from pydockmagic.oci.layer import *
from pydockmagic.oci.layer.header import *
here = sys.argv[1]
members = [
    LayerEntry("d", Kind.DIRECTORY, mode=0o555, uid=5, opaque=True),
    LayerEntry("d/f", Kind.FILE, mode=0o400, uid=7),
    LayerEntry("run", Kind.FILE, mode=0o4111),
    LayerEntry("w", Kind.WHITEOUT),
]
tar = b"".join(encode_entry(e) + (encode_opaque_marker(e) if e.opaque else b"") for e in members) + END
os.mkdir(here)
layer = extract(io.BytesIO(tar), here, whiteouts="overlay-user", owners="index", devices="skip")
again = scan(here, owners=layer.index.owners())
assert again.index == layer.index, (list(again.index), list(layer.index))
assert [e.uid for e in layer.index] == [5, 7, 0, 0]
assert os.getxattr(here + "/d", "user.overlay.opaque") == b"y"
assert os.stat(here + "/run").st_mode & 0o7777 == 0o4111
with open(here + "/fd", "w"):
    root = open_root(here)
    copy_into_root(root, "run", root, "copy", CopyRules(chown=False))
    assert os.stat(here + "/copy").st_mode & 0o7777 == 0o4111
print(os.lstat(here + "/w").st_mode, again.diff_id)
os.chmod(here + "/d", 0o755)
"""


def test_an_ordinary_user_keeps_owners_beside_the_disk():
    user = OrdinaryUser()
    try:
        mode, diff_id = user.run(ROOTLESS, user.home / "layer").split()
    finally:
        user.close()
    members = [directory("d", mode=0o555, uid=5, opaque=True), file("d/f", mode=0o400, uid=7)]
    members += [file("run", mode=0o4111), whiteout("w")]
    with scratch() as folder:
        assert extract(tar_of(*members), folder).diff_id == diff_id
    assert stat.S_ISCHR(int(mode)) or stat.S_ISREG(int(mode))
