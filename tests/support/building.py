"""A builder on a scratch data root: the real image service, and containers whose commands are played.

A command is one of ``write PATH TEXT``, ``remove PATH``, ``print TEXT``, ``warn TEXT``, ``fail CODE``, ``env NAME``,
``nothing``, ``hang``, joined by `` && ``: enough to see what the builder makes of them, without a kernel's help.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import socket
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from pydockmagic.engine.builder import Builder, BuildOptions
from pydockmagic.engine.errors import NoSuchContainer
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.images.records import LayerRecord
from pydockmagic.engine.images.service import ImageService
from pydockmagic.engine.runtime.driver import AttachRequest
from pydockmagic.engine.state import State
from pydockmagic.engine.storage.copy import CopyDriver

__all__ = ["BuildWorld", "context_tar"]

Files = Mapping[str, str | bytes | tarfile.TarInfo]


def context_tar(files: Files) -> bytes:
    """Make a context: files, directories (``name/``), symlinks (``-> target``), or any tar member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(name.rstrip("/"))
            member.mtime = 1_700_000_000
            data = content.encode() if isinstance(content, str) else content
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            elif data.startswith(b"-> "):
                member.type, member.linkname = tarfile.SYMTYPE, data[3:].decode()
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class _Played:
    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.ours, self.theirs = socket.socketpair()
        self.code = 0
        self.done = asyncio.Event()


class PlayedContainers:
    """The container service as the builder sees it."""

    def __init__(self, root: Path, images: ImageService) -> None:
        self.images = images
        self.storage = CopyDriver(root)
        self.alive: dict[str, _Played] = {}
        self.made: list[Mapping[str, Any]] = []
        self.hanging = asyncio.Event()

    async def create(self, body: Mapping[str, Any], name: str | None = None) -> str:
        identity = hashlib.sha256(str(len(self.made)).encode()).hexdigest()
        self.made.append(body)
        image = self.images.get(body["Image"])
        await asyncio.to_thread(self.storage.create, identity, self.images.layer_dirs(image.chain_ids))
        self.alive[identity] = _Played(body)
        return identity

    async def attach(self, container_id: str, request: AttachRequest) -> socket.socket:
        return self.alive[container_id].theirs

    async def start(self, container_id: str) -> None:
        played = self.alive[container_id]
        root = self.storage.mount(container_id)
        try:
            for command in played.body["Cmd"][-1].split(" && "):
                await self._play(played, root, command.split(" ", 2))
        finally:
            played.ours.close()
            played.done.set()

    async def _play(self, played: _Played, root: Path, words: list[str]) -> None:
        verb, *rest = words
        if verb == "write":
            path = root / rest[0].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rest[1])
        elif verb == "remove":
            path = root / rest[0].lstrip("/")
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif verb in ("print", "warn"):
            self._send(played, 1 if verb == "print" else 2, " ".join(rest) + "\n")
        elif verb == "env":
            values = dict(entry.split("=", 1) for entry in played.body["Env"])
            self._send(played, 1, f"{rest[0]}={values.get(rest[0])}\n")
        elif verb == "fail":
            played.code = int(rest[0])
        elif verb == "hang":
            self.hanging.set()
            await asyncio.Event().wait()

    def _send(self, played: _Played, kind: int, text: str) -> None:
        data = text.encode()
        played.ours.sendall(bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data)

    async def wait(self, container_id: str) -> int:
        played = self.alive[container_id]
        await played.done.wait()
        return played.code

    async def remove(self, container_id: str, *, force: bool = False, volumes: bool = False) -> None:
        played = self.alive.pop(container_id, None)
        if played is None:
            raise NoSuchContainer(container_id)
        played.ours.close()
        self.storage.remove(container_id)

    async def commit_layer(self, container_id: str, clamp_ns: int) -> LayerRecord:
        image = self.images.get(self.alive[container_id].body["Image"])
        target = self.storage._data_root / f"taken-{container_id[:12]}"
        await asyncio.to_thread(self.storage.adopt, container_id, target)
        parent = image.chain_ids[-1] if image.chain_ids else None
        return await self.images.add_layer(target, parent, clamp_ns=clamp_ns)


class BuildWorld:
    """A data root with a builder; ``restart`` is what an engine's death and new start do to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runner = asyncio.Runner()
        self.messages: list[Mapping[str, Any]] = []
        self._open()
        self.runner.run(self._base())

    def _open(self) -> None:
        self.state = State(self.root / "state.db")
        self.images = ImageService(self.root, self.state, EventBus())
        self.containers = PlayedContainers(self.root, self.images)
        self.builder = Builder(
            state=self.state,
            events=EventBus(),
            images=self.images,
            containers=self.containers,
            storage=self.containers.storage,
            data_root=self.root,
        )

    def restart(self) -> None:
        """Open everything anew, with nothing taken over but the disk."""
        self.state.close()
        self._open()

    def close(self) -> None:
        self.state.close()
        self.runner.close()

    async def _base(self) -> None:
        """Make the image ``base``: a small root of the year 2023."""
        layer = self.root / "base-layer"
        for name, text in {
            "etc/passwd": "root:x:0:0::/root:/bin/sh\nme:x:7:8::/:/bin/sh\n",
            "etc/group": "root:x:0:\nus:x:8:\n",
            "bin/sh": "#!",
            "data/old": "old",
        }.items():
            path = layer / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (layer / "link").symlink_to("data")
        for path in sorted(layer.rglob("*"), reverse=True):
            os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
        record = await self.images.add_layer(layer, None)
        await self.images.create(
            config={
                "architecture": "amd64",
                "os": "linux",
                "created": "2023-05-06T07:08:09Z",
                "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
                "history": [{"created": "2023-05-06T07:08:09Z", "created_by": "base"}],
            },
            chain_ids=[record.chain_id],
            origin="test",
            references=["base"],
        )

    def build(self, files: Files | str, **options: Any) -> list[Mapping[str, Any]]:
        """Build a context (or a Dockerfile alone); gives all messages."""
        if isinstance(files, str):
            files = {"Dockerfile": files}

        return self.send(context_tar(files), **options)

    def send(self, data: bytes, **options: Any) -> list[Mapping[str, Any]]:
        """Build whatever is sent; gives all messages."""

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 4096):
                yield data[start : start + 4096]

        async def collect() -> list[Mapping[str, Any]]:
            return [message async for message in self.builder.build(chunks(), BuildOptions(**options))]

        self.messages = self.runner.run(collect())
        return self.messages

    @property
    def text(self) -> str:
        """What the last build said."""
        return "".join(message.get("stream", "") for message in self.messages)

    @property
    def error(self) -> Mapping[str, Any]:
        """What the last build failed with."""
        return next((m for m in self.messages if "error" in m), {})

    @property
    def image_id(self) -> str:
        """The image of the last build."""
        return [m["aux"]["ID"] for m in self.messages if "ID" in m.get("aux", {})][-1]

    @property
    def config(self) -> dict[str, Any]:
        """The config document of the last build's image."""
        return self.images.config(self.image_id)

    def steps(self, *states: str) -> list[Mapping[str, Any]]:
        """The ``pydock.step`` messages of the last build, in these states."""
        found = [m["aux"]["pydock.step"] for m in self.messages if "pydock.step" in m.get("aux", {})]
        return [step for step in found if step["State"] in states]

    def tree(self) -> dict[str, str]:
        """What the last image shows: path -> text (directories end with a slash, symlinks begin with ``-> ``)."""
        target = self.root / "shown"
        shutil.rmtree(target, ignore_errors=True)
        driver = CopyDriver(self.root)
        driver.create("shown", self.images.layer_dirs(self.images.get(self.image_id).chain_ids))
        root = driver.mount("shown")
        found: dict[str, str] = {}
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif path.is_dir():
                found[name + "/"] = ""
            else:
                found[name] = path.read_text()
        driver.remove("shown")
        return found

    def stat(self, name: str) -> os.stat_result:
        """The attributes of a path in the last image's layers, looked at topmost first."""
        for layer in self.images.layer_dirs(self.images.get(self.image_id).chain_ids):
            if os.path.lexists(layer / name):
                return (layer / name).lstat()
        raise FileNotFoundError(name)
