"""What a layer adds, changes, deletes and hides, against a plain model of stacked layers."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.engine.images.changes import compare
from pydockmagic.oci.layer import Kind, LayerEntry, LayerIndex


@dataclass
class View:
    """What is seen through some layers: path -> (chain, kind, size)."""

    seen: dict[str, tuple[str, Kind, int]] = field(default_factory=dict)

    def below(self, path: str) -> list[str]:
        return [p for p in self.seen if p.startswith(path + "/")]

    def apply(self, chain: str, entries: list[LayerEntry]) -> tuple[str, dict[str, int]]:
        """Apply a layer; gives the letters of its entries in order, and the bytes that it hid."""
        before = dict(self.seen)
        letters = []
        for entry in sorted(entries, key=lambda e: e.path.encode().replace(b"/", b"\0")):
            if entry.kind is Kind.WHITEOUT:
                letters.append("D")
            else:
                letters.append("C" if entry.path in before else "A")
        removed: set[str] = set()
        for entry in entries:
            if entry.path not in before:
                continue
            was_directory = before[entry.path][1] is Kind.DIRECTORY
            if entry.kind is Kind.DIRECTORY and was_directory:
                removed |= set(self.below(entry.path)) if entry.opaque else set()
            else:
                removed |= {entry.path, *self.below(entry.path)}
        hidden: dict[str, int] = {}
        for path in removed:
            owner, _, size = before[path]
            if size:
                hidden[owner] = hidden.get(owner, 0) + size
            del self.seen[path]
        for entry in entries:
            if entry.kind is not Kind.WHITEOUT:
                self.seen[entry.path] = (chain, entry.kind, entry.size)
        return "".join(letters), hidden


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


@given(st.lists(trees, min_size=1, max_size=5))
def test_letters_and_hidden_bytes_agree_with_a_plain_model(stack: list[dict[str, object]]) -> None:
    view = View()
    below: list[tuple[str, LayerIndex]] = []
    for number, tree in enumerate(stack):
        entries = _layer(tree)
        index = LayerIndex.from_entries(entries)
        letters, hidden = view.apply(str(number), entries)
        changes = compare(index, below)
        assert changes.kinds.decode() == letters
        assert changes.hidden == hidden
        below.insert(0, (str(number), index))


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
