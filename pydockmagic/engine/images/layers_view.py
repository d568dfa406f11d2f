"""What ``%layers`` shows: an image's layers with their instructions, and the files of one layer.

Answers come from the indexes and comparisons that were made together with the layers; nothing on disk is walked.
"""

from __future__ import annotations

import heapq
from typing import Any

from pydockmagic.engine.errors import InvalidParameter, NotFound
from pydockmagic.oci.layer import Kind, LayerIndex

from .changes import Changes
from .inspecting import history_rows
from .records import BuildStep, ImageRecord
from .store import Store

__all__ = ["files", "index_columns", "layers"]

_SHELL_PREFIX = "/bin/sh -c "
_NOTE_PREFIX = "/bin/sh -c #(nop) "
_KINDS = tuple(Kind)
_KIND_NAMES = [str(kind) for kind in _KINDS]


def layers(store: Store, image: ImageRecord) -> dict[str, Any]:
    """Describe an image's layers, bottom first; a step that changed no files is a row with ``Empty``."""
    wasted = _wasted(store, image)
    rows = [
        _row(store, image, entry, record.step if record else None, chain, wasted)
        for entry, record, chain in history_rows(store, image)
    ]
    return {
        "Id": image.id,
        "Names": [reference.familiar for reference in store.references_of(image.id) if not reference.digest],
        "Size": store.size(image),
        "Layers": rows,
    }


def _wasted(store: Store, image: ImageRecord) -> dict[str, int]:
    """Give, for each layer, the bytes that later layers of this image overwrite or delete."""
    total: dict[str, int] = {}
    for chain in image.chain_ids:
        for below, size in store.layer_files.changes(chain).hidden.items():
            total[below] = total.get(below, 0) + size
    return total


def _row(
    store: Store,
    image: ImageRecord,
    entry: dict[str, Any],
    step: BuildStep | None,
    chain: str | None,
    wasted: dict[str, int],
) -> dict[str, Any]:
    layer = store.layers[chain] if chain else None
    created_by = entry.get("created_by", "")
    return {
        "ChainId": chain or "",
        "DiffId": layer.diff_id if layer else "",
        "Size": layer.size if layer else 0,
        "Files": layer.files if layer else 0,
        "CreatedBy": created_by,
        "Instruction": step.instruction if step else _instruction(created_by, entry.get("comment", "")),
        "FirstLine": step.first_line if step else 0,
        "LastLine": step.last_line if step else 0,
        "Cached": step.cached if step else False,
        "Reason": step.reason if step else "",
        "Seconds": step.seconds if step else 0.0,
        "SharedBy": _sharers(store, image, chain) if chain else [],
        "Wasted": wasted.get(chain, 0) if chain else 0,
        "Empty": chain is None,
    }


def _instruction(created_by: str, comment: str) -> str:
    """Give the instruction that a history entry of another builder came from."""
    if created_by.startswith(_NOTE_PREFIX):
        return created_by.removeprefix(_NOTE_PREFIX).strip()
    if created_by.startswith(_SHELL_PREFIX):
        return "RUN " + created_by.removeprefix(_SHELL_PREFIX)
    return created_by.removesuffix(" # buildkit") or comment


def _sharers(store: Store, image: ImageRecord, chain: str) -> list[str]:
    """Name the other images that have a layer; those without a name are steps of builds and say nothing."""
    names = []
    for other in store.images_with(chain):
        if other.id != image.id:
            names += [reference.familiar for reference in store.references_of(other.id) if not reference.digest]
    return sorted(names)


def files(store: Store, chain: str, *, offset: int = 0, limit: int | None = None, sort: str = "path") -> dict[str, Any]:
    """Give the files of a layer. Raises ``NotFound``."""
    if chain not in store.layers:
        raise NotFound(f"No such layer: {chain}")
    return index_columns(
        store.layer_files.index(chain), store.layer_files.changes(chain), offset=offset, limit=limit, sort=sort
    )


def index_columns(
    index: LayerIndex, changes: Changes, *, offset: int = 0, limit: int | None = None, sort: str = "path"
) -> dict[str, Any]:
    """Give a part of an index in columns. ``sort`` is ``path`` or ``size`` (largest first)."""
    total = len(index)
    if offset < 0 or (limit is not None and limit < 0):
        raise InvalidParameter("offset and limit must not be negative")
    end = total if limit is None else min(total, offset + limit)
    rows: range | list[int]
    if sort == "path":
        rows = range(min(offset, total), end)
    elif sort == "size":
        largest = heapq.nlargest(end, range(total), key=lambda row: (index.sizes[row], -row))
        rows = largest[offset:]
    else:
        raise InvalidParameter(f"cannot sort by {sort!r}: path or size")
    if isinstance(rows, range):
        # Whole columns are cut, not picked: ten times as fast, and the usual case.
        cut = slice(rows.start, rows.stop)
        paths, sizes, modes = index.paths[cut], index.sizes[cut].tolist(), index.modes[cut].tolist()
        kinds = [_KIND_NAMES[code] for code in index.kinds[cut]]
        change = list(changes.kinds[cut].decode())
    else:
        paths = [index.paths[row] for row in rows]
        sizes = [index.sizes[row] for row in rows]
        modes = [index.modes[row] for row in rows]
        kinds = [_KIND_NAMES[index.kinds[row]] for row in rows]
        change = [chr(changes.kinds[row]) for row in rows]
    links = index.links
    return {
        "Total": total,
        "Columns": {
            "Path": paths,
            "Kind": kinds,
            "Size": sizes,
            "Mode": modes,
            "Change": change,
            "Target": [links.get(row, "") for row in rows],
        },
    }
