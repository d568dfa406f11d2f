"""The layers of an image as any Docker daemon can tell them: history, inspect, and the files through ``docker save``.

Answers have the form of our own engine's ``/pydock`` routes, so that who shows layers need not know which daemon it is.
An archive is read once: the index of each layer is kept on disk by its digest.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydockmagic.oci.digest import chain_id, hex_of
from pydockmagic.oci.errors import OciError
from pydockmagic.oci.layer import Kind, LayerIndex, MergedView, change_kinds, index_tar, open_stream, wasted_by_layer

from .errors import ApiError, ClientError, NotFound

if TYPE_CHECKING:
    from .layers import LayerCalls

__all__ = ["READ_UNASKED", "PlainLayers"]

READ_UNASKED = 256 << 20
"""Bytes up to which an image's files are read without being asked for."""
_MANY_IMAGES = 200
_MANY_CHANGES = 200
_SMALL = 1 << 20
_MADE_A_LAYER = re.compile(r"/bin/sh -c (?!#\(nop\))|RUN |COPY |ADD ")
_CHANGE_LETTERS = "CAD"


class _Files(NamedTuple):
    """A layer's files, and what each did to those below: one of A, C, D for each row."""

    listed: LayerIndex
    changes: str


class PlainLayers:
    """What one daemon told of its layers."""

    def __init__(self, client: LayerCalls, cache: Path | None = None) -> None:
        self._client = client
        self._cache = _cache_folder() if cache is None else cache
        self._files: dict[str, _Files] = {}

    def layers(self, name: str, *, container: bool = False, read: bool = False) -> dict[str, Any]:
        """Return the layers of an image or a container, bottom first.

        ``FilesRead`` says whether the files are known: those of images over ``READ_UNASKED`` bytes are read only with
        ``read``.
        """
        inspected = self._client.container_inspect(name, size=True) if container else {}
        facts = self._client.image_inspect(str(inspected["Image"]) if container else name)
        diff_ids = [str(each) for each in (facts.get("RootFS") or {}).get("Layers") or []]
        chains = [chain_id(diff_ids[: count + 1]) for count in range(len(diff_ids))]
        wasted = self._read(facts, diff_ids, chains, asked=read)
        sharers = self._sharers(str(facts["Id"]), set(chains))
        rows = []
        left = list(zip(chains, diff_ids, strict=True))
        for row in reversed(self._client.image_history(str(facts["Id"]))):
            made_by = str(row.get("CreatedBy") or row.get("Comment") or "")
            size = int(row.get("Size") or 0)
            # A step with bytes surely made a layer, RUN does even with none; the rest is metadata.
            empty = not size and not _MADE_A_LAYER.match(made_by)
            chain, diff_id = left.pop(0) if left and not empty else ("", "")
            rows.append({
                "ChainId": chain,
                "DiffId": diff_id,
                "Size": size,
                "Files": len(self._files[chain].listed) if chain in self._files else 0,
                "CreatedBy": made_by,
                "SharedBy": sharers.get(chain, []),
                "Wasted": wasted.get(chain, 0),
                "Empty": empty,
            })  # fmt: skip
        answer = {
            "Id": str(facts["Id"]), "Names": facts.get("RepoTags"), "Size": int(facts.get("Size") or 0), "Layers": rows,
            "FilesRead": all(chain in self._files for chain in chains),
        }  # fmt: skip
        if container:
            rows.append({"Writable": True, "Size": int(inspected.get("SizeRw") or 0), **self._changed(name)})
            answer["Name"] = str(inspected["Name"])
        return answer

    def files(self, chain: str, limit: int | None = None) -> dict[str, Any]:
        """Return the largest files of a layer that ``layers`` has read."""
        if chain not in self._files:
            raise NotFound(404, f"No such layer: {chain}")
        index, changes = self._files[chain]
        rows = sorted(range(len(index)), key=lambda row: (-index.sizes[row], row))[:limit]
        columns = {
            "Path": [index.paths[row] for row in rows],
            "Kind": [str(index.kind(row)) for row in rows],
            "Size": [index.sizes[row] for row in rows],
            "Mode": [index.modes[row] for row in rows],
            "Change": [changes[row] for row in rows],
            "Target": [index.links.get(row, "") for row in rows],
        }
        return {"Total": len(index), "Columns": columns}

    def container_files(self, container: str, limit: int | None = None) -> dict[str, Any]:
        """Return what a container changed: each path is asked for, as the list of changes has no sizes."""
        changes = self._client.container_changes(container)
        if len(changes) > _MANY_CHANGES:
            return {"Total": len(changes), "Columns": {}}
        rows = [self._stat(container, change) for change in changes]
        rows.sort(key=lambda row: -row["Size"])
        names = ("Path", "Kind", "Size", "Mode", "Change", "Target")
        return {"Total": len(rows), "Columns": {name: [row[name] for row in rows[:limit]] for name in names}}

    def _stat(self, container: str, change: Mapping[str, Any]) -> dict[str, Any]:
        path, letter = str(change["Path"]), _CHANGE_LETTERS[int(change["Kind"])]
        found: Mapping[str, Any] = {}
        if letter != "D":
            with suppress(ClientError):  # it may have gone meanwhile
                found = self._client.container_archive_stat(container, path)
        mode = int(found.get("mode") or 0)
        kind = Kind.WHITEOUT if letter == "D" else _kind_of(mode)
        size = int(found.get("size") or 0) if kind is Kind.FILE else 0
        target = str(found.get("linkTarget") or "") if kind is Kind.SYMLINK else ""
        return {
            "Path": path.lstrip("/"), "Kind": str(kind), "Size": size, "Mode": mode & 0o7777, "Change": letter,
            "Target": target,
        }  # fmt: skip

    def _changed(self, container: str) -> dict[str, int]:
        try:
            return {"Files": len(self._client.container_changes(container))}
        except ApiError:
            return {}

    def _sharers(self, image: str, chains: set[str]) -> dict[str, list[str]]:
        """Name the other images that have a layer too; not where there are so many that asking takes long."""
        listed = self._client.images()
        found: dict[str, list[str]] = {}
        for each in listed if len(listed) <= _MANY_IMAGES else ():
            names = [str(name) for name in each.get("RepoTags") or () if name != "<none>:<none>"]
            if not names or each["Id"] == image:
                continue
            with suppress(NotFound):
                diff_ids = (self._client.image_inspect(str(each["Id"])).get("RootFS") or {}).get("Layers") or []
                for count in range(len(diff_ids)):
                    chain = chain_id(diff_ids[: count + 1])
                    if chain in chains:
                        found.setdefault(chain, []).extend(names)
        return {chain: sorted(names) for chain, names in found.items()}

    def _read(
        self, facts: Mapping[str, Any], diff_ids: Sequence[str], chains: Sequence[str], *, asked: bool
    ) -> dict[str, int]:
        """Get the index of each layer, from the disk or through ``docker save``; give the wasted bytes by chain."""
        indexes = [self._cached(diff_id) for diff_id in diff_ids]
        if None in indexes and (asked or int(facts.get("Size") or 0) <= READ_UNASKED):
            found: dict[str, LayerIndex] = {}
            # A daemon may refuse, or give what cannot be read: then the files stay unknown, and the layers are shown.
            with suppress(ClientError), self._client.image_save([str(facts["Id"])]) as stream:
                found = read_archive(stream)
            for diff_id, index in found.items():
                self._keep(diff_id, index)
            indexes = [found.get(diff_id, known) for diff_id, known in zip(diff_ids, indexes, strict=True)]
        whole = [index for index in indexes if index is not None]
        if len(whole) != len(indexes):
            return {}
        below = MergedView()
        for chain, index in zip(chains, whole, strict=True):
            self._files[chain] = _Files(index, change_kinds(index, below))
            below.push(index)
        return dict(zip(chains, wasted_by_layer(whole), strict=True))

    def _cached(self, diff_id: str) -> LayerIndex | None:
        with suppress(OSError, OciError):
            return LayerIndex.decode((self._cache / hex_of(diff_id)).read_bytes())
        return None

    def _keep(self, diff_id: str, index: LayerIndex) -> None:
        """Write an index whole or not at all; a cache that cannot be written is done without."""
        with suppress(OSError):
            self._cache.mkdir(parents=True, exist_ok=True)
            fresh = self._cache / f".{hex_of(diff_id)}.{os.getpid()}"
            fresh.write_bytes(index.encode())
            fresh.rename(self._cache / hex_of(diff_id))


def read_archive(chunks: Iterable[bytes]) -> dict[str, LayerIndex]:
    """Index every layer of a ``docker save`` archive, by its diff id; the archive itself is read once and not kept.

    Raises ``ClientError`` where it cannot be read.
    """
    found: dict[str, LayerIndex] = {}
    try:
        with tarfile.open(fileobj=_Chunks(chunks), mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                if member.size <= _SMALL:
                    data = content.read()
                    if _is_json(data):
                        continue
                    content = io.BytesIO(data)
                with suppress(OciError):  # not every blob is a layer
                    scanned = index_tar(open_stream(content))
                    found[scanned.diff_id] = scanned.index
    except (tarfile.TarError, OSError) as error:
        raise ClientError(f"the daemon's image archive cannot be read: {error}") from error
    return found


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


class _Chunks(io.RawIOBase):
    """Pieces of bytes as a file that is read from front to end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._chunks, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _kind_of(mode: int) -> Kind:
    """Tell the kind from a mode as Go writes it (``os.FileMode``: the kind is in the upper bits)."""
    if mode & 1 << 31:
        return Kind.DIRECTORY
    if mode & 1 << 27:
        return Kind.SYMLINK
    if mode & 1 << 25:
        return Kind.FIFO
    if mode & 1 << 26:
        return Kind.CHARACTER_DEVICE if mode & 1 << 21 else Kind.BLOCK_DEVICE
    return Kind.FILE


def _cache_folder() -> Path:
    from platformdirs import user_cache_path  # noqa: PLC0415

    return user_cache_path("pydockmagic", appauthor=False) / "layers"
