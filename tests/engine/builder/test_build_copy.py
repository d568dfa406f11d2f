"""COPY and ADD: where things go, what they look like there, and that they stay inside."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from support.building import context_tar

from pydockmagic.engine.errors import InvalidParameter

FILES = {"a": "1", "b": "22", "d/": "", "d/f": "3", "d/s/": "", "d/s/.h": "4", "d/l": "-> f"}


def added(world, instructions, files=FILES, **options):
    world.build({**files, "Dockerfile": "FROM base\n" + instructions}, **options)
    assert not world.error, world.error
    before = {"bin/", "bin/sh", "data/", "data/old", "etc/", "etc/group", "etc/passwd", "link"}
    return {name: text for name, text in world.tree().items() if name not in before}


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY a /x", {"x": "1"}),
        ("COPY a /x/", {"x/": "", "x/a": "1"}),
        ("COPY a b /x/", {"x/": "", "x/a": "1", "x/b": "22"}),
        ("COPY a /data", {"data/a": "1"}),
        ("COPY a data/", {"data/a": "1"}),
        ("COPY a .", {"a": "1"}),
        ("COPY d /x", {"x/": "", "x/f": "3", "x/l": "-> f", "x/s/": "", "x/s/.h": "4"}),
        ("COPY d/s /x/y/", {"x/": "", "x/y/": "", "x/y/.h": "4"}),
        ("COPY d/l /x", {"x": "3"}),
        ("COPY ? /x/", {"x/": "", "x/a": "1", "x/b": "22", "x/f": "3", "x/l": "-> f", "x/s/": "", "x/s/.h": "4"}),
        ("COPY d/[fg] /x", {"x": "3"}),
        ("COPY a /link/", {"data/a": "1"}),
        ("COPY a /link/new/deep/", {"data/new/": "", "data/new/deep/": "", "data/new/deep/a": "1"}),
        ("COPY ../a /x", None),
        ("COPY /a /x", {"x": "1"}),
        ("COPY ./d/../a /x", {"x": "1"}),
        ('COPY ["a","/sp ace"]', {"sp ace": "1"}),
        ("COPY --exclude=d/s d /x", {"x/": "", "x/f": "3", "x/l": "-> f"}),
        ("COPY --exclude=d/* --exclude=!d/s/.h d /x", {"x/": "", "x/s/": "", "x/s/.h": "4"}),
        ("COPY --parents d/f d/s /x/", {"x/": "", "x/d/": "", "x/d/f": "3", "x/d/s/": "", "x/d/s/.h": "4"}),
        ("COPY <<one <<two /x/\n1$HOME\none\n2\ntwo", {"x/": "", "x/one": "1\n", "x/two": "2\n"}),
        ("COPY --link a /x", {"x": "1"}),
    ],
)  # fmt: skip
def test_where_sources_go(world, instruction, expected):
    if expected is None:
        world.build({**FILES, "Dockerfile": f"FROM base\n{instruction}\n"})
        assert "forbidden path" in world.error["error"]
    else:
        assert added(world, instruction + "\n") == expected


def test_a_relative_destination_is_below_the_working_directory(world):
    assert added(world, "WORKDIR /w\nCOPY a sub/x\n") == {"w/": "", "w/sub/": "", "w/sub/x": "1"}


def test_a_file_takes_the_place_of_a_directory_and_the_other_way_round(world):
    files = {"one/": "", "one/data": "file", "two/": "", "two/etc/": "", "two/etc/passwd/": "", "two/etc/passwd/x": "1"}
    world.build({**files, "Dockerfile": "FROM base\nCOPY one /\nCOPY two /\n"})
    tree = world.tree()
    assert tree["data"] == "file"
    assert "data/old" not in tree
    assert tree["etc/passwd/x"] == "1"
    assert tree["etc/group"]


def test_directories_above_keep_what_they_are(world):
    layer = world.images.layer_dirs(world.images.get("base").chain_ids)[0]
    (layer / "data").chmod(0o2750)
    added(world, "COPY a /data/sub/x\n")
    found = world.stat("data")
    assert stat.S_IMODE(found.st_mode) == 0o2750
    assert found.st_mtime == 1_600_000_000
    assert stat.S_IMODE(world.stat("data/sub").st_mode) == 0o755
    assert os.listxattr(world.images.layer_dirs(world.images.get(world.image_id).chain_ids)[0] / "data") == []


@pytest.mark.root
def test_owners_and_modes(world):
    added(world, "COPY --chown=me:us a /x\nCOPY --chown=7 a /p/y\nCOPY --chown=3:4 --chmod=710 d /z\nCOPY a /w\n")
    assert (world.stat("x").st_uid, world.stat("x").st_gid) == (7, 8)
    assert (world.stat("p/y").st_uid, world.stat("p/y").st_gid) == (7, 7)
    assert (world.stat("p").st_uid, world.stat("p").st_gid) == (7, 7)
    assert stat.S_IMODE(world.stat("z/s/.h").st_mode) == 0o710
    assert (world.stat("z/f").st_uid, world.stat("w").st_uid) == (3, 0)


@pytest.mark.root
def test_files_of_another_stage_keep_their_owners_and_times(world):
    files = {**FILES, "Dockerfile": "FROM base AS s\nCOPY --chown=5:6 d /src\nFROM base\nCOPY --from=s /src /dst\n"}
    world.build(files)
    assert (world.stat("dst/f").st_uid, world.stat("dst/s/.h").st_gid) == (5, 6)
    world.build({"Dockerfile": "FROM base\nCOPY --from=base /data/old /copy\n"})
    assert world.stat("copy").st_mtime == 1_600_000_000


@pytest.mark.root
def test_file_capabilities_are_kept(world):
    layer = world.images.layer_dirs(world.images.get("base").chain_ids)[0]
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(layer / "bin" / "sh", "security.capability", capability)
    world.build("FROM base\nCOPY --from=base /bin/sh /one\nCOPY --from=base --chown=3:3 /bin/sh /two\n")
    one, two = world.images.layer_dirs(world.images.get(world.image_id).chain_ids)[1::-1]
    assert os.getxattr(one / "one", "security.capability") == capability
    assert os.getxattr(two / "two", "security.capability") == capability


def packed(mode):
    return context_tar({"p/": "", "p/f": "packed", "link/new": "through"}) if not mode else gzip.compress(packed(""))


@pytest.mark.parametrize("mode", ["", "gz"])
def test_add_takes_an_archive_apart_and_copy_does_not(world, mode):
    files = {"pack": packed(mode)}
    assert added(world, "ADD pack /u/\n", files) == {
        "u/": "", "u/link/": "", "u/link/new": "through", "u/p/": "", "u/p/f": "packed",
    }  # fmt: skip
    world.build({**files, "Dockerfile": "FROM base\nADD pack /\n"})
    tree = world.tree()
    assert tree["data/new"] == "through"
    assert tree["data/old"] == "old"
    world.build({**files, "Dockerfile": "FROM scratch\nADD --unpack=false pack /\n"})
    assert world.stat("pack").st_size == len(files["pack"])


def test_add_of_an_ordinary_file_is_a_copy(world):
    assert added(world, "ADD a /x\nADD d /y\n")["x"] == "1"


def hostile(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            data = b"evil" if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


ESCAPES = [
    [("../escape", tarfile.REGTYPE, "")],
    [("/escape", tarfile.REGTYPE, "")],
    [("l", tarfile.SYMTYPE, "/"), ("l/escape", tarfile.REGTYPE, "")],
    [("l", tarfile.SYMTYPE, "../../../.."), ("l/escape", tarfile.REGTYPE, "")],
    [("h", tarfile.LNKTYPE, "../../escape"), ("h", tarfile.REGTYPE, "")],
    [("dev", tarfile.BLKTYPE, "")],
]


def escaped(root):
    """Find what is named so; the trash empties itself meanwhile, which os.walk takes calmly and glob does not."""
    walk = os.walk(root)
    return {Path(folder, name) for folder, folders, files in walk for name in folders + files if "escape" in name}


@pytest.mark.parametrize("members", ESCAPES)
def test_a_hostile_archive_touches_nothing_outside(world, members):
    before = escaped(world.root)
    world.build({"Dockerfile": "FROM base\nADD pack /in/\n", "pack": hostile(*members)})
    outside = escaped(world.root) - before
    assert all("layers" in p.parts or "trash" in p.parts for p in outside)
    assert not os.path.lexists("/escape")


@pytest.mark.parametrize("members", ESCAPES)
def test_a_hostile_context_touches_nothing_outside(world, members):
    files = {"Dockerfile": "FROM base\nCOPY . /in/\n"}
    for name, kind, link in members:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        files[name + kind.decode()] = info
    with contextlib.suppress(InvalidParameter):  # refused is as good as harmless
        world.build(files)
    assert not os.path.lexists("/escape")
    assert not (world.root / "escape").exists()
    assert not (world.root / "builds" / "escape").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd", "/proc/self/environ"])
def test_a_link_in_the_context_leads_no_further_than_the_context(world, target):
    world.build({"Dockerfile": "FROM base\nCOPY evil /x\n", "evil": f"-> {target}"})
    assert world.error["error"].startswith("COPY failed: file not found in build context")


def test_a_link_in_the_image_leads_no_further_than_the_image(world, tmp_path):
    world.build({"Dockerfile": "FROM base\nCOPY l /\nCOPY a /l/out\n", "a": "1", "l/": "", "l/l": f"-> {tmp_path}"})
    assert not world.error
    assert world.tree()[f"{str(tmp_path)[1:]}/out"] == "1"
    assert not (tmp_path / "out").exists()
    world.build({"Dockerfile": "FROM base AS s\nCOPY l /\nFROM base\nCOPY --from=s /l/state.db /x\n",
                 "l/": "", "l/l": f"-> {world.root}"})  # fmt: skip
    assert "file does not exist" in world.error["error"]


def test_a_ring_of_links_is_an_error(world):
    world.build({"Dockerfile": "FROM base\nCOPY a /x\n", "a": "-> b", "b": "-> a"})
    assert "file does not exist" in world.error["error"]


def test_hard_links_of_a_stage_stay_hard_links(world):
    layer = world.images.layer_dirs(world.images.get("base").chain_ids)[0]
    os.link(layer / "data" / "old", layer / "data" / "twin")
    world.build("FROM base\nCOPY --from=base /data /copy\n")
    assert world.stat("copy/old").st_nlink == 2


def test_the_ignore_file_is_applied_here_too(world):
    files = {".dockerignore": "*.log\n!keep.log\nsecret\nDockerfile\nsub/*\n!sub/in\n", "a.log": "x", "keep.log": "x",
             "secret/": "", "secret/key": "k", "sub/": "", "sub/in": "1", "sub/out": "2", "only/": ""}  # fmt: skip
    assert added(world, "COPY . /x\n", files) == {
        "x/": "", "x/.dockerignore": files[".dockerignore"], "x/keep.log": "x", "x/sub/": "", "x/sub/in": "1",
        "x/only/": "",
    }  # fmt: skip
    world.build({**files, "Dockerfile": "FROM base\nCOPY secret/key /x\n"})
    assert "excluded by .dockerignore" in world.error["error"]


def test_a_compressed_context(world):
    world.send(gzip.compress(context_tar({"Dockerfile": "FROM base\nCOPY a /\n", "a": "1"})))
    assert world.tree()["a"] == "1"


def test_what_is_no_tar_is_refused(world):
    with pytest.raises(InvalidParameter, match="Error processing tar file"):
        world.send(b"no tar at all" * 100)


def test_a_large_context_goes_through_a_file(world):
    big = os.urandom(9 << 20)
    world.build({"Dockerfile": "FROM scratch\nCOPY big /\n", "big": big})
    layer = world.images.layer_dirs(world.images.get(world.image_id).chain_ids)[0]
    assert (layer / "big").read_bytes() == big
