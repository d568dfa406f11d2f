"""A mini-engine of a test's own, run as the program that users run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def engine(
    folder: Path,
    options: Sequence[str] = (),
    inside: Sequence[str] = (),
    python: str = sys.executable,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> Iterator[str]:
    """Serve the engine on a socket below ``folder`` and give its address; ``inside`` is a command that runs it."""
    address = f"unix://{folder}/engine.sock"
    command = [
        *inside, python, "-m", "pydockmagic.engine", "serve",
        "--host", address, "--data-root", str(folder / "engine"), *options,
    ]  # fmt: skip
    with (folder / "engine.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True, env=env, cwd=cwd
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert address in line, (line, (folder / "engine.log").read_text()[-4000:])
        yield address
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
