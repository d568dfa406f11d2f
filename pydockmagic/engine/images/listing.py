"""``GET /images/json`` and the image part of ``GET /system/df`` (Engine API v1.50, "List images")."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.oci.errors import InvalidReference
from pydockmagic.oci.reference import familiar_match

from . import lookup
from .filters import Filters, boolean, check, labels_match
from .records import ImageRecord
from .store import Store
from .times import created_ns, parse_filter_time

__all__ = ["disk_usage", "list_images"]

_FILTERS = frozenset({"dangling", "label", "before", "since", "reference", "until"})


def list_images(
    store: Store, filters: Filters, *, show_all: bool = False, shared_size: bool = False, containers: bool = False
) -> list[dict[str, Any]]:
    """Give the rows of the list, newest first. ``show_all`` adds the untagged steps of builds."""
    check(filters, _FILTERS)
    selection = _Selection(store, filters, show_all=show_all)
    rows = []
    chosen = []
    for image in store.images.values():
        row = selection.row(image)
        if row is not None:
            if containers:
                row["Containers"] = len(store.users(image.id))
            rows.append(row)
            chosen.append(image)
    if shared_size:
        uses = Counter(chain for image in chosen for chain in image.chain_ids)
        for row, image in zip(rows, chosen, strict=True):
            row["SharedSize"] = sum(store.layers[chain].size for chain in image.chain_ids if uses[chain] > 1)
    order = sorted(range(len(rows)), key=lambda at: (-_order(store, chosen[at]), chosen[at].id))
    return [rows[at] for at in order]


def _order(store: Store, image: ImageRecord) -> int:
    return created_ns(image, store.config(image.id)) or 0


class _Selection:
    """The filters of one request, looked up once."""

    def __init__(self, store: Store, filters: Filters, *, show_all: bool) -> None:
        self._store = store
        self._all = show_all
        self._dangling_only = boolean(filters, "dangling", default=False)
        self._named_only = "dangling" in filters and not self._dangling_only
        self._labels = filters.get("label", ())
        self._patterns = filters.get("reference", ())
        now = time.time_ns()
        self._before = [self._created(name) for name in filters.get("before", ())]
        self._before += [parse_filter_time(text, now) for text in filters.get("until", ())]
        self._since = [self._created(name) for name in filters.get("since", ())]

    def _created(self, name: str) -> int:
        image = lookup.get(self._store, name)
        return created_ns(image, self._store.config(image.id)) or 0

    def row(self, image: ImageRecord) -> dict[str, Any] | None:
        """Give an image's row, or None where it is not wanted."""
        config = self._store.config(image.id)
        created = created_ns(image, config)
        labels = (config.get("config") or {}).get("Labels")
        if any(created is None or created >= limit for limit in self._before):
            return None
        if any(created is None or created <= limit for limit in self._since):
            return None
        if self._labels and not labels_match(labels or {}, self._labels):
            return None
        tags, digests = self._names(image)
        if not tags and not digests:
            step_of_build = bool(self._store.children(image.id))
            if self._patterns or self._named_only or (step_of_build and (self._dangling_only or not self._all)):
                return None
        elif self._dangling_only and tags:
            return None
        return {
            "Containers": -1,
            "Created": (created or 0) // 10**9,
            "Id": image.id,
            "Labels": labels,
            "ParentId": image.parent or "",
            "RepoDigests": digests,
            "RepoTags": tags,
            "SharedSize": -1,
            "Size": self._store.size(image),
        }

    def _names(self, image: ImageRecord) -> tuple[list[str], list[str]]:
        tags: list[str] = []
        digests: list[str] = []
        for reference in self._store.references_of(image.id):
            try:
                if self._patterns and not any(familiar_match(p, reference) for p in self._patterns):
                    continue
            except InvalidReference as error:
                raise InvalidParameter(str(error)) from None
            (digests if reference.digest else tags).append(reference.familiar)
        return tags, digests


def disk_usage(store: Store) -> dict[str, Any]:
    """Give ``LayersSize`` and ``Images`` for ``GET /system/df``."""
    return {
        "LayersSize": sum(layer.size for layer in store.layers.values()),
        "Images": list_images(store, {}, shared_size=True, containers=True),
    }
