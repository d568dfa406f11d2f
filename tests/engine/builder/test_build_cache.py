"""When a step's result is used again, and why not."""

from __future__ import annotations

import tarfile

import pytest

DOCKERFILE = "FROM base\nRUN write /one 1\nCOPY data.txt /data.txt\nRUN write /two 2\n"


def reasons(world):
    return [
        (step["Index"], step["State"], step["Reason"]) for step in world.steps("cached", "done") if step["Index"] > 1
    ]


def build(world, data="v1", dockerfile=DOCKERFILE, **options):
    return world.build({"Dockerfile": dockerfile, "data.txt": data}, tags=("x",), progress=True, **options)


def test_the_first_build_has_nothing_to_use(world):
    build(world)
    assert reasons(world) == [(2, "done", "first build"), (3, "done", "first build"), (4, "done", "first build")]


def test_a_changed_file_is_named_and_later_steps_follow(world):
    build(world)
    build(world, "v2")
    assert reasons(world) == [
        (2, "cached", ""),
        (3, "done", "input files changed: data.txt"),
        (4, "done", "an earlier step changed"),
    ]
    record = world.images.get(world.image_id)
    assert record.step.reason == "an earlier step changed"
    assert (record.step.first_line, record.step.instruction) == (4, "RUN write /two 2")


def test_a_changed_instruction_is_called_so(world):
    build(world)
    build(world, dockerfile=DOCKERFILE.replace("/one 1", "/one 3"))
    assert reasons(world)[0] == (2, "done", "instruction changed")
    build(world, dockerfile=DOCKERFILE + "ENV a=b\n")
    assert reasons(world)[-1] == (5, "done", "instruction added")


def test_no_cache_is_a_reason_and_gives_the_same_image(world):
    build(world)
    first = world.image_id
    build(world, no_cache=True)
    assert {reason for _, _, reason in reasons(world)} == {"no-cache asked"}
    assert "Using cache" not in world.text
    assert world.image_id == first


def test_cache_from_bars_the_results_of_other_images(world):
    build(world)
    build(world, cache_from=("x",))
    assert {state for _, state, _ in reasons(world)} == {"cached"}
    build(world, cache_from=("nosuchtag",))
    assert {reason for _, _, reason in reasons(world)} == {"not among the images of --cache-from"}


def test_a_removed_image_is_made_anew(world):
    build(world)
    world.runner.run(world.images.remove("x"))
    build(world)
    assert (4, "done", "the image of this step was removed") in reasons(world)
    assert world.tree()["two"] == "2"


def test_the_next_engine_still_hits(world):
    build(world)
    first = world.image_id
    world.restart()
    build(world)
    assert [state for _, state, _ in reasons(world)] == ["cached"] * 3
    assert world.image_id == first
    assert world.images.get(first).step.cached


def member(name, text, mtime, mode=0o644, uid=0):
    info = tarfile.TarInfo(name)
    info.mtime, info.mode, info.uid, info.size = mtime, mode, uid, len(text)
    return info


@pytest.mark.parametrize(
    ("mtime", "uid", "mode", "hit"), [(5, 0, 0o644, True), (9, 7, 0o644, True), (5, 0, 0o755, False)]
)
def test_times_and_owners_of_the_context_do_not_count_but_modes_do(world, mtime, uid, mode, hit):
    dockerfile = "FROM base\nCOPY link /x\n"

    def files(time, owner, permissions):
        info = tarfile.TarInfo("link")
        info.type, info.mtime, info.uid, info.mode = tarfile.DIRTYPE, time, owner, permissions
        below = tarfile.TarInfo("link/d")
        below.type, below.mtime, below.uid, below.mode = tarfile.DIRTYPE, time, owner, permissions
        return {"Dockerfile": dockerfile, "link": info, "link/d": below}

    world.build(files(1, 0, 0o644))
    world.build(files(mtime, uid, mode))
    assert ("Using cache" in world.text) == hit


def test_equal_looking_instructions_with_other_values_are_told_apart(world):
    world.build('FROM base\nENV a="b c=d"\n')
    world.build("FROM base\nENV a=b c=d\n")
    assert "Using cache" not in world.text
    assert world.config["config"]["Env"] == ["PATH=/bin", "a=b", "c=d"]


def test_the_asked_time_is_on_everything_and_in_the_key(world):
    build(world)
    build(world, build_args={"SOURCE_DATE_EPOCH": "1500000000"})
    assert "Using cache" not in world.text
    assert "not consumed" not in world.text
    assert world.config["created"] == "2017-07-14T02:40:00Z"
    assert world.stat("data.txt").st_mtime == 1_500_000_000
    assert world.stat("two").st_mtime == 1_500_000_000


def test_layers_bear_the_base_images_time(world):
    build(world)
    assert world.stat("data.txt").st_mtime == world.stat("two").st_mtime == 1_683_356_889


def test_another_data_root_makes_the_same_image(world, tmp_path_factory):
    from support.building import BuildWorld

    build(world)
    other = BuildWorld(tmp_path_factory.mktemp("other"))
    try:
        other.containers.made += [{}] * 5  # other container ids
        build(other)
        assert other.image_id == world.image_id
    finally:
        other.close()


def test_prune_forgets_results(world):
    build(world)
    assert world.runner.run(world.builder.prune()) == {"CachesDeleted": [], "SpaceReclaimed": 0}
    build(world)
    assert "Using cache" in world.text
    world.runner.run(world.builder.prune(all=True))
    build(world)
    assert "Using cache" not in world.text
    assert world.builder.cache_records() == []
