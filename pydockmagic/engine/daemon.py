"""The composition root: opens every part of the engine, hands each what it needs, and ends them in order."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import hashlib
import logging
import os
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .. import __version__
from .api.facts import EngineFacts
from .api.router import API_VERSION, version_text
from .api.server import ApiServer, TlsFiles
from .api.system import SystemRoutes
from .errors import EngineError
from .events import EventBus
from .state import State

__all__ = ["Daemon", "DaemonOptions", "EngineRunning"]

_log = logging.getLogger(__name__)

_IDLE_CHECK = 1.0


class EngineRunning(EngineError):
    """Another engine holds the data root."""


class DaemonOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine is started."""

    data_root: Path
    run_dir: Path
    hosts: tuple[str, ...]
    insecure: bool = False
    tls: TlsFiles | None = None
    idle_timeout: float = 0.0
    """Seconds without a client and without a running container after which the engine ends itself; 0 never."""
    stop_containers: bool = False


class _Identity(msgspec.Struct, frozen=True):
    id: str


def default_run_dir(data_root: Path) -> Path:
    """Give the run directory of a data root: below XDG_RUNTIME_DIR where there is one, else in the data root.

    The name is short: sockets below it must stay under the 108 bytes of a unix socket's address.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        short = hashlib.sha256(os.fsencode(data_root.resolve())).hexdigest()[:8]
        return Path(runtime) / f"pydock-{short}"
    return data_root / "run"


class Daemon:
    """One running engine."""

    def __init__(self, options: DaemonOptions) -> None:
        self._options = options
        self._lock = -1
        self._stopping = asyncio.Event()

    async def open(self) -> list[str]:
        """Open everything and begin to serve; give the addresses."""
        options = self._options
        _private_directory(options.data_root)
        _private_directory(options.run_dir)
        self._lock = _lock(options.data_root)
        self.state = State(options.data_root / "state.db")
        self.events = EventBus()
        facts = EngineFacts(
            id=await self._identity(), version=__version__, root=str(options.data_root), storage="overlay2"
        )
        routes = [*SystemRoutes(facts, self.events, _Counters()).routes()]
        self.server = ApiServer(
            routes,
            {
                "Api-Version": version_text(API_VERSION),
                "Docker-Experimental": "false",
                "Ostype": "linux",
                "Server": f"pydockmagic/{__version__} (linux)",
            },
        )
        addresses = [
            await self.server.listen(host, insecure=options.insecure, tls=options.tls) for host in options.hosts
        ]
        gc.collect()
        gc.freeze()
        return addresses

    async def run_until_stopped(self) -> None:
        """Serve until a signal or idleness asks for the end."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stopping.set)
        idle = asyncio.create_task(self._watch_idle())
        await self._stopping.wait()
        idle.cancel()

    async def _watch_idle(self) -> None:
        limit = self._options.idle_timeout
        while limit:
            await asyncio.sleep(min(_IDLE_CHECK, limit))
            if self.server.idle_seconds >= limit:
                _log.info("idle for %s s: ending", limit)
                self._stopping.set()

    async def close(self) -> None:
        """End in the reverse order."""
        await self.server.close()
        self.state.close()
        os.close(self._lock)

    async def _identity(self) -> str:
        known = self.state.load("engine", _Identity)
        if "identity" in known:
            return known["identity"].id
        identity = _Identity(str(uuid.uuid4()))
        await self.state.put("engine", "identity", identity)
        return identity.id


class _Counters:
    def containers(self) -> Mapping[str, int]:
        return {}

    def images(self) -> int:
        return 0

    async def disk_usage(self, kinds: frozenset[str]) -> Mapping[str, Any]:
        return {}


def _private_directory(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _lock(root: Path) -> int:
    descriptor = os.open(root / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise EngineRunning(
            f"another engine{f' (pid {holder})' if holder else ''} is using the data root {root}; "
            "stop it first, or choose another --data-root"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
