"""Named and anonymous volumes of the ``local`` driver: directories below the data root, with a record each.

Engine API v1.50, "Volume". Filled from the image on their first use, as Docker does it.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydockmagic.engine.errors import Conflict, InvalidParameter, NoSuchVolume, NotFound
from pydockmagic.engine.events import EventBus
from pydockmagic.engine.state import State
from pydockmagic.engine.storage.copy import merged_copy
from pydockmagic.engine.storage.copying import copy_entries, copy_metadata

from .records import VolumeRecord

__all__ = ["Volumes"]

_KIND = "volume"
_Names = list[str]
# ``list`` is a method of the service (``docker volume ls``), so inside it the type needs another name.
_Rows = list[dict[str, Any]]
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class Volumes:
    """All volumes; ``users`` tells which containers hold one."""

    def __init__(self, root: Path, state: State, events: EventBus) -> None:
        self._root = root
        self._state = state
        self._events = events
        self._records = state.load(_KIND, VolumeRecord)
        self.users: Callable[[str], Sequence[str]] = lambda _: ()
        root.mkdir(mode=0o711, parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Give the directory that is mounted."""
        return self._root / name / "_data"

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
        if name and not _NAME.fullmatch(name):
            raise InvalidParameter(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
            )
        if options:
            unknown = next(iter(options))
            raise InvalidParameter(f'create {name}: this engine\'s local volumes take no options: "{unknown}"')
        if found := self._records.get(name):
            return found
        anonymous = anonymous or not name
        name = name or secrets.token_hex(32)
        await asyncio.to_thread(self.path(name).mkdir, 0o755, True, True)
        if anonymous:
            labels = {**(labels or {}), "com.docker.volume.anonymous": ""}
        record = VolumeRecord(name=name, created_ns=time.time_ns(), labels=labels, options=options, anonymous=anonymous)
        await self._state.put(_KIND, name, record)
        self._records[name] = record
        self._events.publish("volume", "create", name, {"driver": "local"})
        return record

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that nobody uses, with all it holds."""
        if name not in self._records:
            if force:
                return
            raise NoSuchVolume(name)
        if holders := self.users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(holders)}]")
        del self._records[name]
        await self._state.delete(_KIND, name)
        await asyncio.to_thread(shutil.rmtree, self._root / name, ignore_errors=True)
        self._events.publish("volume", "destroy", name, {"driver": "local"})

    def list(self, filters: Mapping[str, Sequence[str]]) -> Sequence[VolumeRecord]:
        """List volumes by name, label, driver or dangling."""
        for name, values in filters.items():
            if name not in ("name", "label", "driver", "dangling"):
                raise InvalidParameter(f"invalid filter '{name}'")
            if name == "dangling" and any(v not in ("1", "true", "0", "false") for v in values):
                raise InvalidParameter(f"invalid filter 'dangling={values}'")
        return [record for record in self._records.values() if self._chosen(record, filters)]

    def _chosen(self, record: VolumeRecord, filters: Mapping[str, Sequence[str]]) -> bool:
        labels = record.labels or {}
        if (names := filters.get("name")) and not any(name in record.name for name in names):
            return False
        if (drivers := filters.get("driver")) and "local" not in drivers:
            return False
        if not all(_has_label(labels, label) for label in filters.get("label", ())):
            return False
        if dangling := filters.get("dangling"):
            return (not self.users(record.name)) == (dangling[0] in ("1", "true"))
        return True

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> tuple[_Names, int]:
        """Remove unused volumes (anonymous ones, or with ``all`` named ones too); give names and bytes."""
        for name in filters:
            if name not in ("label", "label!", "all"):
                raise InvalidParameter(f"invalid filter '{name}'")
        everything = any(value in ("1", "true") for value in filters.get("all", ()))
        removed, freed = [], 0
        for record in tuple(self._records.values()):
            labels = record.labels or {}
            if self.users(record.name) or not (everything or record.anonymous):
                continue
            if not all(_has_label(labels, label) for label in filters.get("label", ())):
                continue
            if any(_has_label(labels, label) for label in filters.get("label!", ())):
                continue
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
        """Give all volumes with their sizes and users (``GET /system/df``)."""
        result = []
        for record in self._records.values():
            size = await asyncio.to_thread(_size, self.path(record.name))
            result.append(self.to_api(record) | {"UsageData": {"RefCount": len(self.users(record.name)), "Size": size}})
        return result

    def fill(self, name: str, source: Path) -> None:
        """Copy a directory of the image into a volume that is still empty. Blocks."""
        target = self.path(name)
        if not source.is_dir() or source.is_symlink() or any(target.iterdir()):
            return
        copy_entries(merged_copy(str(source)), str(target))
        copy_metadata(str(source), str(target), source.stat())


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _size(path: Path) -> int:
    total = 0
    pending: list[str] = [str(path)]
    while pending:
        entries: Iterable[os.DirEntry[str]]
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            else:
                total += entry.stat(follow_symlinks=False).st_size
    return total
