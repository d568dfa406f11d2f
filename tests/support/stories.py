"""Life stories of containers: commands that are run against two daemons, and what each made of them.

A story is a shell script, a command a line; every line's exit code and masked text are kept, and at the end the events
of the story's containers, masked as well.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from support.replay.masks import mask

__all__ = ["Step", "Told", "as_dockerd_28", "calm", "tell"]

_LIMIT = 60
_SKIPPED_ATTRIBUTES = frozenset({"execID", "image", "execDuration", "imageID"})
_MORE_MASKS = (
    (re.compile(r'time="[^"]*" level=error msg="Can\'t (add file|close tar writer).*\n'), ""),  # when it is cut off
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4} UTC"), "<TIME>"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "<CLOCK>"),
    (re.compile(r"\bpid \d+\b|Pid\": ?[1-9]\d*"), "<PID>"),
)


class Step(NamedTuple):
    """What one command came to."""

    command: str
    exit: int
    text: str


class Told(NamedTuple):
    """A whole story: its steps, and its containers' events as ``action key=value ...``."""

    steps: list[Step]
    events: list[str]


def tell(host: str, story: str, folder: Path) -> Told:
    """Run a story's commands in turn in ``folder``; the containers it leaves are removed."""
    environment = {
        **os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(folder / "config"), "LC_ALL": "C", "SOCK": host[7:],
        "DOCKER_CLI_HINTS": "false",
    }  # fmt: skip
    begun = time.time()
    steps = []
    for line in story.strip().splitlines():
        command = line.strip()
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, check=False, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LIMIT,
        )  # fmt: skip
        steps.append(Step(command, done.returncode, _mask(done.stdout, folder)))
    events = _events(environment, begun)
    subprocess.run(
        ["bash", "-c", "docker ps -aq | xargs -r docker rm -fv"], env=environment, check=False, capture_output=True
    )
    return Told(steps, events)


def _mask(text: str, folder: Path) -> str:
    text = mask(text, [], work_directory=str(folder))
    for pattern, name in _MORE_MASKS:
        text = pattern.sub(name, text)
    return text


def _events(environment: dict[str, str], begun: float) -> list[str]:
    done = subprocess.run(
        ["docker", "events", "--since", f"{begun:.9f}", "--until", f"{time.time():.9f}", "--filter", "type=container",
         "--format", "{{json .}}"],
        env=environment, check=True, capture_output=True, text=True, timeout=_LIMIT,
    )  # fmt: skip
    told = []
    for line in done.stdout.splitlines():
        event = json.loads(line)
        attributes = event["Actor"]["Attributes"]
        shown = " ".join(
            f"{key}={value}" for key, value in sorted(attributes.items()) if key not in _SKIPPED_ATTRIBUTES
        )
        told.append(_mask(f"{event['Action']} {shown}", Path("/nowhere")).strip())
    return told


_NEWER_SENTENCES = (
    (r"Container (<ID64>) is not running", r"container \1 is not running"),
    (r"Cannot kill container", "cannot kill container"),
    (
        r"You cannot remove a paused container <ID64>\. Unpause and then stop the container before .* force remove",
        "cannot remove container: container is paused and must be unpaused first",
    ),
    (
        r"You cannot remove a running container <ID64>\. Stop the container before attempting removal or force remove",
        "cannot remove container: container is running: stop the container before removing or force remove",
    ),
    (r'cannot remove container "/[^"]*": ', "cannot remove container: "),
)


def as_dockerd_28(text: str) -> str:
    """Put the sentences of dockerd 20 that dockerd 28 says otherwise into its words; ours pass as they are."""
    for pattern, replacement in _NEWER_SENTENCES:
        text = re.sub(pattern, replacement, text)
    return text


def calm(events: list[str]) -> list[str]:
    """Leave out of events what differs without meaning.

    dockerd 28 tells ``stop`` before ``die``, where dockerd 20 tells it after; a restart loop turns as fast as it can.
    """
    names = [re.sub(r"^(\S+).*? name=(\S+).*", r"\1 \2", event) for event in events]
    result: list[str] = []
    skipped: set[int] = set()
    for at, event in enumerate(events):
        if at in skipped:
            continue
        if names[at].startswith("die ") and at + 1 < len(events) and names[at + 1] == f"stop {names[at][4:]}":
            result += [events[at + 1], event]
            skipped.add(at + 1)
        else:
            result.append(event)
    at = 2
    while at + 1 < len(result):
        if result[at].startswith("start ") and result[at : at + 2] == result[at - 2 : at]:
            del result[at : at + 2]
        else:
            at += 1
    return result
