"""The same life stories told to the mini-engine and to a real dockerd 20.10, side by side in one run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.dockerd import available, dockerd
from support.engine import engine
from support.lifestories import DIFFERENCES, STORIES, WITHOUT_EVENTS
from support.replay.images import busybox_tar
from support.stories import Told, as_dockerd_28, calm, tell

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.skipif(not available(), reason="no dockerd that could be run here (docker.io, root)"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Give the addresses of a real dockerd and of a mini-engine with the same busybox."""
    folder = tmp_path_factory.mktemp("lives")
    (folder / "dockerd").mkdir()
    with dockerd(folder / "dockerd") as theirs, engine(folder) as ours:
        for host in (theirs, ours):
            subprocess.run(
                ["docker", "-H", host, "import", "-", "busybox:latest"],
                input=busybox_tar(), check=True, capture_output=True,
            )  # fmt: skip
        yield theirs, ours


@pytest.mark.parametrize("name", STORIES)
def test_both_tell_the_same_story(hosts: tuple[str, str], name: str, tmp_path: Path) -> None:
    folders = (tmp_path / "theirs", tmp_path / "ours")
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda host, folder: tell(host, STORIES[name], folder), hosts, folders)
    kept = {command: reason for (story, command), reason in DIFFERENCES.items() if story == name}
    different = _different(theirs, ours, kept)
    assert not different, "\n".join(different)
    if name not in WITHOUT_EVENTS:
        assert calm(ours.events) == calm(theirs.events)


def _different(theirs: Told, ours: Told, kept: dict[str, str]) -> list[str]:
    found = []
    for recorded, now in zip(theirs.steps, ours.steps, strict=True):
        if any(re.search(pattern, now.command) for pattern in kept):
            continue
        same = as_dockerd_28(recorded.text) == as_dockerd_28(now.text)
        if not same or recorded.exit != now.exit:
            found.append(
                f"$ {now.command}\n  dockerd [{recorded.exit}] {recorded.text!r}\n  ours    [{now.exit}] {now.text!r}"
            )
    return found
