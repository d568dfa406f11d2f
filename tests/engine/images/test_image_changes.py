"""What a layer adds, changes, deletes and hides, against what is known of whole stacks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.images.changes import compare
from pydockmagic.oci.layer import Kind, LayerEntry, LayerIndex, MergedView, change_kinds, wasted_by_layer


def _layer(tree: dict[str, object], base: str = "") -> list[LayerEntry]:
    entries = []
    for name, value in tree.items():
        path = f"{base}/{name}" if base else name
        if isinstance(value, int):
            entries.append(LayerEntry(path, Kind.FILE, size=value))
        elif value is None:
            entries.append(LayerEntry(path, Kind.WHITEOUT))
        else:
            opaque, below = value
            entries.append(LayerEntry(path, Kind.DIRECTORY, opaque=opaque))
            entries += _layer(below, path)
    return entries


names = st.sampled_from(["a", "b", "c"])
trees = st.recursive(
    st.dictionaries(names, st.one_of(st.integers(0, 9), st.none()), max_size=3),
    lambda inner: st.dictionaries(
        names, st.one_of(st.integers(1, 9), st.none(), st.tuples(st.booleans(), inner)), max_size=3
    ),
    max_leaves=12,
)


@given(st.lists(trees, min_size=1, max_size=6))
def test_layer_by_layer_gives_what_the_whole_stack_gives(stack: list[dict[str, object]]) -> None:
    indexes = [LayerIndex.from_entries(_layer(tree)) for tree in stack]
    wasted = [0] * len(indexes)
    for number, index in enumerate(indexes):
        below = [(str(lower), indexes[lower]) for lower in reversed(range(number))]
        found = compare(index, below)
        assert found.kinds.decode() == change_kinds(index, MergedView(indexes[:number]))
        for chain, size in found.hidden.items():
            wasted[int(chain)] += size
    assert wasted == wasted_by_layer(indexes)


def test_content_with_several_names_is_hidden_with_the_last_of_them() -> None:
    base = LayerIndex.from_entries(
        [
            LayerEntry("a", Kind.FILE, size=7),
            LayerEntry("b", Kind.HARDLINK, linkname="a"),
            LayerEntry("c", Kind.SYMLINK, linkname="a"),
        ]
    )
    one = LayerIndex.from_entries([LayerEntry("a", Kind.WHITEOUT)])
    two = LayerIndex.from_entries([LayerEntry("b", Kind.FILE, size=1)])
    assert compare(one, [("base", base)]).hidden == {}
    assert compare(two, [("one", one), ("base", base)]).hidden == {"base": 7}


def test_an_opaque_root_hides_everything() -> None:
    base = LayerIndex.from_entries([LayerEntry("a", Kind.FILE, size=3), LayerEntry("d", Kind.DIRECTORY)])
    top = LayerIndex.from_entries([LayerEntry("b", Kind.FILE, size=1)])
    top.root_opaque = True
    assert compare(top, [("base", base)]).hidden == {"base": 3}


def test_many_entries_are_compared_by_table() -> None:
    entries = [LayerEntry(f"f{number:04}", Kind.FILE, size=1) for number in range(2000)]
    index = LayerIndex.from_entries(entries)
    changes = compare(index, [("base", index)])
    assert changes.kinds == b"C" * 2000
    assert changes.hidden == {"base": 2000}
