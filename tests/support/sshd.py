"""A real sshd of a test's own on the loopback, and an ``ssh`` that knows its key."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sshd:
    """A server that lets this user in, and finds only the programs of ``programs``."""

    url: str
    programs: Path
    path: str

    def program(self, name: str, script: str) -> None:
        """Put a shell script among the programs of the other side."""
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)


def available() -> bool:
    """Whether there is an sshd to run."""
    return shutil.which("ssh") is not None and Path("/usr/sbin/sshd").exists() and os.geteuid() == 0


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Serve ssh below ``folder``; put ``path`` first in PATH to be let in."""
    folder.mkdir()
    for key in ("user", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    programs, clients = folder / "programs", folder / "clients"
    programs.mkdir()
    clients.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "SetEnv": f"PATH={programs}",
        "PermitUserRC": "no",
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    login = f"-i {folder}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    (clients / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F none {login} "$@"\n')
    (clients / "ssh").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], stderr=log)
    try:
        _wait(port)
        yield Sshd(f"ssh://127.0.0.1:{port}", programs, f"{clients}:{os.environ['PATH']}")
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("sshd did not listen within 20 seconds")
