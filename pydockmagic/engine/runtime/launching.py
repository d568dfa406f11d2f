"""Starting a zygote: a program of its own, which takes about as long to come up as the engine takes to be imported."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from pydockmagic.engine.errors import EngineError

from . import wire

__all__ = ["Launch", "launch_early"]

_LAUNCH = Path(__file__).with_name("launch.py")


class Launch:
    """A zygote on its way. ``net`` is the network namespace that it is to live in (rootless)."""

    def __init__(self, run_dir: Path, python: str = sys.executable, net: int | None = None) -> None:
        self._run_dir = run_dir
        self._log = run_dir / "zygote.log"
        numbers = [net] if net is not None else []
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._process = subprocess.Popen(
                [python, "-I", "-S", str(_LAUNCH), str(run_dir), *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=descriptor,
                start_new_session=True,
                pass_fds=numbers,
            )
        finally:
            os.close(descriptor)

    def wait(self) -> None:
        """Return once the zygote listens. Blocks. Raises EngineError where it does not come up."""
        if code := self._process.wait():
            lines = self._log.read_text(errors="replace").strip().splitlines()
            raise EngineError(f"the zygote did not start: {lines[-1] if lines else code}")

    def drop(self) -> None:
        """Let the zygote go again where nobody waited for it. Blocks."""
        if self._process.returncode is None and not self._process.wait():
            with contextlib.suppress(OSError):
                wire.connect(str(self._run_dir), _socket()).close()  # with its last engine it ends


def launch_early(run_dir: Path, net: int | None) -> Launch | None:
    """Start a zygote for an engine that is about to come; None where there seems to be one."""
    return None if (run_dir / _socket()).exists() else Launch(run_dir, net=net)


def _socket() -> str:
    return f"{wire.zygote_name()}.sock"
