"""Named and anonymous volumes of the ``local`` driver: directories below the data root, with a record each.

Engine API v1.50, "Volume". Filled from the image on their first use, as Docker does it. A volume with options is a
filesystem of its own, mounted while a container uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydockmagic.engine.errors import Conflict, EngineError, InvalidParameter, NoSuchVolume, NotFound
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.runtime.refusal import reason
from pydockmagic.engine.state import State
from pydockmagic.engine.storage.copy import merged_copy
from pydockmagic.engine.storage.copying import copy_entries, copy_metadata
from pydockmagic.engine.storage.trash import Trash
from pydockmagic.oci.layer import open_root, resolve_in_root

from . import binding
from . import filters as selection
from . import options as local
from .mounting import Mounter
from .records import MountPoint, VolumeRecord

__all__ = ["Volumes"]

_KIND = "volume"
_ANONYMOUS = "com.docker.volume.anonymous"
_Names = list[str]
# ``list`` is a method of the service (``docker volume ls``), so inside it the type needs another name.
_Rows = list[dict[str, Any]]
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class Volumes:
    """All volumes; ``users`` tells which containers hold one."""

    def __init__(self, root: Path, state: State, events: EventBus, mounter: Mounter, trash: Trash) -> None:
        self._root = root
        self._leaving = root / ".leaving"
        """Where the directories of volumes are while they are being removed."""
        self._state = state
        self._events = events
        self._mounter = mounter
        self._trash = trash
        self._records = state.load(_KIND, VolumeRecord)
        self._changing = asyncio.Lock()
        """Held while a volume comes or goes: its record and its directory do so together."""
        self._mounted: dict[str, set[str]] = {}
        """For whom a volume with a filesystem of its own is mounted."""
        self._mounting = asyncio.Lock()
        self._pruning = asyncio.Lock()
        self.users: Callable[[str], Sequence[str]] = lambda _: ()
        root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._leaving.mkdir(mode=0o700, exist_ok=True)
        self._settle()

    def _settle(self) -> None:
        """Bring the directories in line with the records, which decide where an engine was killed amid a change."""
        for leaving in self._leaving.iterdir():
            if leaving.name in self._records:
                leaving.rename(self._root / leaving.name)
            else:
                self._trash.discard(leaving)
        for name in self._records:
            self.path(name).mkdir(0o755, parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Give the directory that is mounted."""
        return self._root / name / "_data"

    def source(self, container_id: str, mount: MountPoint) -> Path:
        """Give what a container's mount shows: a path of the host, a volume or a path inside it. Blocks."""
        if mount.kind == "bind":
            place = self._shared(container_id, mount)
            return place if _is_shared(mount) and place.exists() else Path(mount.source)
        root = self.path(mount.name)
        if not mount.subpath:
            return root
        descriptor = open_root(root)
        try:
            found = root / resolve_in_root(descriptor, mount.subpath)
        finally:
            os.close(descriptor)
        if not found.exists():
            raise EngineError(f"cannot access path {found}: lstat {found}: no such file or directory")
        return found

    def find(self, name: str) -> VolumeRecord | None:
        """Find a volume."""
        return self._records.get(name)

    def get(self, name: str) -> VolumeRecord:
        """Find a volume, or raise ``NoSuchVolume``."""
        found = self._records.get(name)
        if found is None:
            raise NoSuchVolume(name)
        return found

    async def create(
        self,
        name: str = "",
        *,
        driver: str = "local",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> VolumeRecord:
        """Make a volume, or give the one that has this name."""
        if driver not in ("", "local"):
            raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
        async with self._changing:
            if name in self._records:
                return self._records[name]
            return await self._create(name, labels, options, anonymous=anonymous or not name)

    async def _create(
        self, name: str, labels: Mapping[str, str] | None, options: Mapping[str, str] | None, *, anonymous: bool
    ) -> VolumeRecord:
        name = name or secrets.token_hex(32)
        try:
            _check_name(name)
            local.check(options or {})
        except InvalidParameter as error:
            raise InvalidParameter(f"create {name}: {error}") from None
        if anonymous:
            labels = {**(labels or {}), _ANONYMOUS: ""}
        record = VolumeRecord(
            name=name, created_ns=time.time_ns(), labels=labels, options=options or None, anonymous=anonymous
        )
        await self._state.put(_KIND, name, record)
        try:
            await asyncio.to_thread(self.path(name).mkdir, 0o755, True, True)
        except OSError as error:
            await self._state.delete(_KIND, name)
            place = self._root / name
            raise EngineError(
                f"create {name}: error while creating volume root path '{place}': mkdir {place}: {reason(error)}"
            ) from None
        self._records[name] = record
        self._events.publish("volume", "create", name, {"driver": "local"})
        return record

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that nobody uses, with all it holds."""
        async with self._changing:
            record = self._records.get(name)
            if record is None:
                if force:
                    return
                raise NoSuchVolume(name)
            if holders := self.users(name):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(holders)}]")
            del self._records[name]
            try:
                await self._remove(name)
            except Exception:
                self._records[name] = record
                raise
        self._events.publish("volume", "destroy", name, {"driver": "local"})

    async def _remove(self, name: str) -> None:
        place, leaving = self._root / name, self._leaving / name
        with contextlib.suppress(FileNotFoundError):
            place.rename(leaving)
        try:
            await self._state.delete(_KIND, name)
        except Exception:
            with contextlib.suppress(FileNotFoundError):
                leaving.rename(place)
            raise
        await asyncio.to_thread(self._trash.discard, leaving)

    def list(self, filters: Mapping[str, Sequence[str]]) -> Sequence[VolumeRecord]:
        """List volumes by name, label, driver or dangling."""
        selection.check_names(filters, ("name", "label", "driver", "dangling"))
        dangling = selection.flag(filters, "dangling")
        return [
            record
            for record in self._records.values()
            if selection.chosen(record, filters) and (dangling is None or (not self.users(record.name)) == dangling)
        ]

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> tuple[_Names, int]:
        """Remove unused volumes (anonymous ones, or with ``all`` named ones too); give names and bytes."""
        selection.check_names(filters, ("label", "label!", "all"))
        everything = selection.flag(filters, "all")
        if self._pruning.locked():
            raise Conflict("a prune operation is already running")
        removed, freed = [], 0
        async with self._pruning:
            for record in tuple(self._records.values()):
                if record.options or self.users(record.name) or not (everything or record.anonymous):
                    continue  # what lies elsewhere is nobody's to prune
                if selection.prunable(record, filters):
                    freed += await asyncio.to_thread(_size, self.path(record.name))
                    await self.remove(record.name)
                    removed.append(record.name)
        self._events.publish("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    def to_api(self, record: VolumeRecord) -> dict[str, Any]:
        """Give the JSON object of a volume."""
        return {
            "CreatedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created_ns // 1_000_000_000)),
            "Driver": "local",
            "Labels": record.labels,
            "Mountpoint": str(self.path(record.name)),
            "Name": record.name,
            "Options": record.options,
            "Scope": "local",
        }

    async def usage(self) -> _Rows:
        """Give the volumes that take room here, with their sizes and users (``GET /system/df``)."""
        result = []
        for record in [record for record in self._records.values() if not record.options]:
            size = await asyncio.to_thread(_size, self.path(record.name))
            result.append(self.to_api(record) | {"UsageData": {"RefCount": len(self.users(record.name)), "Size": size}})
        return result

    def fill(self, mount: MountPoint, source: Path) -> None:
        """Copy the image's directory of that place into a volume that is still empty. Blocks."""
        if mount.anonymous and not mount.from_mounts and source.exists() and not source.is_dir():
            raise EngineError(f"cannot mount volume over existing file, file exists {source}")
        target = self.path(mount.name)
        if not source.is_dir() or source.is_symlink() or any(target.iterdir()):
            return
        copy_entries(merged_copy(str(source)), str(target))
        copy_metadata(str(source), str(target), source.stat())

    # --- use by containers ----------------------------------------------------------------------------------------

    async def hold(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        """Make a container's volumes and the sources of its binds ready for its start."""
        held: _Names = []
        try:
            await asyncio.to_thread(self._ready, container_id, mounts)
            for mount in _of_volumes(mounts):
                await self._open(mount.name, container_id)
                held.append(mount.name)
                self._events.publish("volume", "mount", mount.name, _mount_attributes(container_id, mount))
        except BaseException:
            await asyncio.to_thread(self._unshare, container_id, mounts)
            for name in held:
                await self._close(name, container_id)
            raise

    def _ready(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        for mount in mounts:
            binding.ready(mount, can_share=self._mounter.can_share)
            if _is_shared(mount):
                self._mounter.share(mount.source, self._shared(container_id, mount))

    def _unshare(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        for mount in mounts:
            if _is_shared(mount):
                self._mounter.unshare(self._shared(container_id, mount))

    def _shared(self, container_id: str, mount: MountPoint) -> Path:
        """Name the place of a bind whose mounts travel to the host and back."""
        name = hashlib.sha256(mount.destination.encode()).hexdigest()[:12]
        return self._root / ".shared" / f"{container_id}-{name}"

    async def let_go(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        """Note that a container ended."""
        for mount in _of_volumes(mounts):
            await self._close(mount.name, container_id)
            self._events.publish("volume", "unmount", mount.name, {"container": container_id, "driver": "local"})
        if any(_is_shared(mount) for mount in mounts):
            await asyncio.to_thread(self._unshare, container_id, mounts)

    async def take_up(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        """Know again what an earlier engine made ready for a container that still runs."""
        for mount in _of_volumes(mounts):
            record = self._records.get(mount.name)
            if record is None or not record.options:
                continue
            if mount.name in self._mounted or await asyncio.to_thread(self._mounter.adopt, self.path(mount.name)):
                self._mounted.setdefault(mount.name, set()).add(container_id)

    async def drop_unused(self) -> None:
        """Unmount what an engine that was killed had mounted for a container that then did not start."""
        for name, record in tuple(self._records.items()):
            if record.options and name not in self._mounted:
                await asyncio.to_thread(self._mounter.unmount, self.path(name))

    @contextlib.asynccontextmanager
    async def opened(self, names: Sequence[str]) -> AsyncIterator[None]:
        """Make volumes ready for the engine itself, for as long as the block lasts."""
        user = secrets.token_hex(8)
        held: _Names = []
        try:
            for name in names:
                await self._open(name, user)
                held.append(name)
            yield
        finally:
            for name in held:
                await self._close(name, user)

    async def _open(self, name: str, user: str) -> None:
        record = self.get(name)
        if not record.options:
            return
        async with self._mounting:
            if name not in self._mounted:
                what = await asyncio.to_thread(local.filesystem, record.options)
                if what is None:
                    return
                await asyncio.to_thread(self._mounter.mount, self.path(name), what)
            self._mounted.setdefault(name, set()).add(user)

    async def _close(self, name: str, user: str) -> None:
        async with self._mounting:
            users = self._mounted.get(name)
            if users is None:
                return
            users.discard(user)
            if not users:
                del self._mounted[name]
                await asyncio.to_thread(self._mounter.unmount, self.path(name))


def _of_volumes(mounts: Sequence[MountPoint]) -> Sequence[MountPoint]:
    return [mount for mount in mounts if mount.kind == "volume"]


def _is_shared(mount: MountPoint) -> bool:
    return mount.kind == "bind" and mount.propagation.endswith("shared")


def _mount_attributes(container_id: str, mount: MountPoint) -> Mapping[str, str]:
    return {
        "container": container_id,
        "destination": mount.destination,
        "driver": mount.driver or "local",
        "propagation": mount.propagation,
        "read/write": str(mount.writable).lower(),
    }


def _check_name(name: str) -> None:
    if len(name) == 1:
        raise InvalidParameter("volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            f'"{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
            "allowed. If you intended to pass a host directory, use absolute path"
        )


def _size(path: Path) -> int:
    """Add up the files below a directory; one with several names counts once."""
    total = 0
    pending: _Names = [str(path)]
    seen: set[tuple[int, int]] = set()
    while pending:
        try:
            entries = tuple(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total
