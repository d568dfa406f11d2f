"""A real dockerd (Debian's docker.io) of a test's own: own socket, own data, stopped by its pid."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_NO_RULES = """*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
COMMIT
*nat
COMMIT
"""


def available() -> bool:
    """Tell whether a dockerd can be run here: installed, and we are root."""
    return shutil.which("dockerd") is not None and os.geteuid() == 0


@contextmanager
def dockerd(folder: Path, options: Sequence[str] = (), inside: Sequence[str] = ()) -> Iterator[str]:
    """Run a dockerd below ``folder`` and give its address (``unix://...``); ``inside`` is a command that runs it."""
    path = folder / "docker.sock"
    # Names of bridges are global: docker0 may belong to another daemon of this machine.
    command = [
        *inside, "dockerd", "-H", f"unix://{path}", "--data-root", str(folder / "data"),
        "--exec-root", str(folder / "exec"), "-p", str(folder / "docker.pid"),
        "--containerd-namespace", "tests", "--containerd-plugins-namespace", "testsp", *options,
    ]  # fmt: skip
    with ExitStack() as held:
        if not inside:
            held.enter_context(_network_as_it_was())
        yield held.enter_context(_served(command, folder, path))


@contextmanager
def _served(command: Sequence[str], folder: Path, path: Path) -> Iterator[str]:
    with (folder / "dockerd.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not _accepts(path):
            assert process.poll() is None, (folder / "dockerd.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "dockerd did not accept connections within a minute"
            time.sleep(0.05)
        yield f"unix://{path}"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


@contextmanager
def _network_as_it_was() -> Iterator[None]:
    """Take away what dockerd leaves: its bridges and rules, and with them a machine that forwards for nobody else."""
    before, rules = _bridges(), _run("iptables-save")
    try:
        yield
    finally:
        for bridge in _bridges() - before:
            _run("ip", "link", "delete", bridge)
        _run("iptables-restore", given=_NO_RULES + rules)  # a table that was not there is emptied, too


def _bridges() -> set[str]:
    """Name the bridges of this network namespace that no engine of ours made."""
    links = json.loads(_run("ip", "-json", "link", "show", "type", "bridge") or "[]")
    return {link["ifname"] for link in links if not link.get("ifalias", "").startswith("pydock:")}


def _run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout
