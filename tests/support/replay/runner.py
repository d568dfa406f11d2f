"""Runs one recorded command again: by a shell in the work directory, on pipes or on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from pathlib import Path
from typing import NamedTuple

from .records import Record
from .stage import Stage

_LIMIT = 60.0


class Outcome(NamedTuple):
    """What a command left: its exit code and both streams (on a terminal both in ``stdout``)."""

    exit: int
    stdout: str
    stderr: str


class Place(NamedTuple):
    """Where commands run: on which host, in which directory, with which environment."""

    stage: Stage
    folder: Path
    environment: dict[str, str]

    def shell(self, command: str) -> list[str]:
        """Give the command line of a shell there that runs ``command``."""
        return self.stage.command(["bash", "-c", 'cd "$0" && exec bash -c "$1"', str(self.folder), command])

    def quietly(self, command: str) -> None:
        """Run a command whose outcome does not matter."""
        subprocess.run(
            self.shell(command), env=self.environment, check=False, capture_output=True, stdin=subprocess.DEVNULL
        )


def run(record: Record, command: str, place: Place) -> Outcome:
    """Run ``command`` as the record's was; one that does not end within a minute is killed and counts as -9."""
    if record.tty is not None:
        return _on_terminal(record.tty, command, place)
    process = subprocess.Popen(
        place.shell(command), env=place.environment, start_new_session=True,
        stdin=subprocess.DEVNULL if record.stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    given = None if record.stdin is None else record.stdin.encode()
    try:
        out, err = process.communicate(given, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return Outcome(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def _on_terminal(typed: list[tuple[str, str]], command: str, place: Place) -> Outcome:
    terminal, its_end = pty.openpty()
    # setsid makes the terminal the controlling one: no fork of this process, which has threads
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *place.shell(command)], stdin=its_end, stdout=its_end, stderr=its_end,
        env={**place.environment, "TERM": "xterm"},
    )  # fmt: skip
    os.close(its_end)
    text, mark, deadline = b"", 0, time.monotonic() + _LIMIT
    script = list(typed)
    while time.monotonic() < deadline:
        # A short wait only while there is something to type: the pattern may have been printed already.
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if ready:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                break
            if not chunk:
                break
            text += chunk
            continue
        if script and (script[0][0] or _is_raw(terminal)) and re.search(script[0][0].encode(), text[mark:]):
            mark = len(text)
            os.write(terminal, script.pop(0)[1].encode())
    else:
        process.kill()
    process.wait()
    os.close(terminal)
    return Outcome(process.returncode, text.decode(errors="replace"), "")


def _is_raw(terminal: int) -> bool:
    """Tell whether the command listens to single keys: what is typed before that, the terminal itself would echo."""
    return not termios.tcgetattr(terminal)[3] & termios.ICANON
