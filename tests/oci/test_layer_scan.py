"""From directories in overlayfs form to tars, indexes and digests."""

from __future__ import annotations

import io
import os
import resource
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from support.trees import directory, entries, file, hardlink, scratch, snapshot, symlink, tar_of, whiteout

from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.errors import LayerError
from pydockmagic.oci.layer import (
    Kind,
    LayerEntry,
    LayerIndex,
    checksum,
    export_tree,
    extract,
    index_tar,
    iter_tar,
    open_root,
    scan,
    tar_entry,
    write_tar,
)

pytestmark = pytest.mark.root


def make_whiteout(path):
    os.mknod(path, stat.S_IFCHR, 0)


def kinds(layer):
    return {entry.path: entry.kind for entry in layer.index}


@settings(max_examples=60, deadline=None)
@given(entries(devices=True))
def test_a_layer_survives_the_way_to_disk_and_back(made):
    tar = tar_of(*made.values()).getvalue()
    with scratch() as folder:
        unpacked = extract(io.BytesIO(tar), folder)
        assert unpacked.diff_id == sha256_digest(tar)
        scanned = scan(folder)
        assert scanned.index == unpacked.index
        out = io.BytesIO()
        assert write_tar(folder, out) == scanned
        assert sha256_digest(out.getvalue()) == scanned.diff_id
        assert b"".join(iter_tar(folder)) == out.getvalue()
        with scratch() as again:
            assert extract(io.BytesIO(out.getvalue()), again) == scanned
            assert scan(again) == scanned
            assert snapshot(again) == snapshot(folder)
    assert index_tar(io.BytesIO(out.getvalue())) == scanned
    assert LayerIndex.decode(scanned.index.encode()) == scanned.index
    linked = {entry.linkname for entry, _ in made.values() if entry.kind is Kind.HARDLINK}
    written = {
        path: entry for path, (entry, _) in made.items() if entry.kind is not Kind.HARDLINK and path not in linked
    }
    for path, entry in written.items():
        kept = scanned.index.get(path)
        late = entry.mtime >= 1 << 31  # not every file system holds such times
        assert kept == (replace(entry, mtime=kept.mtime) if late else entry)


def test_the_order_is_that_of_gnu_tar_sorted(tmp_path):
    for name in ("a", "a-b", "a.c", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    done = subprocess.run(
        ["tar", "--sort=name", "-C", tmp_path, "-cf", "-", "a", "a-b", "a.c", "b"], capture_output=True, check=True
    )
    listed = subprocess.run(["tar", "-tf", "-"], input=done.stdout, capture_output=True, check=True).stdout.decode()
    assert scan(tmp_path).index.paths == [line.rstrip("/") for line in listed.splitlines()]


def test_gnu_tar_unpacks_what_we_write(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    source.mkdir()
    made = [
        directory("d", mtime=5, mode=0o2775),
        file("d/" + "n" * 150, b"x" * 5000, uid=3_000_000, mode=0o4755, mtime=2**33 + 1),
        hardlink("h", "d/" + "n" * 150),
        symlink("s", "t" * 150, mtime=-5),
        file("x", b"", xattrs=(("user.note", b"hi"),), mtime=1),
        LayerEntry("zero", Kind.CHARACTER_DEVICE, mode=0o666, device=(1, 5), mtime=9),
        LayerEntry("pipe", Kind.FIFO, mode=0o600, mtime=9),
    ]
    extract(tar_of(*made), source)
    tar = b"".join(iter_tar(source))
    command = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", target, "-xpf", "-"]
    subprocess.run(command, input=tar, check=True, capture_output=True)
    assert snapshot(target) == snapshot(source)


def test_names_that_are_no_utf8_survive_gnu_tar(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    source.mkdir()
    (Path(os.fsdecode(bytes(source) + b"/\xff\xfe"))).write_text("short")
    (Path(os.fsdecode(bytes(source) + b"/" + b"\xfe" * 120))).write_text("long")
    tar = b"".join(iter_tar(source))
    subprocess.run(["tar", "-C", target, "-xpf", "-"], input=tar, check=True, capture_output=True)
    assert snapshot(target) == snapshot(source)


def test_deleted_names_become_whiteouts(tmp_path):
    (tmp_path / "etc").mkdir()
    make_whiteout(tmp_path / "etc/passwd")
    (tmp_path / "etc/by-attribute").touch()
    os.setxattr(tmp_path / "etc/by-attribute", "user.overlay.whiteout", b"")
    os.setxattr(tmp_path / "etc", "user.overlay.opaque", b"x")
    layer = scan(tmp_path)
    assert layer.index.get("etc/passwd") == LayerEntry("etc/passwd", Kind.WHITEOUT)
    assert layer.index.get("etc/by-attribute") == LayerEntry("etc/by-attribute", Kind.WHITEOUT)
    assert not layer.index.get("etc").opaque
    names = subprocess.run(["tar", "-t"], input=b"".join(iter_tar(tmp_path)), capture_output=True, check=True).stdout
    assert names.decode().splitlines() == ["etc/", "etc/.wh.by-attribute", "etc/.wh.passwd"]


def test_whiteouts_that_share_an_inode_are_no_links(tmp_path):
    make_whiteout(tmp_path / "a")
    os.link(tmp_path / "a", tmp_path / "b")
    assert kinds(scan(tmp_path)) == {"a": Kind.WHITEOUT, "b": Kind.WHITEOUT}


@pytest.mark.parametrize("attribute", ["trusted.overlay.opaque", "user.overlay.opaque"])
def test_opaque_directories_are_marked_right_behind_their_entry(tmp_path, attribute):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/.a").touch()
    os.setxattr(tmp_path / "d", attribute, b"y")
    assert scan(tmp_path).index.get("d").opaque
    names = subprocess.run(["tar", "-t"], input=b"".join(iter_tar(tmp_path)), capture_output=True, check=True).stdout
    assert names.decode().splitlines() == ["d/", "d/.wh..wh..opq", "d/.a"]


def test_overlay_attributes_never_leak(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").touch()
    for path in (tmp_path / "d", tmp_path / "d/f"):
        for name in ("trusted.overlay.origin", "trusted.overlay.redirect", "user.overlay.metacopy", "trusted.other"):
            os.setxattr(path, name, b"/etc")
        os.setxattr(path, "user.kept", b"1")
    tar = b"".join(iter_tar(tmp_path))
    assert b"overlay" not in tar
    assert b"trusted" not in tar
    assert all(entry.xattrs == (("user.kept", b"1"),) for entry in scan(tmp_path).index)


def test_file_capabilities_travel(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "ping").write_text("x")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(source / "ping", "security.capability", capability)
    extract(io.BytesIO(b"".join(iter_tar(source))), target)
    assert os.getxattr(target / "ping", "security.capability") == capability


def test_capabilities_survive_an_owner_who_is_not_root(tmp_path):
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    made = file("ping", b"x", uid=5, mode=0o755, xattrs=(("security.capability", capability),))
    layer = extract(tar_of(made), tmp_path)
    assert os.getxattr(tmp_path / "ping", "security.capability") == capability  # chown would have cleared it
    assert scan(tmp_path) == layer


@pytest.mark.parametrize("size", [(1 << 18) - 1, 1 << 18, (1 << 18) + 1, (1 << 20) + 511, (3 << 20) + 1])
def test_files_of_all_sizes_are_written_whole(tmp_path, size):
    data = os.urandom(size)
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "a").write_bytes(data)
    (source / "b").write_bytes(b"after")
    tar = b"".join(iter_tar(source))
    subprocess.run(["tar", "-C", target, "-xpf", "-"], input=tar, check=True, capture_output=True)
    assert snapshot(target) == snapshot(source)
    assert scan(source).diff_id == sha256_digest(tar)
    with scratch() as again:
        assert extract(io.BytesIO(tar), again) == scan(source)
        assert snapshot(again) == snapshot(source)


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_a_file_that_shrinks_as_it_is_read_is_an_error(tmp_path, monkeypatch, size):
    (tmp_path / "log").write_bytes(bytes(size))
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, count: read(fd, min(count, 300)) if count > size - 700 else b"")
    with pytest.raises(LayerError, match="'log' changed as it was read"):
        scan(tmp_path)


def test_short_reads_are_made_whole(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"0123456789" * 500)
    before = scan(tmp_path)
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, count: read(fd, min(count, 700)))
    assert scan(tmp_path) == before


def test_late_times_are_clamped_in_the_tar_and_on_disk(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/new").touch()
    (tmp_path / "d/link").symlink_to("new")
    (tmp_path / "d/old").touch()
    os.mkfifo(tmp_path / "d/pipe")
    os.utime(tmp_path / "d/old", ns=(5, 5))
    clamp = 1_600_000_000 * 10**9
    layer = scan(tmp_path, clamp_ns=clamp)
    assert {e.path: e.mtime for e in layer.index} == {
        "d": 1_600_000_000, "d/link": 1_600_000_000, "d/new": 1_600_000_000, "d/old": 0, "d/pipe": 1_600_000_000,
    }  # fmt: skip
    assert {os.lstat(tmp_path / p).st_mtime_ns for p in ("d", "d/link", "d/new", "d/pipe")} == {clamp}
    assert scan(tmp_path) == layer


def test_the_side_table_overrides_the_disk_and_links_follow_their_file(tmp_path):
    (tmp_path / "a").touch()
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").touch()
    os.chown(tmp_path / "c", 1000, 1000)  # the one user of the disk is root in the layer
    layer = scan(tmp_path, owners={"a": (5, 6)})
    assert [(e.uid, e.gid) for e in layer.index] == [(5, 6), (5, 6), (0, 0)]
    assert layer.index.owners() == {"a": (5, 6), "b": (5, 6)}
    out = io.BytesIO()
    assert write_tar(tmp_path, out, owners=layer.index.owners()) == layer


def test_what_no_layer_can_hold_is_left_out(tmp_path):
    (tmp_path / ".wh.evil").touch()
    (tmp_path / ".wh.dir").mkdir()
    (tmp_path / ".wh.dir/below").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert kinds(scan(tmp_path)) == {}
        assert kinds(index_tar(io.BytesIO(b"".join(export_tree(tmp_path))))) == {
            "dir": Kind.WHITEOUT, "evil": Kind.WHITEOUT, ".wh.dir/below": Kind.FILE,
        }  # fmt: skip


def test_trees_deeper_than_descriptors_are_walked(tmp_path):
    deep = tmp_path
    for _ in range(300):
        deep /= "d"
        deep.mkdir()
        (deep / "e").mkdir()
        (deep / "a").touch()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        layer = scan(tmp_path)
        with scratch() as again:
            assert extract(io.BytesIO(b"".join(iter_tar(tmp_path))), again) == layer
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(layer.index) == 900


def test_an_opaque_root_is_told_and_marked(tmp_path):
    (tmp_path / "a").touch()
    os.setxattr(tmp_path, "trusted.overlay.opaque", b"y")
    layer = scan(tmp_path)
    assert layer.index.root_opaque
    with scratch() as again:
        assert extract(io.BytesIO(b"".join(iter_tar(tmp_path))), again) == layer
    assert index_tar(io.BytesIO(b"".join(iter_tar(tmp_path)))) == layer


def test_an_export_shows_everything_as_it_seems(tmp_path):
    (tmp_path / "d").mkdir()
    make_whiteout(tmp_path / "d/odd")
    (tmp_path / "d/.wh.name").touch()
    with scratch() as again:
        extract(io.BytesIO(b"".join(export_tree(tmp_path))), again, whiteouts="keep")
        assert snapshot(again) == snapshot(tmp_path)


def test_one_entry_can_be_taken_out_under_another_name(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("c")
    (tmp_path / "a/link").symlink_to("b")
    root = open_root(tmp_path)
    try:
        names = [e.path for e in index_tar(io.BytesIO(b"".join(tar_entry(root, "a/b", "new")))).index]
        assert names == ["new", "new/c"]
        taken = index_tar(io.BytesIO(b"".join(tar_entry(root, "a/b/c", "one")))).index
        assert [(e.path, e.size) for e in taken] == [("one", 1)]
        taken = index_tar(io.BytesIO(b"".join(tar_entry(root, "a/link", "l")))).index
        assert [(e.path, e.linkname) for e in taken] == [("l", "b")]
        contents = index_tar(io.BytesIO(b"".join(tar_entry(root, "a", "")))).index
        assert contents.paths == ["b", "b/c", "link"]
    finally:
        os.close(root)


def checksum_of(folder, path="", **options):
    root = open_root(folder)
    try:
        return checksum(root, path, **options)
    finally:
        os.close(root)


def test_times_and_the_entrys_own_name_do_not_change_a_checksum(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("x")
    os.utime(tmp_path / "b/f", (1, 1))
    assert checksum_of(tmp_path, "a") == checksum_of(tmp_path, "b")
    assert checksum_of(tmp_path, "a/f") == checksum_of(tmp_path, "b/f")
    assert (tmp_path / "b/f").stat().st_mtime == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "d/f").write_text("y"),
        lambda f: (f / "d/f").chmod(0o600),
        lambda f: (f / "d").chmod(0o700),
        lambda f: (f / "d/f").rename(f / "d/g"),
        lambda f: (f / "d/new").touch(),
        lambda f: os.chown(f / "d/f", 1, 1),
        lambda f: os.setxattr(f / "d/f", "user.a", b"1"),
        lambda f: ((f / "d/l").unlink(), (f / "d/l").symlink_to("g")),
        lambda f: ((f / "d/f").unlink(), (f / "d/f").symlink_to("x")),
    ],
)
def test_everything_else_changes_a_checksum(tmp_path, change):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    (tmp_path / "d/l").symlink_to("f")
    before = checksum_of(tmp_path, "d")
    change(tmp_path)
    assert checksum_of(tmp_path, "d") != before


def test_with_one_owner_for_all_owners_do_not_count(tmp_path):
    (tmp_path / "f").touch()
    before = checksum_of(tmp_path, "f", owner=(0, 0))
    os.chown(tmp_path / "f", 7, 7)
    assert checksum_of(tmp_path, "f", owner=(0, 0)) == before


def test_an_unknown_path_has_no_checksum(tmp_path):
    with pytest.raises(FileNotFoundError):
        checksum_of(tmp_path, "missing")


def test_a_whole_made_layer_has_a_known_digest(tmp_path):
    made = [directory("d", mtime=1), file("d/f", b"hello", mtime=2), symlink("l", "d/f"), whiteout("w")]
    extract(tar_of(*made), tmp_path)
    # Every engine everywhere must give this digest: it names the layer in caches and image ids.
    assert scan(tmp_path).diff_id == sha256_digest(tar_of(*made).getvalue())
