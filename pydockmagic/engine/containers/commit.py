"""``docker commit``: a container's writable layer becomes a layer, and with it an image.

Engine API v1.50, "Create a new image from a container". A running container is paused meanwhile; its layer is copied,
for it goes on writing to its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.storage.copying import copy_entries, copy_metadata
from pydockmagic.engine.storage.form import Seen, is_opaque, is_whiteout, make_opaque, make_whiteout
from pydockmagic.oci.reference import parse_normalized

from .config import ContainerConfig
from .container import Container
from .core import Core
from .lifecycle import Lifecycle
from .merging import command_line, merge_image
from .requests import decode

__all__ = ["CommitOptions", "Committer"]

_PORTABLE = (
    "Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts", "Tty", "OpenStdin",
    "StdinOnce", "Env", "Cmd", "Healthcheck", "ArgsEscaped", "Image", "Volumes", "WorkingDir", "Entrypoint", "OnBuild",
    "Labels", "StopSignal", "StopTimeout", "Shell",
)  # fmt: skip


class CommitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the client asks for."""

    container: str
    reference: str = ""
    author: str = ""
    comment: str = ""
    pause: bool = True
    changes: Sequence[str] = ()
    config: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Committer:
    """Makes images of containers; ``apply_changes`` is the image service's reading of ``--change``."""

    def __init__(self, core: Core, apply_changes: Callable[[dict[str, Any], Sequence[str]], dict[str, Any]]) -> None:
        self._core = core
        self._apply_changes = apply_changes

    async def commit(self, options: CommitOptions) -> str:
        """Make the image; give its id."""
        core = self._core
        container = core.store.get(options.container)
        async with container.lock:
            if container.removing or container.record.state.dead:
                raise EngineError(f"You cannot commit container {container.id} which is being removed")
            pause = options.pause and container.lifecycle is Lifecycle.RUNNING
            if not pause:
                return await self._make(container, options)
            async with self._paused(container):
                return await self._make(container, options)

    @contextlib.asynccontextmanager
    async def _paused(self, container: Container) -> AsyncIterator[None]:
        """Hold a container still, unless it ends by itself in this very moment."""
        core = self._core
        try:
            await core.runtime.pause(container.id)
        except ProcessLookupError:
            yield
            return
        core.publish(container, "pause")
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):  # killed from outside: nothing is left to wake up
                await core.runtime.unpause(container.id)
            core.publish(container, "unpause")

    async def _make(self, container: Container, options: CommitOptions) -> str:
        core, record = self._core, container.record
        config = self._config(container, options)
        below = core.images.get(record.image_id)
        document = dict(core.images.config(below.id))
        staged = core.surroundings.data_root / "tmp" / f"commit-{container.id}"
        try:
            await asyncio.to_thread(self._stage, core.storage.changes(container.id), staged)
            parent = below.chain_ids[-1] if below.chain_ids else None
            layer = await core.images.add_layer(staged, parent)
        finally:
            await asyncio.to_thread(shutil.rmtree, staged, True)
        created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        document |= {"config": config, "created": created}
        entry = {
            "created": created, "author": options.author, "created_by": " ".join(command_line(record.config)),
            "comment": options.comment,
        }  # fmt: skip
        document["history"] = [*(document.get("history") or []), {k: v for k, v in entry.items() if v}]
        if options.author:
            document["author"] = options.author
        document |= {"container": record.id, "container_config": msgspec.to_builtins(record.config)}
        image = await core.images.create(
            config=document,
            chain_ids=[*below.chain_ids, layer.chain_id],
            parent=below.id,
            container=record.id,
            comment=options.comment,
            author=options.author,
            origin="commit",
            references=[options.reference] if options.reference else [],
        )
        name = parse_normalized(options.reference).familiar if options.reference else ""
        attributes = {"comment": options.comment, "imageID": image.id, "imageRef": name}
        core.publish(container, "commit", **attributes)
        return image.id

    def _config(self, container: Container, options: CommitOptions) -> dict[str, Any]:
        """Give the image's config: the container's, changed by what the client says."""
        own = msgspec.to_builtins(container.record.config)
        config = {key: own[key] for key in _PORTABLE if key in own}
        # what the client sends in the body goes before the container's own
        given = decode(options.config, ContainerConfig)
        merge_image(given, config)
        merged = msgspec.to_builtins(given)
        merged["Hostname"], merged["Domainname"] = config.get("Hostname", ""), config.get("Domainname", "")
        return self._apply_changes({key: merged[key] for key in _PORTABLE if key in merged}, options.changes)

    def _stage(self, upper: Path, staged: Path) -> None:
        """Copy a writable layer, whiteouts and all."""
        staged.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(mode=0o755)
        entries = _entries(str(upper))
        hidden = [entry for entry in entries if is_whiteout(entry.source, entry.stat)]
        gone = {entry.path for entry in hidden}
        copy_entries([entry for entry in entries if entry.path not in gone], str(staged))
        for entry in hidden:
            make_whiteout(f"{staged}/{entry.path}")
        for entry in entries:
            if stat.S_ISDIR(entry.stat.st_mode) and is_opaque(entry.source):
                make_opaque(f"{staged}/{entry.path}")
        copy_metadata(str(upper), str(staged), upper.stat())


def _entries(root: str) -> list[Seen]:
    found: list[Seen] = []
    pending = [""]
    while pending:
        base = pending.pop()
        for entry in sorted(os.scandir(f"{root}/{base}" if base else root), key=lambda e: e.name):
            path = f"{base}/{entry.name}" if base else entry.name
            status = entry.stat(follow_symlinks=False)
            found.append(Seen(path, entry.path, status))
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
    return found


def checked_reference(repository: str, tag: str) -> str:
    """Put the new image's name together."""
    if not repository:
        if tag:
            raise InvalidParameter("invalid reference format")
        return ""
    return f"{repository}:{tag}" if tag else repository
