"""What an engine stands on before it is imported: its sandbox, its data root, and the zygote on its way.

The rest of the engine takes a third of a second to import, the zygote about as long to come up: it comes up meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import EngineError
from .runtime.launching import Launch, launch_early
from .runtime.sandbox import SandboxInfo, enter, open_network

__all__ = ["EngineRunningError", "Ground", "prepared"]


@dataclass(frozen=True)
class Ground:
    """One engine's ground; it alone uses ``data_root``."""

    data_root: Path
    run_dir: Path
    sandbox: SandboxInfo
    network: int | None
    """The network namespace of the bridges; None where that is the host's."""
    zygote: Launch | None


@contextlib.contextmanager
def prepared(data_root: Path, run_dir: Path | None) -> Iterator[Ground]:
    """Enter the sandbox, take the data root and start the zygote. For a program with a single thread.

    Raises ``EngineRunningError`` where another engine has the data root, OSError where there can be none.
    """
    run_dir = run_dir or _default_run_dir(data_root)
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # before the first thread: the namespaces are those of the whole process
    sandbox = enter(run_dir)
    with contextlib.ExitStack() as held:
        held.callback(os.close, _lock(data_root))
        network = open_network(sandbox)
        if network is not None:
            held.callback(os.close, network)
        zygote = launch_early(run_dir, network)
        if zygote is not None:
            held.callback(zygote.drop)
        yield Ground(data_root, run_dir, sandbox, network, zygote)


class EngineRunningError(EngineError):
    """Another engine holds the data root."""


def _default_run_dir(data_root: Path) -> Path:
    """Give the run directory of a data root: below XDG_RUNTIME_DIR where there is one, else in the data root.

    The name is short: sockets below it must stay under the 108 bytes of a unix socket's address.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        short = hashlib.sha256(os.fsencode(data_root.resolve())).hexdigest()[:8]
        return Path(runtime) / f"pydock-{short}"
    return data_root / "run"


def _lock(root: Path) -> int:
    """Take the data root for this engine, or raise ``EngineRunningError``; the lock goes with the process."""
    root.mkdir(mode=0o711, parents=True, exist_ok=True)
    descriptor = os.open(root / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise EngineRunningError(
            f"another engine{f' (pid {holder})' if holder else ''} is using the data root {root}; "
            "stop it first, or choose another --data-root"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
