"""Stacking, comparing and squashing layers; the kernel's overlayfs is the judge."""

from __future__ import annotations

import io
import stat
import subprocess
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ordinary import OrdinaryUser
from support.trees import directory, entries, file, hardlink, scratch, snapshot, symlink, tar_of, whiteout

from pydockmagic.oci.errors import InvalidDocument
from pydockmagic.oci.layer import (
    Kind,
    LayerEntry,
    LayerIndex,
    MergedView,
    change_kinds,
    changes,
    compare,
    efficiency,
    extract,
    index_tar,
    squash,
    wasted_by_layer,
)
from pydockmagic.oci.layer.entry import sort_key

STACKS = st.lists(entries(), min_size=1, max_size=4)


def index(*members):
    return index_tar(tar_of(*members)).index


def stack(*layers):
    return [index(*layer) for layer in layers]


def seen(view):
    """Say what a container sees: path -> what counts, content by the entry that holds it."""
    found = {}
    for path in view:
        entry = view.content(path)
        found[path] = (entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.xattrs)
        if entry.kind is Kind.SYMLINK:
            found[path] += (view.get(path).linkname or entry.linkname,)
    return found


@contextmanager
def overlay(lowers, folder):
    """Mount directories, bottom first, with overlayfs."""
    options = "lowerdir=" + ":".join(str(lower) for lower in reversed(lowers)) + ",xino=off"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", "ro," + options, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
@settings(max_examples=40, deadline=None)
@given(STACKS)
def test_the_merged_view_is_what_the_kernel_shows(layers):
    with scratch() as folder:
        indexes, lowers = [], []
        for number, made in enumerate([*layers, {}]):
            lowers.append(folder / f"layer{number}")
            lowers[-1].mkdir()
            indexes.append(extract(tar_of(*made.values()), lowers[-1]).index)
        merged = folder / "merged"
        merged.mkdir()
        with overlay(lowers, merged):
            # overlayfs lists a whiteout in a directory that no lower layer has; a look-up says that nothing is there.
            kernel = snapshot(merged, unreachable=True)
        view = MergedView(indexes)
        assert set(kernel) == set(view)
        for path, (kind, mode, owner, mtime, value, _, xattrs) in kernel.items():
            entry = view.content(path)
            assert (mode, owner, xattrs) == (entry.mode, (entry.uid, entry.gid), dict(entry.xattrs))
            assert mtime == entry.mtime
            assert stat.S_ISDIR(kind) == (entry.kind is Kind.DIRECTORY)
            if stat.S_ISREG(kind):
                assert len(value) == entry.size
            if stat.S_ISLNK(kind):
                assert value == entry.linkname


@settings(deadline=None)
@given(STACKS)
def test_a_squashed_stack_shows_the_same(layers):
    indexes = [index(*made.values()) for made in layers]
    view = MergedView(indexes)
    assert seen(MergedView([squash(indexes)])) == seen(view)
    assert seen(MergedView([view.to_index()])) == seen(view)
    assert Kind.WHITEOUT not in {entry.kind for entry in view.to_index()}
    assert not view.to_index().opaque


@settings(deadline=None)
@given(STACKS, STACKS)
def test_squashing_the_upper_layers_changes_nothing_on_any_ground(lower, upper):
    below = [index(*made.values()) for made in lower]
    above = [index(*made.values()) for made in upper]
    assert seen(MergedView([*below, squash(above)])) == seen(MergedView([*below, *above]))


@settings(deadline=None)
@given(entries(), entries(), entries())
def test_squashing_may_be_done_in_any_grouping(one, two, three):
    a, b, c = (index(*made.values()) for made in (one, two, three))
    assert squash([squash([a, b]), c]) == squash([a, squash([b, c])]) == squash([a, b, c])


@settings(deadline=None)
@given(entries())
def test_indexes_are_sorted_and_know_their_paths(made):
    layer = index(*made.values())
    assert layer.paths == sorted(layer.paths, key=sort_key)
    for row, path in enumerate(layer.paths):
        assert layer.find(path) == row
        assert layer[row] == layer.get(path)
        assert [layer.paths[r] for r in layer.subtree(path)] == [p for p in layer.paths if p.startswith(path + "/")]
    assert layer.find("missing") is None
    assert dict(layer.positions()) == {path: row for row, path in enumerate(layer.paths)}
    assert layer.find("missing") is None
    assert LayerIndex.decode(layer.encode()) == layer
    assert LayerIndex.from_entries(layer) == layer


@settings(deadline=None)
@given(STACKS)
def test_children_are_the_names_in_a_directory(layers):
    view = MergedView([index(*made.values()) for made in layers])
    for path in ["", *view]:
        prefix = path + "/" if path else ""
        direct = {p[len(prefix) :] for p in view if p.startswith(prefix) and "/" not in p[len(prefix) :]}
        assert set(view.children(path)) == direct


@settings(deadline=None)
@given(STACKS, STACKS)
def test_differences_lead_from_one_tree_to_the_other(one, two):
    old = MergedView([index(*made.values()) for made in one])
    new = MergedView([index(*made.values()) for made in two])
    paths = set(old)
    for change in compare(old, new):
        if change.kind == "D":
            paths = {p for p in paths if p != change.path and not p.startswith(change.path + "/")}
        else:
            paths.add(change.path)
    assert paths == set(new)
    assert list(compare(old, old)) == []
    assert list(compare(new, MergedView([new.to_index()]))) == []


@settings(deadline=None)
@given(STACKS)
def test_a_layers_changes_lead_from_the_tree_below_to_the_tree_above(layers):
    indexes = [index(*made.values()) for made in layers]
    below = MergedView(indexes[:-1])
    paths = set(below)
    for change in changes(indexes[-1], below):
        if change.kind == "D":
            paths = {p for p in paths if p != change.path and not p.startswith(change.path + "/")}
        else:
            if change.entry.kind is not Kind.DIRECTORY:
                paths = {p for p in paths if not p.startswith(change.path + "/")}
            paths.add(change.path)
    assert paths == set(MergedView(indexes))


@settings(deadline=None)
@given(STACKS)
def test_what_is_not_wasted_is_what_is_seen(layers):
    indexes = [index(*made.values()) for made in layers]
    wasted = wasted_by_layer(indexes)
    kept = MergedView(indexes).to_index().content_size
    assert sum(layer.content_size for layer in indexes) - sum(wasted) == kept
    assert wasted[-1] == 0
    assert 0 <= efficiency(indexes).score <= 1


def test_upper_names_hide_lower_ones():
    view = MergedView(stack([directory("d"), file("d/a", b"1"), file("f")], [directory("d"), file("d/a", b"22")]))
    assert view.get("d/a").size == 2
    assert view.find("d/a") == (1, 1)
    assert view.find("f") == (0, 2)
    assert "x" not in view
    assert view.get("x") is None
    assert view.content("x") is None


def test_a_file_in_place_of_a_directory_hides_all_of_it():
    layers = stack([directory("d"), directory("d/e"), file("d/e/f")], [file("d")])
    assert list(MergedView(layers)) == ["d"]
    assert squash(layers).paths == ["d"]


def test_a_directory_in_place_of_a_whiteout_goes_on_hiding():
    deleted_and_made_anew = stack([whiteout("d")], [directory("d"), file("d/new")])
    squashed = squash(deleted_and_made_anew)
    assert squashed.get("d").opaque
    ground = stack([directory("d"), file("d/old")])
    assert list(MergedView([*ground, squashed])) == ["d", "d/new"]


def test_an_opaque_root_hides_everything_below():
    layers = stack([file("a")], [file(".wh..wh..opq"), file("b")], [file("c")])
    assert layers[1].root_opaque
    assert list(MergedView(layers)) == ["b", "c"]
    assert squash(layers).root_opaque
    assert squash(layers).paths == ["b", "c"]


def test_links_outlive_the_name_they_were_made_to():
    layers = stack([file("a", b"12345"), hardlink("b", "a"), hardlink("c", "a")], [whiteout("a")])
    view = MergedView(layers)
    assert view.content("b").size == 5
    assert [(e.path, e.kind, e.size, e.linkname) for e in view.to_index()] == [
        ("b", Kind.FILE, 5, ""),
        ("c", Kind.HARDLINK, 0, "b"),
    ]
    assert wasted_by_layer(layers) == [0, 0]


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("bin/sh", "usr/bin/busybox"), ("/bin/sh", "usr/bin/busybox"), ("usr/../bin/./sh", "usr/bin/busybox"),
        ("up/bin/sh", "usr/bin/busybox"), ("new/file", "new/file"), ("bin/new/file", "usr/bin/new/file"),
        ("/", ""), ("../../bin", "usr/bin"),
    ],
)  # fmt: skip
def test_paths_are_resolved_as_in_a_container(path, meant):
    layers = stack(
        [directory("usr"), directory("usr/bin"), file("usr/bin/busybox"), symlink("bin", "usr/bin")],
        [directory("usr"), directory("usr/bin"), symlink("usr/bin/sh", "/bin/busybox"), symlink("up", "../../..")],
    )
    assert MergedView(layers).resolve(path) == meant


def test_the_last_link_may_be_spared_and_circles_end():
    view = MergedView(stack([symlink("a", "b"), symlink("b", "a"), symlink("l", "f"), file("f")]))
    assert view.resolve("l", follow_last=False) == "l"
    with pytest.raises(OSError, match="Too many levels"):
        view.resolve("a")
    with pytest.raises(NotADirectoryError):
        view.resolve("f/x")


def test_kinds_of_change_are_those_of_docker_diff():
    below = MergedView(stack([directory("d"), file("d/a"), file("d/b"), directory("o"), file("o/old"), file("o/kept")]))
    top = index(
        directory("d"), whiteout("d/a"), file("d/b", b"x"), file("d/c"), directory("o", opaque=True), file("o/kept"),
        whiteout("never"),
    )  # fmt: skip
    rows = dict(zip(top.paths, change_kinds(top, below), strict=True))
    assert rows == {"d": "C", "d/a": "D", "d/b": "C", "d/c": "A", "never": "D", "o": "C", "o/kept": "C"}
    assert [(c.kind, c.path) for c in changes(top, below)] == [
        ("C", "d"), ("D", "d/a"), ("C", "d/b"), ("A", "d/c"), ("C", "o"), ("C", "o/kept"), ("D", "o/old"),
    ]  # fmt: skip


def test_what_is_hidden_deep_below_an_opaque_directory_is_deleted():
    below = MergedView(stack([directory("o"), directory("o/d"), file("o/d/f"), file("g")]))
    deep = index(directory("o", opaque=True), directory("o/d"))
    assert [(c.kind, c.path) for c in changes(deep, below)] == [("C", "o"), ("C", "o/d"), ("D", "o/d/f")]
    root = index(file(".wh..wh..opq"), directory("o"))
    assert [(c.kind, c.path) for c in changes(root, below)] == [("D", "g"), ("C", "o"), ("D", "o/d")]


def test_wasted_bytes_are_counted_where_they_lie():
    layers = stack(
        [directory("d"), file("d/a", b"1" * 10), file("b", b"2" * 20)],
        [file("b", b"3" * 5)],
        [whiteout("d"), file("b", b"4" * 7)],
    )
    assert wasted_by_layer(layers) == [30, 5, 0]
    found = efficiency(layers)
    assert [(i.path, i.count, i.size) for i in found.inefficiencies] == [("b", 3, 32)]
    assert (found.wasted_bytes, found.total_bytes, found.user_bytes) == (32, 42, 12)


def test_a_symlinks_text_is_no_link_to_content():
    assert wasted_by_layer(stack([file("a", b"123"), symlink("s", "a")], [file("a", b"4")])) == [3, 0]


@pytest.mark.parametrize("damage", [b"", b"\x90", b"\xc1", lambda d: d[:-1], lambda d: d[:20] + d[24:]])
def test_a_damaged_index_is_refused(damage):
    data = index(file("a", b"x"), directory("d")).encode()
    with pytest.raises(InvalidDocument):
        LayerIndex.decode(damage(data) if callable(damage) else damage)


def test_an_index_of_another_version_is_refused():
    import msgspec

    fields = msgspec.msgpack.decode(index(file("a")).encode(), strict=False)
    fields[0] = 99
    with pytest.raises(InvalidDocument, match="version 99"):
        LayerIndex.decode(msgspec.msgpack.encode(fields))


def test_an_empty_layer_is_a_layer():
    empty = LayerIndex()
    assert len(LayerIndex.decode(empty.encode())) == 0
    assert list(MergedView([empty, empty])) == []
    assert squash([]) == empty
    assert efficiency([empty]).score == 1.0
    assert repr(empty) == "<LayerIndex of 0 entries, 0 bytes>"


ROOTLESS_OVERLAY = """
import ctypes, io, os, sys
from pydockmagic.oci.layer import *
from pydockmagic.oci.layer.header import *
here = sys.argv[1]
uid, gid = os.getuid(), os.getgid()
os.unshare(0x10020000) if hasattr(os, "unshare") else ctypes.CDLL(None, use_errno=True).unshare(0x10020000)
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
    with open(f"/proc/self/{name}", "w") as out:
        out.write(text)
def tar(*members):
    return io.BytesIO(b"".join(
        encode_entry(e) + (encode_opaque_marker(e) if e.opaque else b"") for e in members) + END)
D, F, W = Kind.DIRECTORY, Kind.FILE, Kind.WHITEOUT
layers = [
    [LayerEntry("d", D, mode=0o755), LayerEntry("d/a", F, mode=0o644), LayerEntry("d/b", F, mode=0o644),
     LayerEntry("o", D, mode=0o755), LayerEntry("o/old", F, mode=0o644), LayerEntry("top", F, mode=0o644)],
    [LayerEntry("d", D, mode=0o755), LayerEntry("d/a", W), LayerEntry("o", D, mode=0o755, opaque=True),
     LayerEntry("o/new", F, mode=0o644), LayerEntry("top", W)],
]
for number, members in enumerate(layers):
    os.makedirs(f"{here}/{number}")
    extract(tar(*members), f"{here}/{number}", whiteouts="overlay-user", owners="index", devices="skip")
os.mkdir(f"{here}/m")
libc = ctypes.CDLL(None, use_errno=True)
options = f"userxattr,lowerdir={here}/1:{here}/0".encode()
if libc.mount(b"overlay", f"{here}/m".encode(), b"overlay", 0, options):
    raise OSError(ctypes.get_errno(), "mount")
print(sorted(os.path.relpath(os.path.join(f, n), f"{here}/m") for f, d, n_ in os.walk(f"{here}/m") for n in d + n_))
"""


def test_the_kernel_understands_an_ordinary_users_whiteouts():
    user = OrdinaryUser()
    try:
        assert user.run(ROOTLESS_OVERLAY, user.home / "overlay").strip() == "['d', 'd/b', 'o', 'o/new']"
    finally:
        user.close()


def test_tar_text_of_a_stack_is_no_secret(tmp_path):
    """The example of the image-spec: a whiteout and an opaque whiteout are equivalent ways of deleting."""
    base = [directory("a"), directory("a/b"), directory("a/b/c"), file("a/b/c/bar")]
    by_name = [directory("a"), file("a/.wh.b"), directory("a/b"), directory("a/b/c"), file("a/b/c/foo")]
    by_opaque = [directory("a"), file("a/.wh..wh..opq"), directory("a/b"), directory("a/b/c"), file("a/b/c/foo")]
    paths = [list(MergedView(stack(base, top))) for top in (by_name, by_opaque)]
    assert paths[0] == paths[1] == ["a", "a/b", "a/b/c", "a/b/c/foo"]
    assert LayerEntry("a/b", Kind.WHITEOUT) not in list(index(*by_name))
    extract(io.BytesIO(tar_of(*by_name).getvalue()), tmp_path, owners="index", whiteouts="overlay-user")
