"""Files into and out of containers: ``docker cp``, ``docker export`` and ``docker diff``.

Paths are looked up with the container's root as root, so no link leads out of it; a path below a mount is looked up in
what is mounted there, as the container itself would see it.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError, Forbidden, InvalidParameter, NotFound
from pydockmagic.engine.storage.form import is_opaque, is_whiteout
from pydockmagic.engine.streams import ThreadStream, gather
from pydockmagic.engine.timestamps import rfc3339
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.layer import export_tree, extract, open_beneath, open_root, open_stream, resolve_in_root, tar_entry

from .container import Container
from .core import Core
from .initlayer import find_below

__all__ = ["Archive", "PathStat"]

_MODIFIED, _ADDED, _DELETED = 0, 1, 2
_PIECE = 1 << 18
_KERNEL = frozenset({"proc", "sys"})
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: (1 << 26) | (1 << 21),
}


class PathStat(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the header ``X-Docker-Container-Path-Stat`` tells; ``mode`` in Go's numbers."""

    name: str
    size: int
    mode: int
    mtime: str
    link_target: str

    def header(self) -> str:
        """Encode it for the header."""
        return base64.b64encode(msgspec.json.encode(self)).decode()


class _View(msgspec.Struct, frozen=True):
    """A container's whole tree: ``live`` as its processes see it, mounts and all, else its root alone."""

    root: Path
    live: bool


class _Place(msgspec.Struct, frozen=True):
    """Where a container's path lies: a directory of the host, and the rest below it, free of links."""

    root: str
    inner: str
    writable: bool
    volume: bool


def _ids() -> list[list[str]]:
    with open("/proc/self/uid_map", encoding="ascii") as table:  # noqa: PTH123 - a few bytes of a kernel file
        return [line.split() for line in table]


def _unpacking() -> dict[str, Any]:
    """Say what of owners and devices can be had: one user owns all, and only the host's root makes devices."""
    ids = _ids()
    single = os.geteuid() != 0 or sum(int(count) for _, _, count in ids) <= 1
    hosts_root = os.geteuid() == 0 and ids == [["0", "0", "4294967295"]]
    return {"owners": "index" if single else "disk", "devices": "make" if hosts_root else "skip"}


class Archive:
    """Reads and writes the files of containers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def _enter(self, container: Container) -> _View:
        """Give a view of a container's files: its own while it runs, else its root mounted here. Blocks."""
        if pid := container.record.state.pid:
            return _View(Path(f"/proc/{pid}/root"), live=True)
        return _View(self._core.storage.mount(container.id), live=False)

    def _leave(self, container: Container, view: _View) -> None:
        if not view.live:
            self._core.storage.unmount(container.id)

    # --- docker cp ------------------------------------------------------------------------------------------------

    async def stat(self, container: Container, asked: str, path: str) -> PathStat:
        """Describe one path."""

        def work() -> PathStat:
            view = self._enter(container)
            try:
                place = self._place(container, view, asked, path, follow=False)
                return self._stat(place, asked, path)
            finally:
                self._leave(container, view)

        async with self._volumes(container):
            return await asyncio.to_thread(work)

    def _volumes(self, container: Container) -> AbstractAsyncContextManager[None]:
        """Have a stopped container's volumes mounted for as long as the block lasts; a running one shows them."""
        mounts = [] if container.record.state.pid else container.record.mounts
        return self._core.volumes.opened([mount.name for mount in mounts if mount.kind == "volume"])

    async def read(self, container: Container, asked: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Give one path as a tar, and its description."""
        if not path:
            raise InvalidParameter("bad parameter: pathcannot be empty")
        core = self._core
        opened = AsyncExitStack()
        await opened.enter_async_context(self._volumes(container))
        try:
            view = await asyncio.to_thread(self._enter, container)
            opened.push_async_callback(asyncio.to_thread, self._leave, container, view)
            place = self._place(container, view, asked, path, follow=False)
            described = await asyncio.to_thread(self._stat, place, asked, path)
        except BaseException:
            await opened.aclose()
            raise
        core.publish(container, "archive-path")
        base = posixpath.basename(path.rstrip("/")) if path.strip("/") else "/"

        def chunks() -> Iterator[bytes]:
            descriptor = open_root(place.root)
            try:
                yield from tar_entry(descriptor, place.inner, base or ".")
            finally:
                os.close(descriptor)

        return described, _from_thread(chunks(), opened.aclose)

    async def write(
        self, container: Container, asked: str, path: str, body: AsyncIterator[bytes], *, keep_types: bool = False
    ) -> None:
        """Unpack a tar into a directory of the container."""
        async with self._volumes(container):
            await self._write(container, asked, path, body, keep_types=keep_types)
        self._core.publish(container, "extract-to-dir")

    async def _write(
        self, container: Container, asked: str, path: str, body: AsyncIterator[bytes], *, keep_types: bool
    ) -> None:
        view = await asyncio.to_thread(self._enter, container)
        try:
            place = self._place(container, view, asked, path, follow=True)
            described = await asyncio.to_thread(self._stat, place, asked, path)
            if not described.mode & _GO_TYPES[stat.S_IFDIR]:
                raise InvalidParameter("extraction point is not a directory")
            if not place.writable:
                what = "mounted volume" if place.volume else "container rootfs"
                raise Forbidden(f"{what} is marked read-only")
            source = ThreadStream(body)
            try:
                await asyncio.to_thread(self._unpack, place, source, keep_types)
            except OciError as error:
                raise InvalidParameter(str(error)) from None
            except OSError as error:
                if error.errno == errno.EROFS:
                    raise Forbidden("container rootfs is marked read-only") from None
                raise EngineError(f"{error.strerror or error}: {error.filename or path}") from None
        finally:
            await asyncio.to_thread(self._leave, container, view)

    def _unpack(self, place: _Place, source: ThreadStream, keep_types: bool) -> None:
        extract(
            open_stream(source), place.root, at=place.inner, whiteouts="keep", keep_types=keep_types, **_unpacking()
        )

    def _place(self, container: Container, view: _View, asked: str, path: str, *, follow: bool) -> _Place:
        record = container.record
        root = view.root
        if "\0" in path:
            raise InvalidParameter("a path holds no NUL character")
        descriptor = open_root(root)
        try:
            dotted = path.endswith(("/", "/."))
            inner = resolve_in_root(descriptor, path, follow_last=follow or dotted)
        except OSError as error:  # too long, or links without end
            raise InvalidParameter(f"{path}: {error.strerror}") from None
        finally:
            os.close(descriptor)
        if view.live and inner.partition("/")[0] in _KERNEL:
            # what the kernel shows there is not the container's: dockerd finds the empty directories of the root
            raise NotFound(f"Could not find the file {path} in container {asked}")
        best = None
        for mount in record.mounts:
            target = mount.destination.strip("/")
            below = inner == target or inner.startswith(f"{target}/")
            if mount.kind != "tmpfs" and below and (best is None or len(target) > len(best.destination.strip("/"))):
                best = mount
        if best is None:
            return _Place(str(root), inner, not record.host_config.readonly_rootfs, volume=False)
        if view.live:
            return _Place(str(root), inner, best.writable, volume=True)
        source = str(self._core.volumes.source(container.id, best))
        rest = inner[len(best.destination.strip("/")) :].strip("/")
        if os.path.isdir(source):  # noqa: PTH112 - source is text from the record
            descriptor = open_root(source)
            try:
                rest = resolve_in_root(descriptor, rest, follow_last=follow)
            finally:
                os.close(descriptor)
            return _Place(source, rest, best.writable, volume=True)
        head, _, name = source.rpartition("/")
        return _Place(head or "/", name, best.writable, volume=True)

    def _stat(self, place: _Place, asked: str, path: str) -> PathStat:
        descriptor = open_root(place.root)
        try:
            head, _, last = place.inner.rpartition("/")
            parent = open_beneath(descriptor, head, os.O_PATH | os.O_DIRECTORY)
            try:
                status = os.stat(last or ".", dir_fd=parent, follow_symlinks=False)
                target = os.readlink(last, dir_fd=parent) if stat.S_ISLNK(status.st_mode) else ""
            finally:
                os.close(parent)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"Could not find the file {path} in container {asked}") from None
        finally:
            os.close(descriptor)
        if target and not target.startswith("/"):
            target = posixpath.join(posixpath.dirname(posixpath.join("/", path)), target)
        return PathStat(
            name=posixpath.basename(path.rstrip("/")) or "/",
            size=status.st_size,
            mode=_go_mode(status.st_mode),
            mtime=rfc3339(status.st_mtime_ns),
            link_target=posixpath.normpath(target) if target else "",
        )

    # --- docker export --------------------------------------------------------------------------------------------

    async def export(self, container: Container) -> AsyncIterator[bytes]:
        """Give the whole root as a tar; mounts are left out, as with Docker."""
        storage = self._core.storage
        root = await asyncio.to_thread(storage.look, container.id)
        self._core.publish(container, "export")
        return _from_thread(export_tree(root), partial(asyncio.to_thread, storage.unlook, container.id))

    # --- docker diff ----------------------------------------------------------------------------------------------

    async def changes(self, container: Container) -> list[dict[str, Any]]:
        """List what the container has changed against its image, sorted by path."""
        image = self._core.images.get(container.record.image_id)
        layers = self._core.images.layer_dirs(image.chain_ids)
        init = await asyncio.to_thread(self._core.init_layer, layers, image.chain_ids)
        lower = [str(path) for path in (init, *layers)]
        return await asyncio.to_thread(self._changes, container.id, lower)

    def _changes(self, container_id: str, lower: Sequence[str]) -> list[dict[str, Any]]:
        upper = str(self._core.storage.changes(container_id))
        rows = [{"Path": f"/{path}", "Kind": kind} for path, kind in _walk(upper, lower)]
        return sorted(rows, key=lambda row: str(row["Path"]).split("/"))


def _walk(upper: str, lower: Sequence[str]) -> Iterator[tuple[str, int]]:
    pending = [("", True)]
    while pending:
        base, below = pending.pop()
        for entry in os.scandir(f"{upper}/{base}" if base else upper):
            path = f"{base}/{entry.name}" if base else entry.name
            status = entry.stat(follow_symlinks=False)
            there = below and find_below(lower, path) is not None
            if is_whiteout(entry.path, status):
                if there:
                    yield path, _DELETED
                continue
            yield path, _MODIFIED if there else _ADDED
            if stat.S_ISDIR(status.st_mode):
                pending.append((path, there and not is_opaque(entry.path)))


def _go_mode(mode: int) -> int:
    """Turn Unix mode bits into Go's ``os.FileMode``."""
    result = mode & 0o777 | _GO_TYPES.get(stat.S_IFMT(mode), 0)
    if mode & stat.S_ISUID:
        result |= 1 << 23
    if mode & stat.S_ISGID:
        result |= 1 << 22
    if mode & stat.S_ISVTX:
        result |= 1 << 20
    return result


async def _from_thread(chunks: Iterator[bytes], leave: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    """Give what a blocking iterator yields, and let go of the root afterwards."""
    try:
        while piece := await asyncio.to_thread(gather, chunks, _PIECE):
            yield piece
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            await asyncio.to_thread(close)
        await leave()
