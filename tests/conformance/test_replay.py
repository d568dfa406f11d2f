"""The recorded commands of the real Docker, run again with the real docker command against the mini-engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.engine import engine
from support.replay import records, runner, table, world
from support.replay.differences import KEPT

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.skipif(records.conformance_folder() is None, reason="the recorded behaviour is not here"),
    pytest.mark.timeout(900),
]

GROUPS = ["cli", "run", "cow", "build"]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[table.Verdict]:
    """Replay every record of the groups once, in the recorded order, on one engine."""
    assert shutil.which("docker"), "the docker command is needed to replay what it did"
    folder = tmp_path_factory.mktemp("replay")
    work = folder / "work"
    world.lay_out(work)
    with engine(folder) as address:
        environment = {
            **os.environ, "DOCKER_HOST": address, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(folder / "config"),
        }  # fmt: skip
        world.images(["docker", "-H", address], folder)
        found = []
        done = 0
        for record in records.load(GROUPS):
            _fill_gaps(done, record.n, work, environment)
            found.append(table.compare(record, runner.run(record, work, environment), str(work)))
            done = record.n
        subprocess.run(
            ["bash", "-c", "docker ps -aq | xargs -r docker rm -f"], env=environment, check=False, capture_output=True
        )
    return found


def _fill_gaps(done: int, upcoming: int, work: Path, environment: dict[str, str]) -> None:
    """Run the commands that were left out of the records between two of them."""
    for number, command in world.GAPS.items():
        if done < number <= upcoming:
            subprocess.run(["bash", "-c", command], cwd=work, env=environment, check=False, capture_output=True)


def test_the_table_is_printed(verdicts: list[table.Verdict], capsys: pytest.CaptureFixture[str]) -> None:
    text = table.render(verdicts)
    with capsys.disabled():
        print(f"\n{text}")
    assert [line.split()[0] for line in text.splitlines()[1:]].count("all") == 1


def test_every_exit_code_is_the_recorded_one(verdicts: list[table.Verdict]) -> None:
    wrong = [v.describe() for v in verdicts if not v.exit_same and v.record.id not in KEPT]
    assert not wrong, "\n".join(wrong)


def test_every_text_is_the_recorded_one_but_for_the_kept_differences(verdicts: list[table.Verdict]) -> None:
    wrong = [v.describe() for v in verdicts if not v.text_same and v.record.id not in KEPT]
    assert not wrong, "\n".join(wrong)


def test_no_difference_is_listed_that_is_none(verdicts: list[table.Verdict]) -> None:
    replayed = {v.record.id for v in verdicts if v.exit_same and v.text_same and v.record.stable}
    stale = sorted(replayed & {name for name, kept in KEPT.items() if not kept.sometimes})
    assert not stale, f"listed as different, but the same now: {stale}"
