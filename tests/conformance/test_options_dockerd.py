"""Every option of ``docker run`` and ``create``, given to a real dockerd and to the engine: the same answers.

Once what comes out (exit code, output, errors) of the lines of ``support/options.txt``, once what ``docker inspect``
shows of containers with many options. dockerd is Debian's 20.10, so that some sentences of dockerd 28 differ.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import dockerd
from support.engine import engine
from support.replay.images import busybox_tar
from support.replay.stage import Stage, stage

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.root,
    pytest.mark.skipif(
        not dockerd.available() and "CI" not in os.environ, reason="needs dockerd and root (apt-get install docker.io)"
    ),
    pytest.mark.timeout(600),
]


def _lines(name: str) -> list[str]:
    text = Path(__file__).parents[1].joinpath("support", name).read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


LINES = _lines("options.txt")

_SAYS_28 = "the sentence of dockerd 28, which begins in lower case or was reworded"
_NO_KERNEL_MEMORY = "clients do not send it any more from API 1.42 on"
KEPT_LINES: dict[str, str] = {
    "run --rm --ipc nosuch busybox true": _SAYS_28,
    "run --rm --stop-signal NOPE busybox true": _SAYS_28,
    "run --rm --stop-signal 0 busybox true": _SAYS_28,
    "run --rm --runtime nosuch busybox true": _SAYS_28,
    "run --rm --isolation hyperv busybox true": _SAYS_28,
    "run --rm --net container: busybox true": _SAYS_28,
    "run --rm --kernel-memory 10m busybox true": _NO_KERNEL_MEMORY,
    "run --rm --kernel-memory 1m busybox true": _NO_KERNEL_MEMORY,
}

MIXES = _lines("option_mixes.txt")

KEPT_KEYS: dict[str, str] = {
    "HostConfig.NetworkMode": "dockerd 28 says bridge where 20 said default",
    "HostConfig.Runtime": "the engine has a runtime of its own, as docker info says",
    "HostConfig.KernelMemory": "gone from API 1.42 on",
    "HostConfig.KernelMemoryTCP": "gone from API 1.42 on where it is not set",
    "HostConfig.MaskedPaths": "dockerd 28 masks /proc/interrupts and powercap as well",
    "NetworkSettings.Networks.*.GwPriority": "of API 1.48",
    "NetworkSettings.Networks.*.DNSNames": "of API 1.44",
}
_PER_CONTAINER = ("Id", "Created", "Image", "GraphDriver.Data")
_MOVED = ("HostConfig.ConsoleSize",)
"""Keys that dockerd 28 shows at another place than 20."""


class Both(NamedTuple):
    """The two daemons, each on a host of its own, and the folder with the files that options name."""

    theirs: str
    ours: str
    place: Path

    def docker(self, address: str, line: str) -> tuple[int, str, str]:
        """Run a docker command against one of them."""
        arguments = shlex.split(line.replace("$PLACE", str(self.place)))
        run = subprocess.run(
            ["docker", "-H", address, *arguments], capture_output=True, text=True, check=False, timeout=60,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return run.returncode, _mask(run.stdout), _mask(run.stderr)


def _mask(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{64}\b", "<ID64>", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "<ID12>", text)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("options")
    place = folder / "place"
    place.mkdir()
    _fill(place)
    with ExitStack() as opened:

        def host(name: str) -> Stage:
            (folder / name).mkdir()
            return opened.enter_context(stage(folder / name))

        theirs = opened.enter_context(dockerd.dockerd(folder / "theirs", inside=host("theirs").command([])))
        ours = opened.enter_context(engine(folder / "ours", inside=host("ours").command([])))
        found = Both(theirs, ours, place)
        tar = busybox_tar()
        for address in (theirs, ours):
            command = ["docker", "-H", address, "import", "-", "busybox:latest"]
            subprocess.run(command, input=tar, check=True, capture_output=True)
            for line in ("--name sib --ipc shareable", "--name sib2"):
                assert found.docker(address, f"run -d {line} busybox sleep 1000")[0] == 0
        yield found
        for address in (theirs, ours):
            found.docker(address, "rm -f sib sib2")
    for parent in Path("/sys/fs/cgroup").glob("**/mine"):  # of --cgroup-parent, which nobody removes
        with suppress(OSError):
            parent.rmdir()


def _fill(place: Path) -> None:
    forbidden = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    (place / "seccomp.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [forbidden]}))
    (place / "bad.json").write_text('{"defaultAction":')
    (place / "env").write_text("A=1\n#c\nB\nC=x y\n  D=2\n")
    (place / "badenv").write_text("A B=1\n")
    (place / "taken").write_text("a file that was there\n")


@pytest.mark.parametrize("line", LINES)
def test_an_option_is_answered_as_dockerd_answers_it(both: Both, line: str) -> None:
    theirs, ours = both.docker(both.theirs, line), both.docker(both.ours, line)
    if line in KEPT_LINES:
        assert theirs != ours, "listed as different, but the same"
    elif ours != theirs:  # dockerd is asked once more: its answer may depend on which of its threads was first
        assert ours == both.docker(both.theirs, line), f"dockerd first answered {theirs}"


@pytest.mark.parametrize("mix", MIXES, ids=range(len(MIXES)))
def test_inspect_shows_a_container_as_dockerd_shows_it(both: Both, mix: str) -> None:
    shown = []
    for address in (both.theirs, both.ours):
        both.place.joinpath("cid").unlink(missing_ok=True)
        made = both.docker(address, f"create --name shown {mix}")
        assert made[0] == 0, made
        run = subprocess.run(["docker", "-H", address, "inspect", "shown"], capture_output=True, check=True)
        both.docker(address, "rm -f shown")
        (document,) = json.loads(run.stdout)
        document["Mounts"].sort(key=lambda mount: mount["Destination"])
        document["HostConfig"]["Binds"] = sorted(document["HostConfig"]["Binds"] or ())  # both of no order
        said = [line for line in made[2].splitlines() if "The engine itself does not have" not in line]
        shown.append((said, dict(_flat(document))))
    (said_theirs, theirs), (said_ours, ours) = shown
    assert said_ours == said_theirs
    assert _order(ours, theirs) == _order(theirs, ours)
    different = {
        key: (theirs.get(key, "absent"), ours.get(key, "absent"))
        for key in {**theirs, **ours}
        if _without_roots(theirs.get(key, "absent"), both) != _without_roots(ours.get(key, "absent"), both)
    }
    assert {key: pair for key, pair in different.items() if _star(key) not in KEPT_KEYS} == {}


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Give dotted key and value of each leaf, in order."""
    for key, inner in value.items():
        name = f"{path}.{key}" if path else key
        if name in _PER_CONTAINER or name in _MOVED:
            continue
        if isinstance(inner, dict) and inner:
            yield from _flat(inner, name)
        else:
            yield name, inner


def _order(some: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Give the keys that both have, in order; dockerd 28 has that of the network settings changed."""
    return [key for key in some if key in others and not key.startswith("NetworkSettings.")]


def _without_roots(value: Any, both: Both) -> str:
    text = _mask(json.dumps(value))
    for address, root in ((both.theirs, "data"), (both.ours, "engine")):
        text = text.replace(f"{Path(address.removeprefix('unix://')).parent}/{root}", "<ROOT>")
    return text


def _star(key: str) -> str:
    return re.sub(r"^NetworkSettings\.Networks\.[^.]+", "NetworkSettings.Networks.*", key)
