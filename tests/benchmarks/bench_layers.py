"""Layers of many files and of one large file: ours against GNU tar and sha256sum, in turn, in memory."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from pydockmagic.oci.layer import LayerIndex, MergedView, extract, iter_tar, scan, wasted_by_layer, write_tar

from .pairs import bound, compare, milliseconds

FOLDERS, FILES, MEAN = 1000, 100, 4180


def many_files(folder: Path) -> None:
    """Make 100,000 files, 400 MB, sizes spread as in real images: many small ones, few large."""
    dice = random.Random(1)
    data = os.urandom(1 << 16)
    for outer in range(FOLDERS):
        below = folder / f"directory{outer:04}"
        below.mkdir()
        for inner in range(FILES):
            size = min(len(data), int(dice.expovariate(1 / MEAN)))
            (below / f"file{inner:03}.txt").write_bytes(data[:size])


def scanning(folder: Path) -> None:
    """Index and digest of a tree, against a tar that is only hashed."""
    compare(
        "scan: index + sha256, 100,000 files",
        lambda: scan(folder),
        lambda: subprocess.run(
            f"tar --sort=name -C {folder} -cf - . | sha256sum", shell=True, check=True, capture_output=True
        ),
        peer_name="tar | sha256sum (two processes)",
        goal=0.5,
        runs=5,
    )


def unpacking(folder: Path, work: Path) -> None:
    """Unpacking with index and digest, against tar and sha256sum, one after the other and at once."""
    archive, target = work / "layer.tar", work / "target"
    with archive.open("wb") as out:
        write_tar(folder, out)

    def fresh() -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()

    def ours() -> None:
        with archive.open("rb") as stream:
            extract(stream, target)

    def theirs() -> None:
        subprocess.run(["tar", "-C", target, "-xpf", archive], check=True)
        subprocess.run(["sha256sum", archive], check=True, capture_output=True)

    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(4):
        for action in (ours, theirs):
            fresh()
            times[action.__name__].append(milliseconds(action))
    # The best of each: this is work of the processor alone, and whatever else runs here only adds to it.
    best, peer = min(times["ours"]), min(times["theirs"])
    print(
        f"{'extract: index + sha256, 100,000 files':<48}{best:>9.1f} ms   tar + sha256sum {peer:.1f} ms   "
        f"{peer / best:.1f} times as fast   (goal 0.5: {'met' if peer / best >= 0.5 else 'MISSED'})",
        flush=True,
    )
    fresh()


def indexes(folder: Path) -> None:
    """What ``%layers`` does with the index of 100,000 files."""
    index = scan(folder).index
    data = index.encode()
    print(f"{'index of 100,000 files on disk':<48}{len(data) / 1e6:>9.1f} MB", flush=True)
    bound("index: load", lambda: milliseconds(lambda: LayerIndex.decode(data)), goal=50)
    bound(
        "index: merge two layers, count waste", lambda: milliseconds(lambda: wasted_by_layer([index, index])), goal=500
    )
    view = MergedView([index])
    bound("index: list one directory", lambda: milliseconds(lambda: view.children("directory0500")), goal=10)


def one_large_file(work: Path) -> None:
    """One file of a gigabyte."""
    folder = work / "large"
    folder.mkdir()
    with (folder / "file").open("wb") as out:
        block = os.urandom(1 << 20)
        for _ in range(1024):
            out.write(block)
    compare(
        "scan: one file of 1 GiB",
        lambda: scan(folder),
        lambda: subprocess.run(f"tar -C {folder} -cf - . | sha256sum", shell=True, check=True, capture_output=True),
        peer_name="tar | sha256sum",
        goal=0.8,
        runs=3,
    )
    bound("write: one file of 1 GiB", lambda: milliseconds(lambda: [None for _ in iter_tar(folder)]), goal=2000, runs=3)


def main() -> None:
    """Run all, in memory where the machine has a memory file system."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        work = Path(name)
        folder = work / "source"
        folder.mkdir()
        many_files(folder)
        scanning(folder)
        unpacking(folder, work)
        indexes(folder)
        shutil.rmtree(folder)
        one_large_file(work)
