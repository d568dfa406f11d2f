"""Starting containers, noticing their end, and starting them again when their policy says so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from pydockmagic.engine.errors import EngineError, NotFound, StartError
from pydockmagic.engine.runtime.driver import AttachRequest, Running
from pydockmagic.engine.runtime.spec import ContainerSpec, ExitRecord

from . import links, specs
from .container import Container
from .core import Core
from .health import HealthMonitor
from .joins import check_joins
from .lifecycle import Action
from .ports import NetworkRequest, NetworkSandbox

__all__ = ["Lives"]

_log = logging.getLogger(__name__)

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 60.0
_LOST = 137
_LONG_RUN_NS = 10_000_000_000
"""A container that ran this long starts its restarts over (moby's restartmanager)."""


class Lives:
    """Moves containers between their states; other parts ask it to."""

    def __init__(self, core: Core, health: HealthMonitor) -> None:
        self._core = core
        self.health = health
        self.remove_finished: asyncio.Queue[Container] = asyncio.Queue()
        """Containers that ended and asked to be removed (``--rm``)."""

    async def start(self, container: Container, *, asked: str = "") -> None:
        """Start a container; raise Docker's refusal or ``StartError``."""
        async with container.lock:
            container.check(Action.START, asked)
            container.backoff = 0.0
            container.record.restart_count = 0
            container.record.manually_stopped = False
            await self.start_locked(container)

    async def start_locked(self, container: Container, *, action: str = "start") -> None:
        """Start a container whose lock is held and whose state allows it."""
        core, record = self._core, container.record
        before = container.lifecycle
        pending, container.pending = container.pending, []
        try:
            running = await self._launch(container, [item.request for item in pending])
        except BaseException as error:
            await self._failed(container, error)
            for item in pending:
                item.give(None)
            raise
        for item, stream in zip(pending, running.streams, strict=True):
            item.give(stream)
        state = record.state
        state.running, state.paused, state.restarting, state.dead = True, False, False, False
        state.pid, state.started_ns = running.pid, running.started_ns
        state.exit_code, state.error, state.oom_killed = 0, "", False
        container.oom_told = False
        container.ended.clear()
        container.remember(action, before)
        container.monitor = core.spawn(self._watch(container), f"watching {container.id[:12]}")
        self.health.begin(container)
        core.publish(container, "start")
        await core.store.save(container)
        await self._tell_parents(container)

    async def _launch(self, container: Container, attach: Sequence[AttachRequest]) -> Running:
        check_joins(container, self._core.store)
        hostname = self._hostname(container)
        sandbox = await self._join_network(container)
        try:
            return await self._run(container, sandbox, hostname, attach)
        finally:
            if sandbox.net_fd is not None:
                os.close(sandbox.net_fd)
            for listener in sandbox.listeners:
                listener.close()

    async def _run(
        self, container: Container, sandbox: NetworkSandbox, hostname: str, attach: Sequence[AttachRequest]
    ) -> Running:
        core, record = self._core, container.record
        record.networks = {name: dict(endpoint) for name, endpoint in sandbox.networks.items()}
        record.ports = dict(sandbox.ports)
        record.sandbox_id = secrets.token_hex(32)
        shared = self._shared_files(record.host_config.network_mode)

        def prepare() -> ContainerSpec:
            files = core.files(record.id)
            _write_files(files, hostname, sandbox, shared)
            root = core.storage.root(record.id, read_only=record.host_config.readonly_rootfs)
            bundle = core.bundle(record.id)
            bundle.mkdir(mode=0o700, exist_ok=True)
            rows, columns = [*record.host_config.console_size, 0, 0][:2]
            return specs.build(
                record,
                root,
                files,
                bundle,
                net=sandbox.net,
                forwards=sandbox.forwards,
                namespace_of=self._namespace,
                hostname=hostname,
                source_of=partial(core.volumes.source, record.id),
                console_size=(rows, columns),
            )

        await core.volumes.hold(record.id, record.mounts)
        try:
            spec = await asyncio.to_thread(prepare)
            return await core.runtime.start(spec, net=sandbox.net_fd, listeners=sandbox.listeners, attach=attach)
        except BaseException:
            await core.volumes.let_go(record.id, record.mounts)
            raise

    async def _tell_parents(self, container: Container) -> None:
        """Let the containers that are linked to this one know its new address."""
        address = str(container.record.networks.get("bridge", {}).get("IPAddress") or "")
        for parent, link in links.parents_of(container, self._core.store):
            await self.change_hosts(parent, partial(links.with_address, alias=link.alias, address=address))

    async def change_hosts(self, container: Container, change: Callable[[str], str]) -> None:
        """Rewrite the /etc/hosts of a running container, in place: it is mounted there."""
        if container.record.state.pid:
            path = self._core.files(container.id).hosts
            await asyncio.to_thread(lambda: path.write_text(change(_text(path))))

    async def _join_network(self, container: Container) -> NetworkSandbox:
        record = container.record
        host, config = record.host_config, record.config
        links.check(record, self._core.store)
        record.link_environment = links.environment(record, self._core.store)
        mode = "none" if config.network_disabled is True else host.network_mode
        pid = 0
        if mode.startswith("container:"):
            other = self._core.store.get(mode.partition(":")[2])
            mode, pid = f"container:{other.id}", other.record.state.pid
        return await self._core.networks.attach(
            NetworkRequest(
                container_id=record.id,
                name=record.name,
                hostname=config.hostname or record.id[:12],
                domainname=config.domainname,
                mode=mode,
                endpoints={name: msgspec.to_builtins(asked) for name, asked in record.endpoints.items()},
                exposed=tuple(config.exposed_ports or ()),
                port_bindings=msgspec.to_builtins(host.port_bindings),
                publish_all=host.publish_all_ports,
                dns=tuple(host.dns),
                dns_search=tuple(host.dns_search),
                dns_options=tuple(host.dns_options),
                extra_hosts=tuple(host.extra_hosts or ()),
                container_pid=pid,
                links=links.host_names(record, self._core.store),
            )
        )

    def _hostname(self, container: Container) -> str:
        record = container.record
        mode = record.host_config.network_mode
        if mode.startswith("container:"):
            other = self._core.store.get(mode.partition(":")[2])
            return self._hostname(other)
        if record.config.hostname:
            return record.config.hostname
        if record.host_config.uts_mode == "host" or mode == "host":
            return socket.gethostname()
        return record.id[:12]

    def _shared_files(self, mode: str) -> specs.Files | None:
        if not mode.startswith("container:"):
            return None
        return self._core.files(self._core.store.get(mode.partition(":")[2]).id)

    def _namespace(self, asked: str, kind: str) -> str:
        return f"/proc/{self._core.store.get(asked).record.state.pid}/ns/{kind}"

    async def _failed(self, container: Container, error: BaseException) -> None:
        """Put everything back after a start that did not succeed: the container stays as it was, with the reason."""
        core, record = self._core, container.record
        record.state.error = str(error)
        record.state.exit_code = error.exit_code if isinstance(error, StartError) else 128
        record.state.restarting = record.state.running = False
        record.networks, record.ports = _idle_endpoints(record.networks), {}
        await core.networks.release(record.id)
        await core.runtime.delete(record.id)
        await core.store.save(container)
        container.notify()
        if record.host_config.auto_remove:
            self.remove_finished.put_nowait(container)

    def watch(self, container: Container, running: Running) -> None:
        """Take up a container that an earlier engine started."""
        container.record.state.pid = running.pid
        container.ended.clear()
        container.monitor = self._core.spawn(self._watch(container), f"watching {container.id[:12]}")
        self.health.begin(container)

    async def tell_ooms(self) -> None:
        """Tell each time that the kernel kills in a container for want of memory; runs for ever."""
        while True:
            identity = await self._core.runtime.oom()
            with contextlib.suppress(NotFound):
                container = self._core.store.get(identity)
                container.oom_told = True
                self._core.publish(container, "oom")

    async def _watch(self, container: Container) -> None:
        try:
            record = await self._core.runtime.wait(container.id)
        except ProcessLookupError:  # its run directory was taken away from under it
            lost = "the container's supervisor cannot be found any more"
            started = container.record.state.started_ns
            record = ExitRecord(code=_LOST, started_ns=started, finished_ns=time.time_ns(), error=lost)
        await self.finish(container, record)

    async def finish(self, container: Container, ended: ExitRecord) -> None:
        """Note the end of a container's process, and what follows from it."""
        core, record = self._core, container.record
        async with container.lock:
            self.health.end(container)
            state, before = record.state, container.lifecycle
            stopping, container.stopping = container.stopping, False
            again = not container.removing and self._wants_restart(container, ended)
            state.running = state.restarting = again
            state.paused, state.pid = False, 0
            state.exit_code, state.finished_ns = ended.code, ended.finished_ns
            state.started_ns = ended.started_ns or state.started_ns
            state.oom_killed = ended.oom_killed
            state.error = ended.error
            signum = ended.code - 128 if 128 < ended.code < 128 + 65 else None
            if again:
                record.restart_count += 1
            if ended.oom_killed and not container.oom_told:
                core.publish(container, "oom")
            container.remember("die", before, code=ended.code, signum=signum, oom=ended.oom_killed)
            record.networks, record.ports = _idle_endpoints(record.networks), {}
            container.exec_ids = {key: True for key, running in container.exec_ids.items() if running}
            container.ended.set()
            container.notify()
            if stopping:
                core.publish(container, "stop")
            seconds = max(0, ended.finished_ns - ended.started_ns) // 1_000_000_000
            core.publish(container, "die", execDuration=str(seconds), exitCode=str(ended.code))
            await core.networks.release(record.id)
            await core.volumes.let_go(record.id, record.mounts)
            await core.store.save(container)
            await core.runtime.delete(record.id)
        if again:
            delay = self._next_delay(container, ended)
            container.restart_timer = core.spawn(self._restart_later(container, delay), f"restarting {record.name}")
        elif record.host_config.auto_remove and not container.removing and not container.restarting_by_hand:
            self.remove_finished.put_nowait(container)

    def _wants_restart(self, container: Container, ended: ExitRecord) -> bool:
        record = container.record
        policy = record.host_config.restart_policy
        if record.manually_stopped or container.restarting_by_hand:
            return False
        if policy.name in ("always", "unless-stopped"):
            return True
        if policy.name == "on-failure" and ended.code != 0:
            return policy.maximum_retry_count == 0 or record.restart_count < policy.maximum_retry_count
        return False

    def _next_delay(self, container: Container, ended: ExitRecord) -> float:
        if not container.backoff or ended.finished_ns - ended.started_ns >= _LONG_RUN_NS:
            container.backoff = _FIRST_BACKOFF
        else:
            container.backoff = min(container.backoff * 2, _LONGEST_BACKOFF)
        return container.backoff

    async def _restart_later(self, container: Container, delay: float) -> None:
        await asyncio.sleep(delay)
        async with container.lock:
            container.restart_timer = None
            if not container.record.state.restarting or container.removing:
                return
            try:
                await self.start_locked(container, action="start by policy")
            except EngineError as error:
                _log.warning("restart of %s failed: %s", container.record.name, error)

    async def give_up_restart(self, container: Container, action: str) -> None:
        """Leave the restarting state for good (a stop, a kill, a removal)."""
        if container.restart_timer is not None:
            container.restart_timer.cancel()
            container.restart_timer = None
        async with container.lock:
            before, state = container.lifecycle, container.record.state
            if state.restarting and not state.pid:
                state.restarting = state.running = False
                container.remember(action, before)
                container.notify()
                await self._core.store.save(container)


def _idle_endpoints(networks: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Blank what an endpoint only has while it is in being; the networks stay listed, as in Docker."""
    blank: dict[str, object] = {
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
    }
    return {name: {key: blank.get(key, value) for key, value in entry.items()} for name, entry in networks.items()}


def _text(path: Path | str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeError):
        return ""


def _write_files(files: specs.Files, hostname: str, sandbox: NetworkSandbox, shared: specs.Files | None) -> None:
    files.directory.mkdir(mode=0o710, exist_ok=True)
    hosts = _text(shared.hosts) if shared else sandbox.hosts
    resolv_conf = _text(shared.resolv_conf) if shared else sandbox.resolv_conf
    for path, text in ((files.hostname, f"{hostname}\n"), (files.hosts, hosts), (files.resolv_conf, resolv_conf)):
        path.write_text(text)
        path.chmod(0o644)
