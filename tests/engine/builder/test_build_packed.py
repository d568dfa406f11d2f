"""A tar as a tree, against the same tar unpacked."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydockmagic.engine.builder.packed import PackedTree
from pydockmagic.engine.builder.view import View
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.layer import extract

NAME = st.sampled_from(["a", "b", "c", "..", "."])
PATH = st.lists(NAME, min_size=1, max_size=3).map("/".join)
MEMBER = st.tuples(PATH, st.sampled_from("fdlh"), PATH, st.binary(max_size=5))


def archive(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, (name, kind, link, data) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.type = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}[kind]
            info.mode = 0o700 + number
            if kind in "lh":
                info.linkname = link
            if kind == "f":
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer


def shown(tree):
    out = {}
    for found in tree.walk(tree.root()):
        if found.is_file:
            with found.open() as stream:
                content = stream.read(100)
        else:
            content = found.read_link() if found.is_link else ""
        mode = 0 if found.is_link else found.status.st_mode
        out[found.path] = (stat.S_IFMT(found.status.st_mode), mode, content)
    return out


@settings(max_examples=150, deadline=None)
@given(st.lists(MEMBER, max_size=8))
def test_the_tree_is_what_unpacking_gives(members):
    folder = Path(tempfile.mkdtemp())
    try:
        data = archive(members)
        try:
            tree = PackedTree(data)
        except OciError:
            return
        try:
            extract(io.BytesIO(data.getvalue()), folder, whiteouts="keep", devices="skip", owners="index")
        except (OciError, OSError):
            return  # a disk has limits that a tree has not: a link to a directory that is not there yet
        assert shown(tree) == shown(View([folder]))
    finally:
        shutil.rmtree(folder)


def test_sparse_files_are_read_with_their_holes(tmp_path):
    with (tmp_path / "s").open("wb") as file:
        for at in (8192, 100_000):
            file.seek(at)
            file.write(b"data")
        file.truncate(150_000)
    for form in ("gnu", "pax"):
        packed = subprocess.run(
            ["tar", "-C", tmp_path, "--sparse", "--format", form, "-cf", "-", "s"], capture_output=True, check=True
        ).stdout
        tree = PackedTree(io.BytesIO(packed))
        found = tree.find("s")
        assert found is not None
        assert found.status.extents
        assert tree.read("s") == (tmp_path / "s").read_bytes()
        target = os.open(tmp_path / f"out-{form}", os.O_CREAT | os.O_WRONLY)
        found.write_to(target)
        os.close(target)
        assert (tmp_path / f"out-{form}").read_bytes() == (tmp_path / "s").read_bytes()


def test_a_file_upload_reads_like_one_in_memory(tmp_path):
    data = archive([("a", "f", "", b"123"), ("b", "h", "a", b"")]).getvalue()
    (tmp_path / "t").write_bytes(data)
    with (tmp_path / "t").open("rb") as file:
        tree = PackedTree(file)
        assert tree.read("b") == b"123"
        assert tree.find("a").status is tree.find("b").status
        tree.remove(tree.find("a"))
        assert tree.find("a") is None


IMPOSSIBLE = [
    [("../x", "f", "", b"")],
    [("a", "h", "nothing", b"")],
    [("a", "f", "", b""), ("a/b", "f", "", b"")],
]


@pytest.mark.parametrize("members", IMPOSSIBLE)
def test_what_cannot_be_a_tree_is_refused(members):
    with pytest.raises(OciError):
        PackedTree(archive(members))


def test_devices_are_left_out():
    info = tarfile.TarInfo("dev")
    info.type = tarfile.CHRTYPE
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(info)
    assert list(PackedTree(buffer).children(PackedTree(buffer).root())) == []
