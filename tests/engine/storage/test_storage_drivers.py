"""Both drivers, one set of claims: whoever is above them cannot tell which one is at work."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pydockmagic.engine.storage import Trash, mounts, open_driver, probe
from pydockmagic.engine.storage.copy import CopyDriver
from pydockmagic.engine.storage.driver import StorageDriver
from pydockmagic.engine.storage.form import is_opaque, is_whiteout, make_opaque, make_whiteout, merged
from pydockmagic.engine.storage.overlay import OverlayDriver

pytestmark = pytest.mark.root

Layers = Callable[..., list[Path]]


@pytest.fixture
def data_root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "data"
    root.mkdir()
    yield root
    assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(tmp_path) in line]
    assert Trash(root / "trash").wait(30)
    assert not list((root / "trash").iterdir())


@pytest.fixture(params=["overlay2", "vfs"])
def driver(request: pytest.FixtureRequest, data_root: Path) -> Iterator[StorageDriver]:
    made: StorageDriver
    if request.param == "vfs":
        made = CopyDriver(data_root)
    else:
        found = probe(data_root)
        assert found.driver == "overlay2", found.reason
        made = open_driver(data_root, found)
    yield made
    for key in made.keys():  # noqa: SIM118 - a driver is no mapping
        made.remove(key)


@pytest.fixture
def layers(data_root: Path) -> Layers:
    """Make layers from {path: text} (a path with a slash at its end is a directory); give them topmost first."""

    def make(*contents: dict[str, str]) -> list[Path]:
        made = []
        for content in contents:
            layer = data_root / "layers" / str(len(list(data_root.glob("layers/*")))) / "diff"
            layer.mkdir(parents=True)
            for name, text in content.items():
                path = layer / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if name.endswith("/"):
                    path.mkdir(exist_ok=True)
                else:
                    path.write_text(text)
            made.append(layer)
        return made[::-1]

    return make


def tree(root: Path) -> dict[str, str]:
    """Show a directory as {path: what it is}."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(root))
        if is_whiteout(str(path), status):
            found[name] = "<whiteout>"
        elif stat.S_ISDIR(status.st_mode):
            found[name] = "<opaque>" if is_opaque(str(path)) else "<directory>"
        elif stat.S_ISLNK(status.st_mode):
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_text()
    return found


def test_upper_layers_hide_lower_ones(driver: StorageDriver, layers: Layers) -> None:
    stack = layers({"a": "1", "b": "1", "d/x": "1"}, {"b": "2", "d/y": "2"}, {"c": "3"})
    driver.create("k", stack)
    root = driver.mount("k")
    assert tree(root) == {"a": "1", "b": "2", "c": "3", "d": "<directory>", "d/x": "1", "d/y": "2"}
    driver.unmount("k")


def test_whiteouts_and_opaque_directories_of_layers_hide_what_is_below(driver: StorageDriver, layers: Layers) -> None:
    stack = layers({"gone": "1", "kept": "1", "d/x": "1", "e/x": "1", "f/x": "1"}, {"d/y": "2", "f": "a file now"})
    make_whiteout(str(stack[0] / "gone"))
    make_whiteout(str(stack[0] / "e"))
    make_opaque(str(stack[0] / "d"))
    driver.create("k", stack)
    root = driver.mount("k")
    assert tree(root) == {"d": "<directory>", "d/y": "2", "f": "a file now", "kept": "1"}
    driver.unmount("k")


def test_changes_hold_what_was_written_and_whiteouts_for_what_was_deleted(
    driver: StorageDriver, layers: Layers
) -> None:
    driver.create("k", layers({"kept": "1", "changed": "1", "gone": "1", "d/x": "1", "deep/er/gone": "1"}))
    root = driver.mount("k")
    (root / "changed").write_text("2")
    (root / "gone").unlink()
    (root / "new").mkdir()
    (root / "new" / "file").write_text("n")
    (root / "link").symlink_to("/kept")
    (root / "deep" / "er" / "gone").unlink()
    driver.unmount("k")
    assert tree(driver.changes("k")) == {
        "changed": "2",
        "gone": "<whiteout>",
        "new": "<directory>",
        "new/file": "n",
        "link": "-> /kept",
        "deep": "<directory>",
        "deep/er": "<directory>",
        "deep/er/gone": "<whiteout>",
    }


def test_nothing_touched_is_no_change(driver: StorageDriver, layers: Layers) -> None:
    driver.create("k", layers({"a": "1", "d/x": "1"}, {"d/y": ""}))
    driver.mount("k")
    driver.unmount("k")
    assert tree(driver.changes("k")) == {}
    assert tree(driver.changes("k")) == {}


def test_metadata_alone_is_a_change(driver: StorageDriver, layers: Layers) -> None:
    driver.create("k", layers({"mode": "1", "owner": "1", "xattr": "1", "time": "1", "d/": ""}))
    root = driver.mount("k")
    (root / "mode").chmod(0o751)
    os.setxattr(root / "xattr", "user.note", b"n")
    os.utime(root / "time", (1, 1))
    (root / "d").chmod(0o700)
    driver.unmount("k")
    changes = driver.changes("k")
    assert tree(changes).keys() == {"mode", "xattr", "time", "d"}
    assert stat.S_IMODE((changes / "mode").stat().st_mode) == 0o751
    assert os.getxattr(changes / "xattr", "user.note") == b"n"
    assert (changes / "time").stat().st_mtime == 1


def test_a_change_that_leaves_size_and_time_as_they_were_is_seen(driver: StorageDriver, layers: Layers) -> None:
    driver.create("k", layers({"a": "one", "d/x": "one", "e/x": "two"}))
    root = driver.mount("k")
    before = (root / "a").stat()
    (root / "a").write_text("two")
    os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    driver.unmount("k")
    assert tree(driver.changes("k")) == {"a": "two"}


def test_an_adopted_layer_gives_the_same_view_to_the_next_container(driver: StorageDriver, layers: Layers) -> None:
    stack = layers({"a": "1", "gone": "1", "d/x": "1", "d/y": "1", "swap": "1"})
    driver.create("k", stack)
    root = driver.mount("k")
    (root / "a").write_text("2")
    (root / "gone").unlink()
    (root / "d" / "x").unlink()
    (root / "d" / "y").unlink()
    (root / "d").rmdir()
    (root / "d").mkdir()
    (root / "d" / "z").write_text("new")
    (root / "swap").unlink()
    (root / "swap").mkdir()
    (root / "swap" / "in").write_text("side")
    expected = tree(root)
    driver.unmount("k")
    layer = stack[0].parents[1] / "adopted"
    driver.adopt("k", layer)
    assert driver.keys() == []
    driver.create("next", [layer, *stack])
    assert tree(driver.mount("next")) == {k: v.replace("opaque", "directory") for k, v in expected.items()}
    driver.unmount("next")


def test_renamed_directories_of_equal_looking_files_are_changes(driver: StorageDriver, layers: Layers) -> None:
    stack = layers({"one/f": "aaa", "two/f": "bbb"})
    for path in stack[0].rglob("*"):
        os.utime(path, (1, 1))
    driver.create("k", stack)
    root = driver.mount("k")
    subprocess.run(["sh", "-c", "mv one t && mv two one && mv t two"], cwd=root, check=True)
    driver.unmount("k")
    layer = stack[0].parents[1] / "adopted"
    driver.adopt("k", layer)
    driver.create("next", [layer, *stack])
    view = driver.mount("next")
    assert ((view / "one/f").read_text(), (view / "two/f").read_text()) == ("bbb", "aaa")
    driver.unmount("next")


def test_hard_links_stay_hard_links(driver: StorageDriver, layers: Layers) -> None:
    stack = layers({"a": "1"})
    os.link(stack[0] / "a", stack[0] / "b")
    driver.create("k", stack)
    root = driver.mount("k")
    assert (root / "a").stat().st_ino == (root / "b").stat().st_ino
    (root / "new").write_text("n")
    os.link(root / "new", root / "newer")
    driver.unmount("k")
    changes = driver.changes("k")
    assert (changes / "new").stat().st_ino == (changes / "newer").stat().st_ino


def test_holes_stay_holes(data_root: Path, layers: Layers) -> None:
    driver = CopyDriver(data_root)
    stack = layers({"a": ""})
    with (stack[0] / "a").open("r+b") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"data")
    driver.create("k", stack)
    copied = driver.mount("k") / "a"
    assert copied.stat().st_size == 64 << 20
    assert copied.stat().st_blocks * 512 < 4 << 20
    with copied.open("rb") as file:
        file.seek(32 << 20)
        assert file.read(4) == b"data"
    driver.remove("k")


def test_the_root_looks_as_the_topmost_layer_made_it(driver: StorageDriver, layers: Layers) -> None:
    stack = layers({"a": "1"})
    stack[0].chmod(0o511)
    driver.create("k", stack)
    assert stat.S_IMODE(driver.mount("k").stat().st_mode) == 0o511
    driver.unmount("k")


def test_an_image_from_scratch_has_an_empty_root(driver: StorageDriver) -> None:
    driver.create("k", [])
    root = driver.mount("k")
    assert tree(root) == {}
    (root / "a").write_text("1")
    driver.unmount("k")
    assert tree(driver.changes("k")) == {"a": "1"}


def test_mounts_are_counted(driver: StorageDriver, layers: Layers) -> None:
    driver.create("k", layers({"a": "1"}))
    first, second = driver.mount("k"), driver.mount("k")
    assert first == second
    driver.unmount("k")
    assert tree(first) == {"a": "1"}
    driver.unmount("k")
    driver.unmount("k")


def test_removal_is_idempotent_and_forgets_the_key(driver: StorageDriver, layers: Layers) -> None:
    driver.create("k", layers({"a": "1"}))
    driver.mount("k")
    assert driver.keys() == ["k"]
    driver.remove("k")
    driver.remove("k")
    assert driver.keys() == []
    with pytest.raises(KeyError):
        driver.root("k")


def test_removal_never_touches_the_layers(driver: StorageDriver, layers: Layers, data_root: Path) -> None:
    stack = layers({"a": "1", "d/x": "1"})
    driver.create("k", stack)
    driver.mount("k")
    driver.unmount("k")
    driver.changes("k")
    driver.remove("k")
    Trash(data_root / "trash").wait()
    assert tree(stack[0]) == {"a": "1", "d": "<directory>", "d/x": "1"}


def test_a_copy_that_was_cut_short_is_not_listed_and_goes_at_the_next_start(data_root: Path) -> None:
    for home, kind in (("overlay2", OverlayDriver), ("vfs", CopyDriver)):
        half = data_root / home / ".new-k"
        half.mkdir(parents=True)
        assert kind(data_root).keys() == []
        assert not half.exists()


def test_a_killed_engines_mounts_are_taken_away_at_the_next_start(data_root: Path, layers: Layers) -> None:
    driver = open_driver(data_root)
    driver.create("k", layers({"a": "1"}))
    root = driver.mount("k")
    again = open_driver(data_root)
    assert tree(root) == {}
    again.remove("k")


def test_a_hundred_and_twenty_layers_in_a_long_path_can_be_mounted(tmp_path: Path, layers: Layers) -> None:
    data_root = tmp_path / ("long" * 50) / "with:colons, commas\\ and blanks"
    data_root.mkdir(parents=True)
    driver = open_driver(data_root)
    stack = []
    for number in range(120):
        layer = data_root / "layers" / f"{number:064}" / "diff"
        layer.mkdir(parents=True)
        (layer / f"f{number}").touch()
        stack.append(layer)
    driver.create("k", stack)
    assert len(list(driver.mount("k").iterdir())) == 120
    driver.unmount("k")
    driver.remove("k")
    Trash(data_root / "trash").wait()


def test_features_that_would_spoil_a_layer_are_switched_off(
    data_root: Path, layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = data_root / "parameters"
    parameters.mkdir()
    for name in ("redirect_dir", "metacopy", "index"):
        (parameters / name).write_text("Y\n")
    monkeypatch.setattr(mounts, "_PARAMETERS", parameters)
    driver = open_driver(data_root)
    driver.create("k", layers({"d/a": "1"}))
    root = driver.mount("k")
    options = next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line)
    (root / "d/a").chmod(0o700)
    with pytest.raises(OSError, match="cross-device"):
        (root / "d").rename(root / "e")  # with redirects the kernel would only note where it came from
    driver.unmount("k")
    assert "redirect_dir=on" not in options
    assert "metacopy=on" not in options
    assert (driver.changes("k") / "d/a").read_text() == "1"
    driver.remove("k")


def test_layers_are_remembered_relative_to_the_data_root(data_root: Path, layers: Layers, tmp_path: Path) -> None:
    driver = CopyDriver(data_root)
    driver.create("k", layers({"a": "1"}))
    moved = data_root.rename(tmp_path / "elsewhere")
    assert tree(CopyDriver(moved).changes("k")) == {}
    moved.rename(data_root)


def test_root_describes_what_the_runtime_mounts(data_root: Path, layers: Layers) -> None:
    stack = layers({"a": "1"}, {"b": "2"})
    overlay = OverlayDriver(data_root, userxattr=True)
    overlay.create("k", stack)
    root = overlay.root("k", read_only=True)
    assert (root.kind, root.lower) == ("overlay", tuple(str(layer) for layer in stack))
    assert (root.read_only, root.userxattr) == (True, True)
    assert Path(root.upper).is_dir()
    assert Path(root.work).is_dir()
    copy = CopyDriver(data_root)
    copy.create("k", stack)
    assert copy.root("k").kind == "directory"
    assert tree(Path(copy.root("k").upper)) == {"a": "1", "b": "2"}
    overlay.remove("k")


def test_probe_says_why_overlay_is_not_used(tmp_path: Path) -> None:
    """Overlayfs refuses an upper directory on overlayfs: the probe must find that out and say it."""
    below = open_driver(tmp_path / "outer")
    below.create("k", [])
    inside = below.mount("k") / "inner"
    found = probe(inside)
    assert found.driver == "vfs"
    assert "overlayfs cannot be used on overlayfs here" in found.reason
    assert open_driver(inside, found).name == "vfs"
    assert Trash(tmp_path).wait(30)
    assert list((inside / "trash").iterdir()) == []
    below.unmount("k")
    below.remove("k")


def test_the_copy_driver_works_on_overlayfs_itself(tmp_path: Path) -> None:
    """A device 0:0 cannot be made there; the whiteouts take their other form."""
    below = open_driver(tmp_path / "outer")
    below.create("k", [])
    data_root = below.mount("k") / "inner"
    driver = open_driver(data_root)
    layer = data_root / "layers" / "one"
    layer.mkdir(parents=True)
    (layer / "gone").write_text("1")
    (layer / "kept").write_text("1")
    driver.create("k", [layer])
    (driver.mount("k") / "gone").unlink()
    adopted = data_root / "layers" / "two"
    driver.adopt("k", adopted)
    assert tree(adopted) == {"gone": "<whiteout>"}
    assert [seen.path for seen in merged([adopted, layer])] == ["kept"]
    assert Trash(tmp_path).wait(30)
    below.unmount("k")
    below.remove("k")
    assert Trash(tmp_path).wait(30)


@pytest.mark.skipif("PYDOCK_INSIDE" in os.environ, reason="is the inside already")
def test_all_of_this_holds_in_a_user_namespace_with_one_uid(tmp_path: Path) -> None:
    # A base of its own: with one uid pytest could not tidy up what earlier runs of other users left.
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m", "pytest", "-q", "-x", __file__]
    command += ["-p", "no:cacheprovider", f"--basetemp={tmp_path}/inside"]
    done = subprocess.run(
        command, env={**os.environ, "PYDOCK_INSIDE": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
