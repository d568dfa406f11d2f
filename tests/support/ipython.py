"""IPython in a terminal of its own, as a person has it: keys go in, and the screen is what they see."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect

from pydockmagic.notebook.emulator import Emulator

__all__ = ["Terminal", "environment"]

_ROWS, _COLUMNS = 120, 120


def environment(folder: Path, address: str) -> dict[str, str]:
    """Give what IPython is to find around it: this engine, and settings and a history of nobody else."""
    given = {"PYDOCK_HOST": address, "IPYTHONDIR": str(folder / "ipython"), "TERM": "xterm", "PAGER": "cat"}
    return {**os.environ, **given}


class Terminal:
    """An ``ipython`` on a pseudo-terminal whose screen is kept by a terminal emulator."""

    def __init__(self, folder: Path, address: str, program: tuple[str, ...] = (sys.executable,)) -> None:
        command = [*program, "-m", "IPython", "--no-banner", "--no-confirm-exit"]
        self.child: Any = pexpect.spawn(
            command[0], command[1:], env=environment(folder, address), cwd=str(folder), dimensions=(_ROWS, _COLUMNS)
        )
        self._screen = Emulator(_ROWS, _COLUMNS, answer=self.child.send)
        self._number = 1
        self.until(lambda text: text.endswith("In [1]:"))

    @property
    def text(self) -> str:
        """Everything that was shown and is remembered."""
        return self._screen.text().rstrip()

    def until(self, condition: Callable[[str], object], seconds: float = 30) -> None:
        """Wait until what the screen shows fulfils a condition."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            assert time.monotonic() < deadline, self.text[-4000:]
            try:
                self._screen.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue

    def keys(self, text: str) -> None:
        """Press keys."""
        self.child.send(text)

    def begin(self, code: str) -> None:
        """Paste a cell and run it (Alt and Enter, as more lines might follow), without waiting for its end."""
        self._number += 1
        self.keys(f"\x1b[200~{code}\x1b[201~")
        self.until(lambda text: text.endswith(code.splitlines()[-1]))
        self.keys("\x1b\r")

    def end(self) -> str:
        """Wait for the next prompt and give what the cell has shown."""
        prompt = f"In [{self._number}]:"
        self.until(lambda text: text.endswith(prompt))
        before = self.text.removesuffix(prompt).rpartition(f"In [{self._number - 1}]:")[2]
        return re.sub(r"\A[^\n]*\n(\s*\.\.\.:[^\n]*\n)*", "", before).rstrip()

    def cell(self, code: str) -> str:
        """Run a cell and give what it has shown."""
        self.begin(code)
        return self.end()

    def close(self) -> None:
        """Leave IPython; it must end by itself."""
        self.keys("\x04")
        self.child.expect(pexpect.EOF, timeout=30)
        self.child.close()
