"""Removing images and names: ``DELETE /images/{name}``, ``POST /images/prune`` (Engine API v1.50).

A name given is untagged, and the image goes when that was its last name; an id given removes the image if at most one
repository names it. Steps of the build that made it go along, as long as nothing else uses them.
"""

from __future__ import annotations

import time
from typing import Any

from pydockmagic.engine.errors import Conflict, EngineError, NotFound
from pydockmagic.oci.reference import Reference, parse_docker

from . import lookup
from .filters import Filters, boolean, check, labels_match
from .lookup import short_id
from .store import Store
from .times import created_ns, parse_filter_time

__all__ = ["prune", "remove"]

_FILTERS = frozenset({"dangling", "label", "label!", "until"})

Rows = list[dict[str, str]]


class _InUseError(Conflict):
    """An image cannot be deleted; ``used`` says whether by a container."""

    def __init__(self, image_id: str, reason: str, *, hard: bool, used: bool = False) -> None:
        force = "cannot be forced" if hard else "must be forced"
        super().__init__(f"conflict: unable to delete {short_id(image_id)} ({force}) - {reason}")
        self.used = used


async def remove(store: Store, name: str, *, force: bool = False, with_parents: bool = True) -> Rows:
    """Remove a name or an image; gives Docker's rows ``{"Untagged": ...}`` and ``{"Deleted": ...}``."""
    await store.collect()
    image = lookup.get(store, name)
    rows: Rows = []
    references = store.references_of(image.id)
    if lookup.is_id_prefix(image.id, name):
        if _one_repository(references):
            _check(store, image.id, force=force, names_count=False)
            await _untag(store, image.id, references, rows)
        quiet = False
    else:
        users = store.users(image.id)
        if not force and _one_repository(references) and users:
            raise Conflict(
                f'conflict: unable to remove repository reference "{name}" (must force) - '
                f"container {short_id(users[0].container_id)} is using its referenced image {short_id(image.id)}"
            )
        given = parse_docker(name)
        await _untag(store, image.id, [given], rows)
        left = store.references_of(image.id)
        if not given.digest and not any(r.name == given.name and not r.digest for r in left):
            # The repository's last tag is gone: so are the digests that it was pulled by.
            stale = [reference for reference in left if reference.name == given.name]
            await store.unpoint(stale)
            rows += [{"Untagged": reference.familiar} for reference in stale]
        if store.references_of(image.id):
            return rows
        quiet = True
    await _delete(store, image.id, rows, force=force, with_parents=with_parents, quiet=quiet)
    return rows


def _one_repository(references: list[Reference]) -> bool:
    """Tell whether at most one tag names the image, and digests only of the same repository."""
    if len(references) <= 1:
        return True
    tags = [reference for reference in references if not reference.digest]
    return len(tags) <= 1 and len({reference.name for reference in references}) == 1


async def _untag(store: Store, image_id: str, references: list[Reference], rows: Rows) -> None:
    for reference in references:
        await store.unpoint([reference])
        store.publish("untag", image_id, image_id)
        rows.append({"Untagged": reference.familiar})


def _check(store: Store, image_id: str, *, force: bool, names_count: bool = True) -> None:
    """Raise ``_InUseError`` where something stands against deleting; force overcomes names and stopped containers."""
    if store.children(image_id):
        raise _InUseError(image_id, "image has dependent child images", hard=True)
    users = store.users(image_id)
    running = next((user for user in users if user.running), None)
    if running:
        reason = f"image is being used by running container {short_id(running.container_id)}"
        raise _InUseError(image_id, reason, hard=True, used=True)
    if force:
        return
    if names_count and store.references_of(image_id):
        raise _InUseError(image_id, "image is referenced in multiple repositories", hard=False)
    if users:
        reason = f"image is being used by stopped container {short_id(users[0].container_id)}"
        raise _InUseError(image_id, reason, hard=False, used=True)


async def _delete(store: Store, image_id: str, rows: Rows, *, force: bool, with_parents: bool, quiet: bool) -> None:
    """Delete an image, then the untagged steps below it that nothing else needs."""
    while True:
        try:
            _check(store, image_id, force=force)
        except _InUseError as conflict:
            dangling = not store.references_of(image_id) and not store.children(image_id)
            if quiet and (not dangling or conflict.used):
                return
            raise
        parent = store.images[image_id].parent
        for reference in store.references_of(image_id):
            await _untag(store, image_id, [reference], rows)
        store.publish("delete", image_id, image_id)
        gone = await store.drop_image(image_id)
        rows.append({"Deleted": image_id})
        rows += [{"Deleted": chain} for chain in gone]
        if not with_parents or not parent or parent not in store.images:
            return
        image_id, force, quiet = parent, False, True


async def prune(store: Store, filters: Filters) -> dict[str, Any]:
    """Remove dangling images or, with ``dangling=false``, all that no container uses."""
    check(filters, _FILTERS)
    await store.collect()
    dangling_only = boolean(filters, "dangling", default=True)
    now = time.time_ns()
    until = [parse_filter_time(text, now) for text in filters.get("until", ())]
    sizes = {chain: layer.size for chain, layer in store.layers.items()}
    rows: Rows = []
    for image_id in _prunable(store, filters, until, dangling_only=dangling_only):
        references = store.references_of(image_id)
        if references and dangling_only and any(not reference.digest for reference in references):
            continue
        for name in [str(reference) for reference in references] or [image_id.removeprefix("sha256:")]:
            try:
                rows += await remove(store, name)
            except (Conflict, NotFound):
                continue  # in use, or gone with another one: prune takes what it can get
            except EngineError:
                break
    reclaimed = sum(sizes.get(row.get("Deleted", ""), 0) for row in rows)
    store.events.publish("image", "prune", "", {"reclaimed": str(reclaimed)})
    return {"ImagesDeleted": rows or None, "SpaceReclaimed": reclaimed}


def _prunable(store: Store, filters: Filters, until: list[int], *, dangling_only: bool) -> list[str]:
    chosen = []
    for image in list(store.images.values()):
        if store.children(image.id) and (dangling_only or not store.references_of(image.id)):
            continue  # a step of a build goes with what was built
        created = created_ns(image, store.config(image.id))
        if any(created is None or created > limit for limit in until):
            continue
        labels = store.labels(image.id)
        if not labels_match(labels, filters.get("label", ())):
            continue
        if filters.get("label!") and any(labels_match(labels, [label]) for label in filters["label!"]):
            continue
        chosen.append(image.id)
    return chosen
