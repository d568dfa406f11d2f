"""What `%layers` is shown: rows for every step, shares, waste, and the files of a layer."""

from __future__ import annotations

import pytest
from support.images import GONE, OPAQUE, ImageWorld

from pydockmagic.engine.errors import InvalidParameter, NotFound
from pydockmagic.engine.images.records import BuildStep
from pydockmagic.oci.layer import Kind


def step(instruction: str, line: int, **more: object) -> BuildStep:
    return BuildStep(instruction=instruction, first_line=line, last_line=line + 1, seconds=0.5, **more)  # type: ignore[arg-type]


def test_every_step_is_a_row_bottom_first(world: ImageWorld) -> None:
    base = world.image({"etc/passwd": "root"}, name="base")
    run = world.image({"big": "x" * 100}, parent=base, step=step("RUN make", 2, cached=True, reason="same inputs"))
    history = [*world.images.config(run.id)["history"], {"created_by": "CMD x", "empty_layer": True}]
    top = world.image(parent=run, history=history, step=step("CMD x", 4), name="app")
    answer = world.images.layers("app")
    assert (answer["Id"], answer["Names"], answer["Size"]) == (top.id, ["app:latest"], 104)
    first, second, third = answer["Layers"]
    assert first == {
        "ChainId": base.chain_ids[0],
        "DiffId": base.chain_ids[0],
        "Size": 4,
        "Files": 2,
        "CreatedBy": "layer 0",
        "Instruction": "layer 0",
        "FirstLine": 0,
        "LastLine": 0,
        "Cached": False,
        "Reason": "",
        "Seconds": 0.0,
        "SharedBy": ["base:latest"],
        "Wasted": 0,
        "Empty": False,
    }
    assert (second["Instruction"], second["FirstLine"], second["LastLine"]) == ("RUN make", 2, 3)
    assert (second["Cached"], second["Reason"], second["Seconds"]) == (True, "same inputs", 0.5)
    assert (third["Empty"], third["ChainId"], third["Instruction"]) == (True, "", "CMD x")


@pytest.mark.parametrize(
    ("created_by", "instruction"),
    [
        ('/bin/sh -c #(nop)  CMD ["sh"]', 'CMD ["sh"]'),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("bash -c x", "bash -c x"),
        ("", "Imported from -"),
    ],
)
def test_steps_of_other_builders_are_read_from_the_history(
    world: ImageWorld, created_by: str, instruction: str
) -> None:
    world.image({"a": "1"}, history=[{"created_by": created_by, "comment": "Imported from -"}], name="x")
    assert world.images.layers("x")["Layers"][0]["Instruction"] == instruction


def test_bytes_that_nobody_sees_are_counted_where_they_lie(world: ImageWorld) -> None:
    base = world.image({"a": "12345", "b": "123", "d/x": "1", "d/y": "22"})
    world.image({"a": "1", "b": GONE}, {"d/": OPAQUE, "d/z": "9"}, {"a": GONE}, parent=base, name="app")
    assert [row["Wasted"] for row in world.images.layers("app")["Layers"]] == [11, 1, 0, 0]
    assert [row["Wasted"] for row in world.images.layers(base.id)["Layers"]] == [0]


def test_a_history_that_names_too_few_layers_still_shows_all(world: ImageWorld) -> None:
    world.image({"a": "1"}, {"b": "2"}, history=[{"created_by": "one"}], name="x")
    assert [row["CreatedBy"] for row in world.images.layers("x")["Layers"]] == ["one", ""]


def test_the_files_of_a_layer_come_in_columns(world: ImageWorld) -> None:
    base = world.image({"etc/a": "12", "etc/b": "1", "gone": "1"})
    image = world.image({"etc/a": "12345", "gone": GONE, "link": "-> etc/a", "new/f": "1"}, parent=base)
    answer = world.images.files(image.chain_ids[1])
    columns = answer["Columns"]
    assert answer["Total"] == 6
    assert columns["Path"] == ["etc", "etc/a", "gone", "link", "new", "new/f"]
    assert columns["Change"] == ["C", "C", "D", "A", "A", "A"]
    assert columns["Kind"] == ["directory", "file", "whiteout", "symlink", "directory", "file"]
    assert columns["Size"] == [0, 5, 0, 0, 0, 1]
    assert columns["Target"] == ["", "", "", "etc/a", "", ""]
    assert columns["Mode"][1] == 0o644


def test_pages_and_orders(world: ImageWorld) -> None:
    image = world.image({name: name * size for name, size in {"a": 1, "b": 3, "c": 2, "d": 3}.items()})
    (chain,) = image.chain_ids

    def paths(**arguments: object) -> list[str]:
        return world.images.files(chain, **arguments)["Columns"]["Path"]  # type: ignore[arg-type]

    assert paths(offset=1, limit=2) == ["b", "c"]
    assert paths(offset=3, limit=9) == ["d"]
    assert paths(offset=9) == []
    assert paths(sort="size") == ["b", "d", "c", "a"]
    assert paths(sort="size", offset=1, limit=2) == ["d", "c"]
    with pytest.raises(InvalidParameter, match="cannot sort by 'name'"):
        paths(sort="name")
    with pytest.raises(InvalidParameter):
        paths(offset=-1)


def test_a_layer_that_is_not_here(world: ImageWorld) -> None:
    with pytest.raises(NotFound, match="No such layer"):
        world.images.files("sha256:" + "0" * 64)


def test_a_containers_own_changes_look_like_a_layers(world: ImageWorld) -> None:
    image = world.image({"a": "1", "d/x": "1"})
    upper = world.images._store.layer_files.new_directory()
    (upper / "a").write_text("22")
    (upper / "d").mkdir()
    (upper / "d/y").write_text("1")
    index, changes = world.run(world.images.changes(upper, image.chain_ids))
    assert list(zip(index.paths, changes.kinds.decode(), strict=True)) == [("a", "C"), ("d", "C"), ("d/y", "A")]
    assert index.kind(0) is Kind.FILE
    assert world.images.columns(index, changes, limit=1)["Columns"]["Path"] == ["a"]
    assert (upper / "a").exists()
