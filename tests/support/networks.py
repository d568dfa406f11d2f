"""Network namespaces for tests, and the network service of an engine of its own."""

import asyncio
import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pydockmagic.engine.events import EventBus
from pydockmagic.engine.networks.netlink import NetlinkSocket, links
from pydockmagic.engine.networks.records import SandboxRequest
from pydockmagic.engine.networks.service import NetworkService
from pydockmagic.engine.networks.wiring import Wiring
from pydockmagic.engine.runtime.linux import CLONE_NEWNET, setns, unshare
from pydockmagic.engine.state import State


def elsewhere(function):
    """Run ``function`` on a thread of its own, so that the network namespace it joins is nobody else's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()


def new_network():
    """Make a network namespace; give a descriptor."""

    def make():
        unshare(CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return elsewhere(make)


def inside(descriptor, function):
    """Run ``function`` in a network namespace."""

    def enter():
        setns(descriptor, CLONE_NEWNET)
        return function()

    return elsewhere(enter)


def link_names(descriptor=None):
    def names():
        with NetlinkSocket() as netlink:
            return {link.name for link in links(netlink)}

    return names() if descriptor is None else inside(descriptor, names)


def wait_for_pipes(namespace, count):
    """Wait until the kernel has taken the namespaces apart that nobody holds any more: it does so in its own time."""
    deadline = time.monotonic() + 20
    while sum(name.startswith("veth") for name in link_names(namespace)) > count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def serve_once(descriptor, answer, port=80, address="0.0.0.0"):
    """Serve one TCP connection inside a namespace; give the thread."""
    import socket

    listener = inside(descriptor, lambda: socket.create_server((address, port)))

    def serve():
        with listener, listener.accept()[0] as connection:
            connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


async def _forgetful_close(self, *, keep):
    await asyncio.gather(*self._filling, return_exceptions=True)
    for ready in [ready for waiting in self._ready.values() for ready in waiting]:
        ready.close()
    self._plumbing.close()
    self._thread.shutdown()


class NetworkWorld:
    """The network service of one engine in a namespace of its own, opened again as a new engine would."""

    engine_id = "feedc0de-0000"

    def __init__(self, folder, *, sandboxed=True, run_dir=None):
        self.folder = folder
        self.run_dir = run_dir
        self.namespace = new_network() if sandboxed else None
        self.events = EventBus()
        self.descriptors = []

    def killed(self, scenario):
        """Run an engine that never gets to close its bridges."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Wiring, "close", _forgetful_close)
            return self.run(scenario)

    def close(self):
        for descriptor in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if self.namespace is not None:
            os.close(self.namespace)

    def run(self, scenario):
        """Run ``await scenario(service)`` with an open service."""

        async def main():
            state = State(self.folder / "state.db")
            path = f"/proc/self/fd/{self.namespace}" if self.namespace is not None else None
            service = NetworkService(state, self.events, self.engine_id, namespace=path, run_dir=self.run_dir)
            try:
                await service.open()
                return await scenario(service)
            finally:
                await service.close()
                state.close()

        return asyncio.run(main())

    async def start(self, service, container_id, **request):
        """Attach a container; its sockets and namespace are kept until the world closes."""
        request.setdefault("name", f"name-{container_id[:4]}")
        request.setdefault("hostname", container_id[:12])
        sandbox = await service.attach(SandboxRequest(container_id=container_id, **request))
        if sandbox.net_fd is not None:
            self.descriptors.append(sandbox.net_fd)
        for listener in sandbox.listeners:
            self.descriptors.append(listener.detach())
        return sandbox
