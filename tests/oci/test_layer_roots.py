"""Looking up paths inside a root, by the kernel and by hand: the same answers, and never outside."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trees import names, scratch

from pydockmagic.oci.errors import UnsafePath
from pydockmagic.oci.layer import make_parents_in_root, open_beneath, open_in_root, open_root, resolve_in_root, roots


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "root"
    (top / "usr/bin").mkdir(parents=True)
    (top / "usr/bin/sh").write_text("inside")
    (top / "bin").symlink_to("usr/bin")
    (top / "abs").symlink_to("/usr")
    (top / "up").symlink_to("../../..")
    (top / "loop").symlink_to("loop")
    (top / "out").symlink_to("/etc")
    (tmp_path / "usr").mkdir()
    fd = open_root(top)
    yield fd
    os.close(fd)


@pytest.fixture(params=["openat2", "walk"])
def way(request, monkeypatch):
    if request.param == "walk":
        monkeypatch.setattr(roots, "has_openat2", lambda: False)


def content(fd):
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "path",
    ["usr/bin/sh", "/usr/bin/sh", "bin/sh", "/bin/sh", "abs/bin/sh", "up/bin/sh", "../../bin/sh", "usr/../bin/sh"],
)
def test_all_ways_lead_to_the_same_file(root, way, path):
    assert content(open_in_root(root, path, os.O_RDONLY)) == b"inside"
    assert resolve_in_root(root, path) == "usr/bin/sh"


def test_what_is_missing_inside_is_missing_although_it_is_outside(root, way):
    for path in ("out/passwd", "/etc", "up/etc/passwd"):
        with pytest.raises(FileNotFoundError):
            open_in_root(root, path, os.O_RDONLY)


def test_circles_and_files_on_the_way_are_the_kernels_errors(root, way):
    with pytest.raises(OSError, match="Too many levels"):
        open_in_root(root, "loop", os.O_RDONLY)
    with pytest.raises(OSError, match="Too many levels"):
        resolve_in_root(root, "loop/x")
    with pytest.raises(NotADirectoryError):
        open_in_root(root, "usr/bin/sh/x", os.O_RDONLY)
    with pytest.raises(NotADirectoryError):
        resolve_in_root(root, "usr/bin/sh/x")


def test_magic_links_are_not_followed():
    fd = open_root("/proc")
    try:
        with pytest.raises(OSError, match=r"Too many levels|No such file"):
            os.close(open_in_root(fd, "self/cwd", os.O_RDONLY))
    finally:
        os.close(fd)


def test_the_last_link_may_be_spared(root, way):
    assert resolve_in_root(root, "usr/../bin", follow_last=False) == "bin"
    fd = open_in_root(root, "bin", os.O_PATH | os.O_NOFOLLOW)
    assert stat.S_ISLNK(os.fstat(fd).st_mode)
    os.close(fd)


def test_beneath_means_no_links_at_all(root, way):
    assert content(open_beneath(root, "usr/bin/sh", os.O_RDONLY)) == b"inside"
    for path in ("bin/sh", "abs/bin/sh", "up"):
        with pytest.raises(OSError, match="Too many levels"):
            open_beneath(root, path, os.O_RDONLY)
    fd = open_beneath(root, "bin", os.O_PATH | os.O_NOFOLLOW)
    assert stat.S_ISLNK(os.fstat(fd).st_mode)
    os.close(fd)
    for path in ("..", "../usr", "usr/../../usr"):
        with pytest.raises((OSError, UnsafePath)):
            os.close(open_beneath(root, path, os.O_RDONLY))


def test_the_empty_path_is_the_root(root, way):
    for path in ("", "."):
        fd = open_beneath(root, path, os.O_RDONLY | os.O_DIRECTORY)
        assert os.path.sameopenfile(fd, root) or os.fstat(fd).st_ino == os.fstat(root).st_ino
        os.close(fd)
    assert resolve_in_root(root, "/") == resolve_in_root(root, "../..") == ""


def test_files_are_created_inside(root, way, tmp_path):
    os.close(open_in_root(root, "/up/bin/new", os.O_WRONLY | os.O_CREAT, 0o600))
    assert names(tmp_path / "root/usr/bin") == ["new", "sh"]
    with pytest.raises(FileNotFoundError):
        open_in_root(root, "out/new", os.O_WRONLY | os.O_CREAT)


def test_a_missing_tail_is_taken_as_it_stands(root):
    assert resolve_in_root(root, "bin/new/dir/../file") == "usr/bin/new/file"
    assert resolve_in_root(root, "out/passwd") == "etc/passwd"
    assert resolve_in_root(root, "new/../../../bin") == "usr/bin"


@pytest.mark.root
def test_directories_are_made_with_owner_mode_and_time(root, tmp_path):
    resolved, made = make_parents_in_root(root, "/bin/a/b", 0o750, (5, 6), mtime_ns=7 * 10**9)
    assert (resolved, made) == ("usr/bin/a/b", ["usr/bin/a", "usr/bin/a/b"])
    for path in made:
        status = (tmp_path / "root" / path).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime) == (0o750, 5, 6, 7)
    assert make_parents_in_root(root, "bin/a/b") == ("usr/bin/a/b", [])
    with pytest.raises(NotADirectoryError):
        make_parents_in_root(root, "bin/sh/x")


def test_modes_do_not_depend_on_the_umask(root, tmp_path):
    before = os.umask(0o077)
    try:
        make_parents_in_root(root, "new/dir", 0o777)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "root/new").stat().st_mode) == 0o777


def test_the_parent_of_an_entry_is_found_inside(root, way):
    with roots.parent_in_root(root, "abs/bin/new") as (fd, name):
        assert name == "new"
        assert names(roots.fd_path(fd)) == ["sh"]
    for path in ("", "/", ".."):
        with pytest.raises(UnsafePath), roots.parent_in_root(root, path):
            pass


def test_removing_takes_files_links_and_trees_but_nothing_they_point_to(root, tmp_path):
    (tmp_path / "root/usr/out").symlink_to(tmp_path / "usr")
    (tmp_path / "root/usr/empty").mkdir()
    assert roots.remove_entry(root, "usr")
    assert roots.remove_entry(root, "bin")
    assert not roots.remove_entry(root, "missing")
    assert names(tmp_path / "root") == ["abs", "loop", "out", "up"]
    assert (tmp_path / "usr").is_dir()


NAMES = st.sampled_from(["a", "b", "c", "..", ".", ""])
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PATHS, st.sampled_from(["/", "", "../"]), PATHS), max_size=5), PATHS)
def test_our_walk_agrees_with_the_kernel(links, path):
    with scratch() as folder:
        for name in ("a/b/c", "b/c", "c"):
            (folder / name).mkdir(parents=True)
        root = open_root(folder)
        try:
            for place, lead, target in links:
                with suppress(OSError, UnsafePath), roots.parent_in_root(root, place) as (fd, name):
                    with suppress(OSError):
                        os.rmdir(name, dir_fd=fd)
                    os.symlink(lead + target or ".", name, dir_fd=fd)
            try:
                fd = roots._openat2(root, path.lstrip("/") or ".", os.O_PATH, 0, roots._RESOLVE_IN_ROOT)
            except OSError as exc:
                kernel = exc.errno
            else:
                kernel = str(Path(f"/proc/self/fd/{fd}").readlink()).removeprefix(str(folder)).lstrip("/")
                os.close(fd)
            try:
                ours = resolve_in_root(root, path)
                os.close(open_beneath(root, ours, os.O_PATH))
            except OSError as exc:
                ours = exc.errno
            # What is missing we take as it stands; the kernel says that it is missing.
            assert kernel in {ours, errno.ENOENT}
        finally:
            os.close(root)
