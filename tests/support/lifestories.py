"""What containers go through: the stories of ``lifestories.txt``, told to the mini-engine and to a real dockerd."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DIFFERENCES", "STORIES", "WITHOUT_EVENTS"]


def _read() -> dict[str, str]:
    """Read the stories: ``== name``, then a command a line."""
    text = Path(__file__).with_suffix(".txt").read_text()
    sections = (section.partition("\n") for section in text.split("== ")[1:])
    return {name.strip(): commands for name, _, commands in sections}


STORIES = _read()

WITHOUT_EVENTS = {
    "restart-policy": "what a stop meets, the container or its rest before the next start, depends on the machine",
    "stop-restarting": "how often a container turns round depends on the machine",
    "health": "checks come at their own time",
    "stop-and-kill": "API 1.41 of dockerd 20 knows no signal for stop",
}
"""Stories whose events are not compared, with the reason."""

_API_142 = "asked for with API 1.42, which dockerd 20 does not speak"
_SIGNAL = "dockerd 28 says what could not be done before it says why"

DIFFERENCES: dict[tuple[str, str], str] = {
    ("stop-and-kill", "docker kill -s (0|NOSUCH)"): _SIGNAL,
    ("stop-and-kill", "docker stop -s"): _API_142,
    ("copy", "echo junk"): "the reason is said without the exit status of a helper program, which is not there",
    ("diff-export-commit", "EXPOSE x"): "dockerd 28 begins it with a small letter",
    ("wait", "/wait"): "dockerd 20 tells an error of null; dockerd 28 leaves it out, and refuses an unknown condition",
    ("api-errors", "/wait"): "dockerd 20 tells an error of null; dockerd 28 leaves it out",
    ("api-errors", "signal=x"): _SIGNAL,
    ("api-errors", "since=x"): "every form of time is read here, so that it is a time that is missed and no number",
    ("api-errors", "=x"): "dockerd 28 answers 400 where dockerd 20 answers 500",
    ("api-errors", "filters="): "the complaint about JSON is in our words, and a 400 as of dockerd 28",
    ("api-errors", "etc/passwd|link=1|update"): "dockerd 28 answers 4xx where dockerd 20 answers 500",
    ("names", "^docker inspect nosuch"): "the command asks dockerd 20 otherwise",
}
"""Commands that differ on purpose: (story, pattern of the command) and the reason."""
