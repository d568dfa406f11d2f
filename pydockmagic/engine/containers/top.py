"""The processes of a container as the host's ``ps`` shows them: ``docker top``.

As dockerd does it: run ``ps`` with the client's arguments on the host, keep the rows whose PID is the container's.
Where there is no ``ps``, the default columns are read from /proc.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from pydockmagic.engine.errors import EngineError

from .core import Core
from .lifecycle import Action

__all__ = ["top"]

_DEFAULT = "-ef"
_SECONDS = 10


async def top(core: Core, asked: str, arguments: str) -> dict[str, Any]:
    """Give the document of ``GET /containers/{id}/top``."""
    container = core.store.get(asked)
    container.check(Action.TOP, asked)
    pids = await core.runtime.processes(container.id)
    result = await asyncio.to_thread(_processes, arguments or _DEFAULT, frozenset(pids))
    core.publish(container, "top")
    return result


def _processes(arguments: str, pids: frozenset[int]) -> dict[str, Any]:
    for name, title in re.findall(r"\s+([^\s]*)=\s*(PID[^\s]*)", arguments):
        if name != "pid":  # another column under this title would choose the rows
            raise EngineError(f'specifying "{name}={title}" is not allowed')
    if shutil.which("ps") is None:
        if arguments != _DEFAULT:
            raise EngineError("this machine has no ps program: only the default columns can be shown")
        return {"Titles": _TITLES, "Processes": [row for pid in sorted(pids) if (row := _row(pid))]}
    done = subprocess.run(
        ["ps", *arguments.split()], capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise EngineError(f"ps: {done.stderr.partition(chr(10))[0] or f'exit status {done.returncode}'}")
    return _choose(done.stdout, pids)


def _choose(output: str, pids: frozenset[int]) -> dict[str, Any]:
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise EngineError("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > column and fields[column].isdecimal() and int(fields[column]) in pids:
            rows.append(fields)
    return {"Titles": titles, "Processes": rows}


_TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]


def _row(pid: int) -> list[str] | None:
    """Make one row of ``ps -ef`` from /proc/PID (proc_pid_stat(5))."""
    home = Path("/proc", str(pid))
    try:
        text = (home / "stat").read_text()
        owner = home.stat().st_uid
        command = (home / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    ticks = os.sysconf("SC_CLK_TCK")
    used = (int(fields[11]) + int(fields[12])) // ticks
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / ticks
    age = max(time.time() - started, 1)
    try:
        user = pwd.getpwuid(owner).pw_name
    except KeyError:
        user = str(owner)
    clock = f"{used // 3600:02d}:{used // 60 % 60:02d}:{used % 60:02d}"
    terminal = "?" if fields[4] == "0" else f"pts/{int(fields[4]) & 0xFF}"
    return [
        user,
        str(pid),
        fields[1],
        str(min(int(100 * used / age), 99)),
        time.strftime("%H:%M", time.localtime(started)),
        terminal,
        clock,
        command or f"[{name}]",
    ]
