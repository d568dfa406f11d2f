"""RUN: a container of the image so far, its output passed on, its writable layer taken over."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from pydockmagic.dockerfile import Run
from pydockmagic.engine.errors import EngineError
from pydockmagic.engine.images.records import LayerRecord
from pydockmagic.engine.runtime.driver import AttachRequest

from .options import BuildOptions
from .output import Output
from .ports import Containers, Images

__all__ = ["RunFailed", "container_body", "run_container", "script_of", "take_layer"]

_HEADER = 8
_BREATH = 0.01
_LONGEST = 1 << 16
_STDERR = 2
_SCRIPTS = "/dev/pipes"


class RunFailed(EngineError):
    """The command ended with another code than 0."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"The command '{' '.join(command)}' returned a non-zero code: {code}")
        self.code = code


def script_of(record: Run) -> tuple[tuple[str, ...], tuple[str, bytes] | None]:
    """Give the command of a RUN with heredocs, and the script file it needs, if its heredoc names an interpreter.

    Dockerfile reference, "Here-documents": alone, a heredoc is the shell's script, or a program of its own when it
    begins with ``#!``; within a longer command, the shell itself reads it.
    """
    if not record.files or not record.prepend_shell or len(record.command) != 1:
        return record.command, None
    command = record.command[0]
    first = record.files[0]
    if command.lstrip("0123456789").startswith("<<") and len(command.split()) == 1:
        if first.content.startswith("#!"):
            return (f"{_SCRIPTS}/{first.name}",), (first.name, first.content.encode())
        return (first.content,), None
    return ("".join([command, *(f"\n{file.content}{file.name}" for file in record.files)]),), None


def container_body(
    image: str, command: Sequence[str], env: Sequence[str], options: BuildOptions, *, network: str, scripts: Path | None
) -> dict[str, Any]:
    """Give the API body of the container that runs one command."""
    host: dict[str, Any] = {
        "NetworkMode": network or options.network_mode or "default",
        "ExtraHosts": list(options.extra_hosts),
        "SecurityOpt": list(options.security_options),
        "ShmSize": options.shm_size,
        "Memory": options.memory,
        "MemorySwap": options.memory_swap,
        "CpuShares": options.cpu_shares,
        "CpuPeriod": options.cpu_period,
        "CpuQuota": options.cpu_quota,
        "CpusetCpus": options.cpuset_cpus,
        "CpusetMems": options.cpuset_mems,
        "CgroupParent": options.cgroup_parent,
        "Ulimits": list(options.ulimits),
    }
    host = {key: value for key, value in host.items() if value}
    if scripts is not None:
        host["Binds"] = [f"{scripts}:{_SCRIPTS}:ro"]
    return {
        "Image": image,
        "Cmd": list(command),
        "Entrypoint": [""],
        "Env": list(env),
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": host,
    }


async def run_container(containers: Containers, container_id: str, output: Output) -> int:
    """Start a container and pass its output on until it ends; gives its exit code. Raises StartError."""
    stream = await containers.attach(container_id, AttachRequest(stdout=True, stderr=True))
    reading = asyncio.create_task(_pass_on(stream, output))
    try:
        await containers.start(container_id)
        code = await containers.wait(container_id)
        await reading
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await reading
        stream.close()
    return code


async def _pass_on(stream: socket.socket, output: Output) -> None:
    decoders = {kind: codecs.getincrementaldecoder("utf-8")("replace") for kind in (1, _STDERR)}
    async for kind, data in _pieces(stream):
        text = decoders[kind].decode(data)
        if text:
            await (output.alarm(text) if kind == _STDERR else output.text(text))
    for kind, decoder in decoders.items():
        if text := decoder.decode(b"", final=True):
            await (output.alarm(text) if kind == _STDERR else output.text(text))


async def _pieces(stream: socket.socket) -> AsyncIterator[tuple[int, bytes]]:
    """Give the output in pieces: what a program writes in several calls, but in one breath, stays together.

    Whoever writes to standard error does so without a buffer, often a line in two or three parts.
    """
    stream.setblocking(False)
    loop = asyncio.get_running_loop()
    frames = _Frames()
    reading = asyncio.ensure_future(loop.sock_recv(stream, 1 << 16))
    try:
        while data := await reading:
            frames.feed(data)
            reading = asyncio.ensure_future(loop.sock_recv(stream, 1 << 16))
            while frames.in_mid_line and (await asyncio.wait({reading}, timeout=_BREATH))[0]:
                data = reading.result()
                frames.feed(data)
                if not data:
                    break
                reading = asyncio.ensure_future(loop.sock_recv(stream, 1 << 16))
            for kind, piece in frames.take():
                yield kind, piece
    finally:
        reading.cancel()


class _Frames:
    """Takes Docker's multiplexed format apart (Engine API, "Attach to a container") and joins what belongs together."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._done: list[tuple[int, bytearray]] = []

    def feed(self, data: bytes) -> None:
        """Take bytes in; frames may begin and end anywhere."""
        pending = self._pending
        pending += data
        at = 0
        while len(pending) - at >= _HEADER:
            end = at + _HEADER + int.from_bytes(pending[at + 4 : at + _HEADER], "big")
            if len(pending) < end:
                break
            kind = _STDERR if pending[at] == _STDERR else 1
            if not self._done or self._done[-1][0] != kind:
                self._done.append((kind, bytearray()))
            self._done[-1][1].extend(pending[at + _HEADER : end])
            at = end
        del pending[:at]

    @property
    def in_mid_line(self) -> bool:
        """Whether the rest of a line is to be expected, and there is room for it."""
        if not self._done:
            return bool(self._pending)
        last = self._done[-1][1]
        return len(last) < _LONGEST and (bool(self._pending) or not last.endswith(b"\n"))

    def take(self) -> list[tuple[int, bytes]]:
        """Give what is complete."""
        taken = [(kind, bytes(piece)) for kind, piece in self._done]
        self._done = []
        return taken


async def take_layer(containers: Containers, images: Images, container_id: str, clamp_ns: int) -> LayerRecord | None:
    """Take the container's writable layer over; None when nothing was written."""
    layer = await containers.commit_layer(container_id, clamp_ns)
    if layer.files:
        return layer
    await images.release([layer.chain_id])
    return None
