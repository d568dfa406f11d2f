"""Runs one recorded command again: by a shell in the work directory, on pipes or on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from .records import Record

_LIMIT = 60.0


class Outcome(NamedTuple):
    """What a command left: its exit code and both streams (on a terminal both in ``stdout``)."""

    exit: int
    stdout: str
    stderr: str


def run(record: Record, folder: Path, environment: dict[str, str]) -> Outcome:
    """Run the command as it was recorded; one that does not end within a minute is killed and counts as -9."""
    if record.tty is not None:
        return _on_terminal(record, folder, environment)
    process = subprocess.Popen(
        ["bash", "-c", record.cmd], cwd=folder, env=environment, start_new_session=True,
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


def _on_terminal(record: Record, folder: Path, environment: dict[str, str]) -> Outcome:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "-c", record.cmd], {**environment, "TERM": "xterm"})
    text, mark, deadline = b"", 0, time.monotonic() + _LIMIT
    script = list(record.tty or [])
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
        if script and re.search(script[0][0].encode(), text[mark:]):
            mark = len(text)
            os.write(terminal, script.pop(0)[1].encode())
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return Outcome(os.waitstatus_to_exitcode(status), text.decode(errors="replace"), "")
