"""docker-py's own integration tests: what passes against a real dockerd passes against our engine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.docker_py import expected, kit, stage
from support.dockerd import available, dockerd
from support.engine import engine

pytestmark = [pytest.mark.conformance, pytest.mark.root, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def suite() -> kit.Kit:
    missing = [tool for tool in ("docker", "docker-registry", "skopeo") if shutil.which(tool) is None]
    if not available():
        missing.append("dockerd")
    try:
        if not missing:
            return kit.prepare(kit.OLD, sources="docker==5.0.3")
        problem = f"needs {', '.join(missing)}"
    except kit.OutOfReach as error:
        problem = str(error)
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


def _on_dockerd(made: kit.Kit, archive: Path, folder: Path) -> dict[str, str]:
    folder.mkdir()
    with (
        stage.network() as inside,
        stage.registry(folder / "hub", inside, archive),
        dockerd(folder, [f"--registry-mirror={stage.MIRROR}"], inside) as host,
    ):
        stage.load(host, archive)
        return stage.play(made, host, folder, inside)


def _on_ours(made: kit.Kit, archive: Path, folder: Path, *only: str) -> dict[str, str]:
    folder.mkdir()
    options = ["--stop-containers", f"--hub={stage.MIRROR}"]
    with (
        stage.network() as inside,
        stage.registry(folder / "hub", inside, archive),
        engine(folder, options, inside) as host,
    ):
        stage.load(host, archive)
        return stage.play(made, host, folder, inside, *only)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a short name: below it, dockerd makes sockets."""
    with tempfile.TemporaryDirectory(prefix="docker-py-") as name:
        yield Path(name)


def test_what_passes_on_dockerd_passes_here(suite: kit.Kit, folder: Path) -> None:
    archive = stage.images(folder / "images")
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(_on_dockerd, suite, archive, folder / "dockerd")
        ours = pool.submit(_on_ours, suite, archive, folder / "engine")
        reference, found = theirs.result(), ours.result()
    passed = {name for name, outcome in reference.items() if outcome == "passed"}
    # some tests race with the program that they have just started, on dockerd as well: those have a second chance
    missed = sorted(name for name in passed - expected.FAILURES.keys() if found.get(name) != "passed")
    again = _on_ours(suite, archive, folder / "again", *map(stage.node_of, missed)) if missed else {}
    found |= {name: outcome for name, outcome in again.items() if outcome == "passed"}
    here = {name for name in passed if found.get(name) == "passed"}
    print(f"\n{'docker-py 5.0.3, integration tests':40}{'passed on dockerd':>20}{'passed here':>14}{'share':>9}")
    for module in sorted({name.split(".")[0] for name in passed}):
        there, also = (sum(name.startswith(f"{module}.") for name in each) for each in (passed, here))
        print(f"{module:40}{there:20}{also:14}{also / there:9.1%}")
    print(f"{'all':40}{len(passed):20}{len(here):14}{len(here) / len(passed):9.1%}")
    surprising = {name: found.get(name, "was not run") for name in sorted(passed - here - expected.FAILURES.keys())}
    stale = sorted(here & expected.FAILURES.keys())
    for name in (name for name, outcome in again.items() if outcome == "passed"):
        print(f"  {name}: passed only the second time")
    for name, outcome in surprising.items():
        print(f"  {name}: {outcome}")
    assert len(passed) > 200, "the reference is broken: most of the suite passes on a dockerd"
    assert len(here) >= 0.9 * len(passed)
    assert not surprising
    assert not stale, "expected to fail, but pass"
