"""Looking through layers without mounting them, against what the storage driver sees."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydockmagic.engine.builder.gotext import duration_text
from pydockmagic.engine.builder.view import View
from pydockmagic.engine.storage.form import make_opaque, make_whiteout, merged

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(["file", "dir", "gone", "opaque", "link"])
LAYER = st.dictionaries(PATHS, KINDS, max_size=6)


def make_layer(folder: Path, content: dict[str, str]) -> None:
    folder.mkdir()
    for name, kind in sorted(content.items()):
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind in ("dir", "opaque"):
                path.mkdir(exist_ok=True)
                if kind == "opaque":
                    make_opaque(str(path))
            elif kind == "gone":
                make_whiteout(str(path))
            elif kind == "link":
                path.symlink_to("a")
            else:
                path.write_text(name)
        except OSError:  # a name that another one has taken
            continue


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYER, min_size=1, max_size=3))
def test_the_view_shows_what_the_storage_driver_merges(contents):
    root = Path(tempfile.mkdtemp())
    try:
        layers = []
        for number, content in enumerate(contents):
            make_layer(root / str(number), content)
            layers.insert(0, root / str(number))
        view = View(layers)
        seen = {"/".join(f.names): f.source for f in view.walk(view.root())}
        assert seen == {s.path: s.source for s in merged(layers)}
    finally:
        shutil.rmtree(root)


@pytest.fixture
def view(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_text("f")
    (tmp_path / "up").symlink_to("../../../d")
    (tmp_path / "abs").symlink_to("/d/e")
    (tmp_path / "d" / "back").symlink_to("..")
    return View([tmp_path])


@pytest.mark.parametrize(
    ("path", "found", "missing"),
    [
        ("/", "/", ()),
        ("d/f", "/d/f", ()),
        ("/up/f", "/d/f", ()),
        ("/abs/new/x", "/d/e", ("new", "x")),
        ("/d/back/d/./f", "/d/f", ()),
        ("/../../d", "/d", ()),
        ("/d/nothing/../f", "/d/f", ()),
        ("/x/..", "/", ()),
    ],
)
def test_paths_are_followed_inside(view, path, found, missing):
    at, rest = view.resolve(path)
    assert (at.path, rest) == (found, missing)


def test_nothing_is_below_a_file(view):
    with pytest.raises(NotADirectoryError):
        view.resolve("/d/f/x")
    assert view.find("/d/f/x") is None
    assert view.read("/abs") is None
    assert view.read("/d/f") == b"f"
    assert view.find("/up", follow_last=False).is_link


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0s"), (1, "1ns"), (1500, "1.5µs"), (20_000_000, "20ms"), (1_500_000_000, "1.5s"), (90 * 10**9, "1m30s"),
     (3600 * 10**9, "1h0m0s"), (-5 * 10**9, "-5s")],
)  # fmt: skip
def test_durations_are_printed_as_go_does(ns, text):
    assert duration_text(ns) == text
