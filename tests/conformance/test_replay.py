"""The recorded commands of the real Docker, run again with the real docker command against the mini-engine.

Once as root and twice as an ordinary user: with subordinate ids and with one id. ``PYDOCK_REPLAY`` narrows the
groups while one works on them (``PYDOCK_REPLAY=net,vol``); scenes without such a group are then not played.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import pytest
from support.replay import records, scenes, table
from support.replay.differences import NOT_COMPARABLE, ROOTLESS, kept

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.skipif(records.conformance_folder() is None, reason="the recorded behaviour is not here"),
    pytest.mark.timeout(900),
]

CASTS = [scenes.ROOT, scenes.MANY_IDS, scenes.ONE_ID]


def _chosen() -> list[scenes.Scene]:
    names = os.environ.get("PYDOCK_REPLAY", "").split(",")
    return [scene for scene in scenes.SCENES if names == [""] or set(names) & set(scene.groups)]


@pytest.fixture(scope="module", params=CASTS, ids=lambda cast: cast.name.replace(" ", "-"))
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[scenes.Cast, list[table.Verdict]]:
    """Play every record of the groups once, in the recorded order within each scene."""
    assert shutil.which("docker"), "the docker command is needed to replay what it did"
    cast: scenes.Cast = request.param
    return cast, scenes.play(cast, tmp_path_factory.mktemp("replay"), _chosen())


Played = tuple[scenes.Cast, Sequence[table.Verdict]]


def test_the_table_is_printed(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    cast, verdicts = played
    with capsys.disabled():
        print(f"\n{table.render(verdicts, cast.name)}\nnot comparable: {', '.join(NOT_COMPARABLE)}")
    assert not NOT_COMPARABLE.keys() & {verdict.record.id for verdict in verdicts}


def test_every_record_of_the_groups_is_played_or_named() -> None:
    groups = [group for scene in scenes.SCENES for group in scene.groups] + ["userns"]
    wanted = {record.id for record in records.load(groups, ("controller", "storage", "remap"))}
    played = {record.id for scene in scenes.SCENES for record in records.load(scene.groups, scene.hosts)}
    assert wanted - played == NOT_COMPARABLE.keys()


def test_every_exit_code_is_the_recorded_one(played: Played) -> None:
    cast, verdicts = played
    wrong = [v.describe() for v in verdicts if not v.exit_same and v.record.id not in kept(cast.name)]
    assert not wrong, "\n".join(wrong)


def test_every_text_is_the_recorded_one_but_for_the_kept_differences(played: Played) -> None:
    cast, verdicts = played
    wrong = [v.describe() for v in verdicts if not v.text_same and v.record.id not in kept(cast.name)]
    assert not wrong, "\n".join(wrong)


def test_no_difference_is_listed_that_is_none(played: Played) -> None:
    cast, verdicts = played
    replayed = {v.record.id for v in verdicts if v.exit_same and v.text_same and v.record.stable}
    stale = sorted(replayed & {name for name, one in kept(cast.name).items() if not one.sometimes})
    assert not stale, f"listed as different, but the same now: {stale}"


@pytest.mark.skipif("PYDOCK_REPLAY" in os.environ, reason="only some groups are played")
def test_of_the_comparable_records_19_of_20_exit_codes_and_9_of_10_texts_are_the_same(played: Played) -> None:
    cast, verdicts = played
    # An ordinary user without cgroups cannot have limits: those records count where they can be compared.
    comparable = [v for v in verdicts if cast.user is None or v.record.id not in ROOTLESS]
    assert sum(v.exit_same for v in comparable) >= 0.95 * len(comparable)
    assert sum(v.exit_same and v.text_same for v in comparable) >= 0.90 * len(comparable)
