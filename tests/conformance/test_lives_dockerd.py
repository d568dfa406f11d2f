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


_TELLINGS = 3
"""How often dockerd may tell a story: where it races with itself, its answers differ from one time to the next."""


@pytest.mark.parametrize("name", STORIES)
def test_both_tell_the_same_story(hosts: tuple[str, str], name: str, tmp_path: Path) -> None:
    folders = [tmp_path / who for who in ("ours", "theirs", *(f"theirs-{again}" for again in range(2, _TELLINGS + 1)))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(2) as pool:
        ours, first = pool.map(lambda host, folder: tell(host, STORIES[name], folder), hosts[::-1], folders)
    kept = {command: reason for (story, command), reason in DIFFERENCES.items() if story == name}
    tellings = [first]
    for folder in folders[2:]:
        if not (_different(tellings, ours, kept) or _other_events(tellings, ours, name)):
            break
        tellings.append(tell(hosts[0], STORIES[name], folder))
    different = _different(tellings, ours, kept)
    assert not different, "\n".join(different)
    assert not _other_events(tellings, ours, name), (ours.events, [told.events for told in tellings])


def _different(tellings: list[Told], ours: Told, kept: dict[str, str]) -> list[str]:
    """Give the steps that came out here as they never did at dockerd."""
    found = []
    for now, *answers in zip(ours.steps, *(told.steps for told in tellings), strict=True):
        if any(re.search(pattern, now.command) for pattern in kept):
            continue
        if (now.exit, as_dockerd_28(now.text)) not in {(one.exit, as_dockerd_28(one.text)) for one in answers}:
            theirs = "".join(f"  dockerd [{one.exit}] {one.text!r}\n" for one in answers)
            found.append(f"$ {now.command}\n{theirs}  ours    [{now.exit}] {now.text!r}")
    return found


def _other_events(tellings: list[Told], ours: Told, name: str) -> bool:
    return name not in WITHOUT_EVENTS and calm(ours.events) not in [calm(told.events) for told in tellings]
