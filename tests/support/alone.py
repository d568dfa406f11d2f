"""An engine of root, alone in a network namespace that outlives it, so that it can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydockmagic.engine.runtime import linux
from support import leaks
from support.api import Api

__all__ = ["Alone", "alone"]

_HOLDER = ("unshare", "--net", "sh", "-c", "ip link set lo up; echo held; exec sleep infinity")
"""All links, rules and ports in the namespace of its own are the engine's own."""


class Alone:
    """One data root below a folder, and the engine on it."""

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/s.sock"
        self.api = Api(self.address, timeout=60)
        self.log = folder / "log"
        self.process: subprocess.Popen[str] | None = None
        self._holder = holder
        self.ids: set[str] = set()

    def start(self, *options: str) -> None:
        """Start the engine; return once it serves."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        command = ["nsenter", "-t", str(self._holder), "-n", sys.executable, "-m", "pydockmagic.engine", "serve",
                   "--host", self.address, "--data-root", str(self.folder / "data"),
                   "--run-dir", str(self.folder / "run"), *options]  # fmt: skip
        environ = os.environ | {"TMPDIR": str(self.folder / "tmp")}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True, env=environ
            )
        line = self.process.stdout.readline()
        if line != f"{self.address}\n":
            self.end(signal.SIGKILL)
            raise AssertionError(line, self.log.read_text())

    def end(self, signum: int = signal.SIGTERM) -> int:
        """End the engine; give its exit code."""
        self.process.send_signal(signum)
        code = self.process.wait(60)
        self.process.stdout.close()
        self.process = None
        return code

    @property
    def estate(self) -> leaks.Estate:
        """Give what the running engine owns."""
        assert self.process is not None
        return leaks.Estate(self.process.pid, self.api, (self.folder,), private_net=True, ids=self.ids)

    def enter(self) -> None:
        """Move this thread, and no other, into the engine's network."""
        descriptor = os.open(f"/proc/{self._holder}/ns/net", os.O_RDONLY)
        linux.setns(descriptor, linux.CLONE_NEWNET)
        os.close(descriptor)

    def remove_all(self) -> None:
        """Remove every container by force."""
        for row in self.api.get("/containers/json", all="1"):
            answer = self.api("DELETE", f"/containers/{row['Id']}", force="1")
            assert answer.status in (204, 404), answer


@contextmanager
def alone(folder: Path, prepare: Callable[[Alone], None] = lambda _: None) -> Iterator[Alone]:
    """Serve an engine with busybox below a folder; at the end its containers go, and it."""
    holder = subprocess.Popen(_HOLDER, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        made = Alone(folder, holder.pid)
        prepare(made)
        made.start()
        try:
            made.api.pull("busybox")
            yield made
        finally:
            if made.process is None:
                made.start()
            try:
                made.remove_all()
            finally:
                made.end()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
