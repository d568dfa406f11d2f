"""File trees as data: make one, look at one, think one up (hypothesis)."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from pydockmagic.oci.layer import Kind, LayerEntry
from pydockmagic.oci.layer.header import END, encode_entry, encode_opaque_marker, padding


def snapshot(root, *, times=True, unreachable=False):
    """Give path -> everything that counts of every entry below a directory, content and hard links included.

    ``unreachable``: names that are listed but cannot be looked up are passed over.
    """
    root = os.fsencode(root)
    found, inodes = {}, {}
    for folder, directories, files in os.walk(root):
        for name in sorted(directories + files):
            full = folder + b"/" + name
            try:
                status = os.lstat(full)
            except FileNotFoundError:
                assert unreachable, full
                continue
            path = os.fsdecode(full[len(root) + 1 :])
            kind = stat.S_IFMT(status.st_mode)
            value = ""
            if kind == stat.S_IFREG:
                value = Path(os.fsdecode(full)).read_bytes()
            elif kind == stat.S_IFLNK:
                value = os.fsdecode(os.readlink(full))  # noqa: PTH115 - a path of bytes
            elif kind in {stat.S_IFCHR, stat.S_IFBLK}:
                value = status.st_rdev
            first = inodes.setdefault((status.st_dev, status.st_ino), path) if kind != stat.S_IFDIR else path
            is_whiteout = kind == stat.S_IFCHR and status.st_rdev == 0
            mtime = status.st_mtime_ns // 10**9 if times and not is_whiteout else 0
            xattrs = {} if kind == stat.S_IFLNK else attributes(full)
            owner = (status.st_uid, status.st_gid)
            found[path] = (kind, stat.S_IMODE(status.st_mode), owner, mtime, value, first, xattrs)
    return found


def names(folder):
    """Give the sorted names in a directory."""
    return sorted(path.name for path in Path(folder).iterdir())


def attributes(path):
    return {
        name: os.getxattr(path, name)
        for name in os.listxattr(path)
        if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay."))
    }


def tar_of(*members, end=True):
    """Join (entry, content) pairs, entries or raw bytes into a tar, with our own writer and no checks."""
    out = []
    for member in members:
        entry, content = member if isinstance(member, tuple) else (member, b"")
        if isinstance(entry, bytes):
            out.append(entry)
            continue
        out.append(encode_entry(entry))
        if entry.opaque:
            out.append(encode_opaque_marker(entry))
        out += [content, bytes(padding(len(content)))]
    return io.BytesIO(b"".join(out) + (END if end else b""))


def file(path, content=b"", **fields):
    return LayerEntry(path, Kind.FILE, len(content), **{"mode": 0o644, **fields}), content


def directory(path, **fields):
    return LayerEntry(path, Kind.DIRECTORY, **{"mode": 0o755, **fields})


def symlink(path, target, **fields):
    return LayerEntry(path, Kind.SYMLINK, mode=0o777, linkname=target, **fields)


def hardlink(path, target, **fields):
    return LayerEntry(path, Kind.HARDLINK, linkname=target, **{"mode": 0o644, **fields})


def whiteout(path):
    return LayerEntry(path, Kind.WHITEOUT)


def by_tarfile(*members):
    """Write a tar with the standard library: ``(TarInfo, content)`` pairs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


NAMES = st.sampled_from(["a", "b", "c", "a-b", "a.b", "ab", "ü", "\udcff", "x" * 101, "d\n", "..c", " ", "é" * 60])
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o2755, 0o1777, 0o000, 0o444])
TIMES = st.sampled_from([0, 1, 1_700_000_000, 2**33 + 5, -3])
OWNERS = st.sampled_from([0, 1, 1000, 65534, 3_000_000])
XATTRS = st.sampled_from([(), (("user.note", b"hello\n\0=1"),), (("user.a", b""), ("user.ü", b"\xff"))])
CONTENTS = st.one_of(st.binary(max_size=40), st.sampled_from([b"x" * 511, b"y" * 512, b"z" * 513, b"w" * 70_000]))
TARGETS = st.sampled_from(["a", "../b", "/etc/x", "ü", "\udcff", "t" * 120, "é" * 70, "a/b/c", "."])


@st.composite
def entries(draw, *, owners=OWNERS, whiteouts=True, devices=False):
    """Think up the entries of one layer, sorted, parents present, as (entry, content)."""
    made = {}
    _fill(draw, "", 3, made, (owners, whiteouts, devices))
    return made


def _fill(draw, prefix, depth, made, options):
    owners, whiteouts, devices = options
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        path = prefix + name
        kinds = ["file", "file", "symlink", "fifo", "link"] + ["directory"] * 3 * (depth > 0)
        kinds += ["whiteout"] * whiteouts + ["device"] * devices
        kind = draw(st.sampled_from(kinds))
        meta = {"mode": draw(MODES), "uid": draw(owners), "gid": draw(owners), "mtime": draw(TIMES)}
        if kind == "directory":
            opaque = whiteouts and draw(st.booleans())
            made[path] = LayerEntry(path, Kind.DIRECTORY, xattrs=draw(XATTRS), opaque=opaque, **meta), b""
            _fill(draw, path + "/", depth - 1, made, (owners, whiteouts and not opaque, devices))
        elif kind == "file":
            content = draw(CONTENTS)
            made[path] = LayerEntry(path, Kind.FILE, len(content), xattrs=draw(XATTRS), **meta), content
        elif kind == "symlink":
            made[path] = LayerEntry(path, Kind.SYMLINK, linkname=draw(TARGETS), **meta | {"mode": 0o777}), b""
        elif kind == "fifo":
            made[path] = LayerEntry(path, Kind.FIFO, **meta), b""
        elif kind == "device":
            made[path] = LayerEntry(path, Kind.CHARACTER_DEVICE, device=(1, 3), **meta), b""
        elif kind == "whiteout":
            made[path] = whiteout(path), b""
        elif files := [entry for entry, _ in made.values() if entry.kind in {Kind.FILE, Kind.FIFO}]:
            made[path] = hardlink(path, draw(st.sampled_from(files)).path), b""


@contextmanager
def scratch():
    """Give a new empty directory (hypothesis runs many examples in one test)."""
    with TemporaryDirectory(prefix="pydock-test-") as name:
        folder = Path(name) / "root"
        folder.mkdir()
        yield folder
