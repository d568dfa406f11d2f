"""A daemon behind ssh: each connection is one ``ssh HOST docker system dial-stdio``, as the docker command does it.

The seam is a private unix socket. Whoever connects to it gets an ssh program whose standard input and output are that
very connection: no byte passes through this process, and shutting the connection down ends the program. The programs
share one login where the user's ssh is OpenSSH (``ControlMaster``), so only the first connection pays for it.
"""

from __future__ import annotations

import atexit
import contextlib
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from .errors import BadAddress

__all__ = ["SshTarget", "Tunnel", "parse_ssh"]

_CONNECT_SECONDS = 30
_LOGIN_KEPT_SECONDS = 60
_ALIVE_SECONDS = 10
_END_SECONDS = 2.0
_PLAIN = re.compile(r"[\w.%:][\w.%:-]*")  # no host or user may look like an option of ssh


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Whom ``ssh://[USER@]HOST[:PORT][/SOCKET]`` means."""

    host: str
    user: str = ""
    port: int | None = None
    socket: str = ""

    def command(self, control: Path) -> list[str]:
        """Return the program that connects its standard streams to the daemon there.

        A machine without the docker command may have ours, which understands the same words.
        """
        words = ["ssh", "-T", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"]
        words += ["-o", "ControlMaster=auto", "-o", f"ControlPath={control}"]
        words += ["-o", f"ControlPersist={_LOGIN_KEPT_SECONDS}"]
        # A login whose machine has gone without a word would swallow every later connection as well.
        words += ["-o", f"ServerAliveInterval={_ALIVE_SECONDS}", "-o", "ServerAliveCountMax=2"]
        words += ["-l", self.user] if self.user else []
        words += ["-p", str(self.port)] if self.port is not None else []
        host = ["--host", f"unix://{self.socket}"] if self.socket else []
        rest = shlex.join([*host, "system", "dial-stdio"])
        asked = f"if command -v docker >/dev/null; then exec docker {rest}; else exec pydock {rest}; fi"
        return [*words, "--", self.host, f"sh -c {shlex.quote(asked)}"]


def parse_ssh(url: str) -> SshTarget:
    """Take an ``ssh://`` address apart. Raises ``BadAddress`` in docker's words."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise BadAddress(f'unable to parse docker host "{url}"') from None
    if not parts.hostname:
        raise BadAddress(f'invalid SSH URL: "{url}": no host specified')
    if parts.password is not None:
        raise BadAddress("invalid SSH URL: plain-text password is not supported")
    if parts.query:
        raise BadAddress(f"invalid SSH URL: query parameters are not allowed: {parts.query!r}")
    target = SshTarget(parts.hostname, unquote(parts.username or ""), port, parts.path.rstrip("/"))
    if not _PLAIN.fullmatch(target.host) or (target.user and not _PLAIN.fullmatch(target.user)):
        raise BadAddress(f'unable to parse docker host "{url}"')
    return target


class Tunnel:
    """A unix socket of our own, each of whose connections ends at the daemon on the other machine."""

    def __init__(self, target: SshTarget) -> None:
        if shutil.which("ssh") is None:
            raise BadAddress("connecting over ssh needs the ssh command, which is not installed here")
        self._target = target
        self._folder = Path(tempfile.mkdtemp(prefix="pydock-ssh-"))
        self.path = self._folder / "s"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._guard = threading.Lock()
        self._running: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        self._complaint = ""
        # The shared login outlives this process, and so would the folder with its socket.
        atexit.register(self.close)
        threading.Thread(target=self._accept, name="pydock-ssh", daemon=True).start()

    @property
    def complaint(self) -> str:
        """Why the last ssh that failed did so; empty where none failed. Waits a moment for one that is ending."""
        for process, _ in list(self._running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
                break
        self._collect()
        return self._complaint

    def close(self) -> None:
        """End every connection, and the shared login."""
        atexit.unregister(self.close)
        # A thread that blocks in accept() wakes up from a shutdown, not from a close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        command = ["ssh", "-o", f"ControlPath={self._control}", "-O", "exit", "--", self._target.host]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, check=False, capture_output=True, timeout=_END_SECONDS)
        with self._guard:
            running, self._running = self._running, []
        for process, errors in running:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            process.kill()
            process.wait()
            errors.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _control(self) -> Path:
        return self._folder / "c"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._collect()
                # A file, not a pipe: the shared login goes on in the background and would keep a pipe open.
                errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the program has ended
                process = subprocess.Popen(
                    self._target.command(self._control),
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=errors,
                    start_new_session=True,  # an interrupt in the notebook is not meant for it
                )
                with self._guard:
                    self._running.append((process, errors))

    def _collect(self) -> None:
        """Look which programs have ended, and keep what a failed one complained of."""
        with self._guard:
            ended = [each for each in self._running if each[0].poll() is not None]
            self._running = [each for each in self._running if each not in ended]
        for process, errors in ended:
            if process.returncode > 0:
                errors.seek(0)
                said = errors.read(4096).decode(errors="replace").strip()
                self._complaint = f"ssh ended with exit status {process.returncode}: {said}"
            errors.close()
