"""The embedded engine: finding it, starting it, stopping it.

One engine per user and data root. Its socket and log are in a runtime folder of mode 0700; a lock file there sees to it
that two kernels which start at the same moment get the same engine. The engine runs as a program in its own session,
so that an interrupt in the notebook does not reach it, and goes away by itself when it is idle.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .address import EMBEDDED, EngineAddress
from .errors import ConnectionFailed, EngineStartFailed

__all__ = ["EngineStatus", "Places", "ensure", "places", "status", "stop"]

_SOCKET_PATH_MAX = 107  # sun_path holds 108 bytes, the last of them zero
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 30.0
_END_TIMEOUT = 5.0
_OTHER_TIMEOUT = 8.0
_PAUSE = 0.2
_IN_USE = "is using the data root"
_DEFAULT_IDLE = "600"


@dataclass(frozen=True, slots=True)
class Places:
    """Where this user's engine keeps what: ``root`` its data, ``run`` socket, log, lock and pid."""

    root: Path
    run: Path

    @property
    def socket(self) -> Path:
        """The socket that the engine listens on."""
        return self.run / "engine.sock"

    @property
    def log(self) -> Path:
        """What the engine wrote on its standard error."""
        return self.run / "engine.log"

    @property
    def pid_file(self) -> Path:
        """The process id of the engine that was started last."""
        return self.run / "engine.pid"

    @property
    def address(self) -> EngineAddress:
        """The engine's address."""
        return EngineAddress(f"unix://{self.socket}", EMBEDDED)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Whether the embedded engine runs, as which process, and where."""

    running: bool
    address: EngineAddress
    root: Path
    log: Path
    pid: int | None = None


def places(environ: Mapping[str, str] | None = None) -> Places:
    """Say where the engine of this user and data root has its places; makes nothing."""
    environ = os.environ if environ is None else environ
    root = Path(environ["PYDOCK_ROOT"]).expanduser().absolute() if environ.get("PYDOCK_ROOT") else _default_root()
    key = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    for base in _runtime_bases(environ):
        run = base / key
        if len(os.fsencode(run / "engine.sock")) <= _SOCKET_PATH_MAX:
            return Places(root, run)
    return Places(root, Path(f"/tmp/pydock-{os.getuid()}") / key)  # noqa: S108 - 0700 and owner are checked


def _default_root() -> Path:
    from platformdirs import user_data_path  # noqa: PLC0415 - only who has no PYDOCK_ROOT needs it

    return user_data_path("pydockmagic") / "engine"


def _runtime_bases(environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("XDG_RUNTIME_DIR"):
        base = Path(environ["XDG_RUNTIME_DIR"])
        if base.is_dir() and os.access(base, os.W_OK):
            yield base / "pydock"
    yield Path(environ.get("TMPDIR") or "/tmp") / f"pydock-{os.getuid()}"  # noqa: S108 - 0700 and owner are checked


def ensure(
    environ: Mapping[str, str] | None = None,
    *,
    timeout: float = _START_TIMEOUT,
    meanwhile: Callable[[], object] | None = None,
) -> EngineAddress:
    """Find the running engine or start one, and return its address.

    ``meanwhile`` is called once while the engine starts. Raises ``EngineStartFailed`` with the end of the engine's log
    where it does not come up in ``timeout`` seconds.
    """
    environ = os.environ if environ is None else environ
    where = places(environ)
    if _answers(where.socket):
        return where.address
    _make_private(where.run)
    with _start_lock(where.run / "start.lock"):
        _start_or_find(where, environ, timeout, meanwhile)
    return where.address


def _start_or_find(
    where: Places, environ: Mapping[str, str], timeout: float, meanwhile: Callable[[], object] | None
) -> None:
    """Start an engine where there is none; wait for one that is just ending or starting.

    A kernel that was killed while it started an engine leaves such a one.
    """
    deadline = time.monotonic() + _OTHER_TIMEOUT
    while not _answers(where.socket):
        try:
            _start(where, environ, timeout, meanwhile)
        except EngineStartFailed as error:
            if _IN_USE not in error.reason or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def status(environ: Mapping[str, str] | None = None) -> EngineStatus:
    """Say whether the engine runs, without starting it."""
    where = places(environ)
    pid = _listener(where.socket)
    return EngineStatus(running=pid is not None, address=where.address, root=where.root, log=where.log, pid=pid or None)


def stop(environ: Mapping[str, str] | None = None, *, timeout: float = _STOP_TIMEOUT) -> bool:
    """Ask the engine to end and wait until it has; containers go on. Returns whether one was running."""
    import signal  # noqa: PLC0415

    where = places(environ)
    pid = _listener(where.socket)
    if pid is None:
        return False
    if not pid:
        raise ConnectionFailed(str(where.address), "the engine's process is not known")
    handle = os.pidfd_open(pid)
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        import select  # noqa: PLC0415

        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise EngineStartFailed(str(where.address), f"it did not stop within {timeout:g} seconds")
    finally:
        os.close(handle)
    _reap()
    return True


def _answers(path: Path) -> bool:
    return _listener(path) is not None


def _listener(path: Path) -> int | None:
    """Return the pid that listens on the socket (0 where it cannot be told), ``None`` where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def _make_private(folder: Path) -> None:
    """Make the runtime folder for us alone; refuse one that somebody else has put there."""
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = each.lstat()
        if owner.st_uid != os.getuid():
            raise EngineStartFailed(str(folder), f"{each} belongs to somebody else")
        if owner.st_mode & 0o077:
            each.chmod(0o700)


@contextlib.contextmanager
def _start_lock(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def command(where: Places, environ: Mapping[str, str]) -> list[str]:
    """Return the command line that starts the engine."""
    return [
        sys.executable,
        "-m",
        "pydockmagic.engine",
        "serve",
        "--host",
        where.address.url,
        "--data-root",
        str(where.root),
        "--idle-timeout",
        environ.get("PYDOCK_IDLE_TIMEOUT") or _DEFAULT_IDLE,
    ]


def _start(where: Places, environ: Mapping[str, str], timeout: float, meanwhile: Callable[[], object] | None) -> None:
    where.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    begin = where.log.stat().st_size if where.log.exists() else 0
    process = _spawn(where, environ)
    assert process.stdout is not None
    deadline = time.monotonic() + timeout
    try:
        if meanwhile is not None:
            meanwhile()
        with process.stdout as announced:
            line = _first_line(announced.fileno(), deadline)
    except BaseException:  # a person does not want to wait: half an engine would be in the way of the next
        _end(process)
        raise
    if not line:
        if line is None:
            process.kill()
        code = process.wait()
        reason = f"no address within {timeout:g} seconds" if line is None else f"it ended with exit code {code}"
        raise EngineStartFailed(str(where.address), *_why(where.log, begin, reason))
    where.pid_file.write_text(f"{process.pid}\n")
    _keep(process)


def _spawn(where: Places, environ: Mapping[str, str]) -> _Engine:
    """Start the program, in a thread: an interrupt in the middle would lose track of a process that is there."""
    made: list[_Engine] = []
    failed: list[OSError] = []

    def spawn() -> None:
        try:
            with where.log.open("ab") as log:
                engine = _Engine(
                    command(where, environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    cwd="/",
                    env=dict(environ),
                )
            made.append(engine)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=spawn, name="pydock-engine", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        thread.join(_END_TIMEOUT)
        for engine in made:
            _end(engine)
        raise
    if failed:
        raise failed[0]
    return made[0]


def _end(process: _Engine) -> None:
    """End an engine that is just starting."""
    process.terminate()
    try:
        process.wait(_END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _first_line(descriptor: int, deadline: float) -> bytes | None:
    """Read the first line; nothing where there is none before the end, ``None`` where it takes too long."""
    import select  # noqa: PLC0415

    line = b""
    while b"\n" not in line:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        data = os.read(descriptor, 4096)
        if not data:
            return b""
        line += data
    return line


def _why(log: Path, begin: int, reason: str) -> tuple[str, str]:
    """Take the engine's own last sentence as the reason, where it wrote one."""
    with log.open("rb") as file:
        file.seek(begin)
        text = file.read().decode(errors="replace").strip()
    last = text.splitlines()[-1] if text else ""
    last = re.sub(r"^\S*(Error|Exception): ", "", last)
    return (f"{reason}: {last}" if last else reason), text[-4000:]


class _Engine(subprocess.Popen[bytes]):
    """A child that is to outlive us: nobody need be warned that it still runs when we end."""

    def __del__(self) -> None:
        return


_started: list[_Engine] = []


def _keep(process: _Engine) -> None:
    """Keep the process object, so that a child that ended is reaped when the next one is started."""
    _reap()
    _started.append(process)


def _reap() -> None:
    """Take note of children that ended."""
    _started[:] = [each for each in _started if each.poll() is None]
