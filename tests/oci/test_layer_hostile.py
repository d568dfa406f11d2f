"""Archives that want out: nothing beside the root is ever read, made, changed or removed."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.trees import directory, file, hardlink, names, scratch, snapshot, symlink, tar_of, whiteout

from pydockmagic.oci.errors import LayerError, OciError, UnsafePath
from pydockmagic.oci.layer import Kind, LayerEntry
from pydockmagic.oci.layer import extract as extract_as
from pydockmagic.oci.layer import roots as roots_module

MODES = ["overlay-user", "apply", "keep"]
OWNERS = "disk" if os.geteuid() == 0 else "index"


def extract(*arguments, **options):
    """Unpack with real owners where we may."""
    return extract_as(*arguments, owners=OWNERS, **options)


@pytest.fixture(params=["openat2", "walk"])
def beside(tmp_path, request, monkeypatch):
    """A root, and beside it what must stay as it is; with and without the kernel's help."""
    if request.param == "walk":
        monkeypatch.setattr(roots_module, "has_openat2", lambda: False)
    (tmp_path / "root").mkdir()
    outside = tmp_path / "outside"
    (outside / "dir").mkdir(parents=True)
    (outside / "secret").write_text("secret")
    (outside / "dir/file").write_text("file")
    before = snapshot(outside)
    yield tmp_path / "root"
    assert snapshot(outside) == before
    assert names(tmp_path) == ["outside", "root"]


HOSTILE = {
    "dot-dot name": [file("../outside/new")],
    "dot-dot in the middle": [directory("d"), file("d/../../outside/new")],
    "dot-dot alone": [file("..", b"x")],
    "dot-dot directory": [directory("../outside/dir", mode=0o777)],
    "dot-dot whiteout": [file("../outside/.wh.secret")],
    "dot-dot opaque": [file("../outside/.wh..wh..opq")],
    "absolute name": [file("/../outside/new")],
    "absolute link parent": [symlink("l", "{outside}"), file("l/new")],
    "relative link parent": [symlink("l", "../outside"), file("l/new")],
    "link over the root": [symlink("l", "../../../../../../../../{outside}"), file("l/secret", b"x")],
    "chain of links": [symlink("a", "b"), symlink("b", "../outside"), file("a/new")],
    "link through a directory": [directory("d"), symlink("d/l", "../../outside"), file("d/l/dir/new")],
    "link as last name": [symlink("l", "../outside/secret"), file("l", b"overwritten")],
    "directory over a link": [symlink("l", "../outside/dir"), directory("l", mode=0o700), file("l/new")],
    "whiteout through a link": [symlink("l", "../outside"), file("l/.wh.secret")],
    "opaque through a link": [symlink("l", "../outside"), file("l/.wh..wh..opq")],
    "hard link out": [hardlink("h", "../outside/secret"), file("h", b"x")],
    "absolute hard link": [hardlink("h", "{outside}/secret"), file("h", b"x")],
    "hard link through a link": [symlink("l", "../outside"), hardlink("h", "l/secret")],
    "hard link of a link": [symlink("l", "../outside/secret"), hardlink("h", "l"), file("h", b"x")],
    "hard link into a link": [symlink("l", "../outside"), file("f"), hardlink("l/new", "f")],
    "link swapped in": [directory("d"), file("d/f"), symlink("d", "../outside/dir"), file("d/file", b"x")],
    "link swapped for a cached parent": [file("d/e/1"), symlink("d", "../outside"), file("d/e/2"), file("d/dir/file")],
    "node through a link": [symlink("l", "../outside"), LayerEntry("l/pipe", Kind.FIFO)],
    "link through a link": [symlink("l", "../outside"), symlink("l/new", "x")],
    "whiteout of a link": [symlink("l", "../outside/dir"), whiteout("l")],
    "magic link": [symlink("l", "/proc/self/cwd"), file("l/new")],
    "circle": [symlink("a", "b"), symlink("b", "a"), file("a/x")],
    "nul": [file("a\0/../../outside/new")],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_outside_is_touched(beside, name, mode):
    outside = str(beside.parent / "outside")
    members = []
    for member in HOSTILE[name]:
        entry, content = member if isinstance(member, tuple) else (member, b"")
        members.append((replace(entry, linkname=entry.linkname.replace("{outside}", outside)), content))
    with suppress(OciError, OSError):
        extract(tar_of(*members), beside, whiteouts=mode, devices="refuse")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "./../x", "a/b/../../../x"])
def test_names_that_climb_out_are_refused_by_name(tmp_path, name):
    with pytest.raises(UnsafePath, match="outside of the root"):
        extract(tar_of(file(name)), tmp_path)


@pytest.mark.parametrize(
    ("name", "path"), [("/a", "a"), ("./a", "a"), ("a//b", "a/b"), ("/../a", "a"), ("b/../a", "a")]
)
def test_names_that_only_look_odd_are_cleaned(tmp_path, name, path):
    layer = extract(tar_of(file(name, b"x")), tmp_path)
    assert (tmp_path / path).read_bytes() == b"x"
    assert path in layer.index.paths


def test_links_may_point_out_but_are_never_followed_out(beside):
    extract(tar_of(symlink("l", "../outside/secret"), symlink("m", "/etc/passwd")), beside)
    assert (beside / "l").readlink().as_posix() == "../outside/secret"
    assert (beside / "m").readlink().as_posix() == "/etc/passwd"


def test_an_absolute_link_means_a_place_inside(beside):
    extract(tar_of(directory("real"), symlink("l", "/real"), file("l/x", b"1")), beside)
    assert (beside / "real/x").read_bytes() == b"1"


def test_hard_links_to_symlinks_link_the_symlink_itself(beside):
    extract(tar_of(symlink("l", "../outside/secret"), hardlink("h", "l")), beside)
    assert (beside / "h").is_symlink()


@pytest.mark.parametrize(
    "name",
    ["trusted.overlay.redirect", "user.overlay.redirect", "trusted.overlay.opaque", "security.selinux", "trusted.x"],
)
def test_attributes_that_steer_the_kernel_are_never_set(beside, name):
    layer = extract(tar_of(directory("d", xattrs=((name, b"/outside"),)), file("f", xattrs=((name, b"y"),))), beside)
    assert os.listxattr(beside / "d") == []
    assert os.listxattr(beside / "f") == []
    assert all(not entry.xattrs for entry in layer.index)


@pytest.mark.parametrize("mode", MODES)
def test_devices_can_be_kept_out(beside, mode):
    node = LayerEntry("sda", Kind.BLOCK_DEVICE, mode=0o666, device=(8, 0))
    with pytest.raises(UnsafePath):
        extract(tar_of(node), beside, whiteouts=mode, devices="refuse")
    assert len(extract(tar_of(node), beside, whiteouts=mode, devices="skip").index) == 0
    assert names(beside) == []


def test_removing_a_tree_follows_no_link(beside):
    extract(tar_of(directory("d"), symlink("d/l", "../../outside"), directory("d/e"), symlink("d/e/m", "/")), beside)
    extract(tar_of(file("d", b"now a file")), beside)
    assert (beside / "d").read_bytes() == b"now a file"


PIECES = st.sampled_from(
    ["..", "outside", "a", "b", "l", ".", "", "dir", "secret", ".wh.a", ".wh..wh..opq", ".wh.secret"]
)
PATHS = st.lists(PIECES, min_size=1, max_size=4).map("/".join)
ANY_MEMBER = st.one_of(
    PATHS.map(lambda p: file(p, b"data")),
    PATHS.map(directory),
    st.tuples(PATHS, PATHS).map(lambda pair: symlink(*pair)),
    st.tuples(PATHS, st.sampled_from(["/", "../", "../../"]), PATHS).map(lambda t: symlink(t[0], t[1] + t[2])),
    st.tuples(PATHS, PATHS).map(lambda pair: hardlink(*pair)),
    PATHS.map(lambda p: LayerEntry(p, Kind.FIFO)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY_MEMBER, max_size=7), st.sampled_from(MODES), st.booleans())
def test_whatever_an_archive_holds_it_stays_inside(members, mode, by_kernel):
    with scratch() as root, pytest.MonkeyPatch.context() as patch:
        if not by_kernel:
            patch.setattr(roots_module, "has_openat2", lambda: False)
        outside = root.parent / "outside"
        (outside / "dir").mkdir(parents=True)
        (outside / "secret").write_text("secret")
        before = snapshot(outside)
        with suppress(OciError, OSError):
            extract(tar_of(*members), root, whiteouts=mode)
        assert snapshot(outside) == before
        assert names(root.parent) == ["outside", "root"]


def test_a_root_that_changes_under_our_feet_is_not_left(beside):
    """Somebody inside (a running container) swaps a directory for a link out, again and again."""
    (beside / "d").mkdir()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            with suppress(OSError):
                (beside / "d").rename(beside / "aside")
                (beside / "d").symlink_to("../outside")
                (beside / "d").unlink()
                (beside / "aside").rename(beside / "d")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(200):
            with suppress(LayerError, OSError):
                extract(tar_of(file(f"d/new{number}"), file("d/dir/file", b"x")), beside, whiteouts="keep")
    finally:
        stop.set()
        thread.join()
