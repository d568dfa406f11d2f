"""Getting an image that is not here: from the starters for now, from registries later.

``POST /images/create?fromImage=``. A starter says in the stream what it was put together from; a name that nothing
answers to gets Docker's own sentence, and the next step in one more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter, NotFound, Unavailable
from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.errors import InvalidReference, OciError
from pydockmagic.oci.platform import Platform, host_platform, parse_platform
from pydockmagic.oci.reference import DEFAULT_DOMAIN, Reference, parse_docker

from .lookup import short_id
from .records import ImageRecord
from .saving import manifest_of
from .starters import RECIPES, Missing, Recipe, Starter, image_config
from .store import Store

__all__ = ["Puller"]


class Puller:
    """Makes starter images; one at a time, so that two requests for one do the work once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = asyncio.Lock()

    async def pull(self, text: str, platform: str) -> AsyncIterator[dict[str, Any]]:
        """Get an image; gives Docker's progress. What cannot be had is raised before the first message."""
        reference = _parse(text)
        recipe = _recipe(reference, platform)
        tag = reference.tag
        before = self._store.references.get(str(reference))
        yield {"status": f"Pulling from {reference.path}", "id": tag}
        async with self._lock:
            made = self._store.references.get(str(reference)) if before is None else None
            image = self._store.images[made.image] if made else await self._make(recipe, reference)
        for chain in image.chain_ids:
            yield {"status": "Pull complete", "progressDetail": {}, "id": short_id(self._store.layer(chain).diff_id)}
        yield {"status": f"Starter image, no registry was asked: {image.origin.removeprefix('starter: ')}"}
        yield {"status": f"Digest: {sha256_digest(manifest_of(self._store, image).encode())}"}
        if before is not None and before.image == image.id:
            yield {"status": f"Status: Image is up to date for {reference.familiar}"}
        else:
            yield {"status": f"Status: Downloaded newer image for {reference.familiar}"}

    async def _make(self, recipe: Recipe, reference: Reference) -> ImageRecord:
        """Make a starter (and the one below it) and name it. Raises ``EngineError`` where the machine lacks parts."""
        below: ImageRecord | None = None
        if recipe.base:
            base = RECIPES[recipe.base]
            below = await self._make(base, parse_docker(recipe.base))
        chains = below.chain_ids if below else ()
        directory = await asyncio.to_thread(self._store.layer_files.new_directory)
        try:
            starter = await asyncio.to_thread(recipe.fill, directory)
            layer = await asyncio.to_thread(self._store.layer_files.add, directory, chains)
        except Missing as missing:
            raise EngineError(f"the starter image {recipe.name} cannot be made here: {missing}") from None
        finally:
            await asyncio.to_thread(self._store.layer_files.discard, directory)
        layer = await self._store.keep_layer(layer)
        return await self._add(recipe, starter, (*chains, layer.chain_id), below, reference)

    async def _add(
        self,
        recipe: Recipe,
        starter: Starter,
        chains: tuple[str, ...],
        below: ImageRecord | None,
        reference: Reference,
    ) -> ImageRecord:
        config = image_config(recipe, starter, self._store.config(below.id) if below else None)
        config["rootfs"] = {"type": "layers", "diff_ids": [self._store.layer(chain).diff_id for chain in chains]}
        encoded = msgspec.json.encode(config, order="deterministic")
        image_id = sha256_digest(encoded)
        known = self._store.images.get(image_id)
        if known is not None:
            await self._store.release(chains[-1:])
            await self._store.point(image_id, [reference])
            return known
        record = ImageRecord(
            id=image_id, chain_ids=chains, created_ns=time.time_ns(), origin=f"starter: {starter.source}"
        )
        await self._store.add_image(record, encoded, [reference])
        self._store.publish("pull", reference.familiar, reference.familiar_name)
        return record


def _parse(text: str) -> Reference:
    try:
        return parse_docker(text)
    except InvalidReference as error:
        raise InvalidParameter(str(error)) from None


def _recipe(reference: Reference, platform: str) -> Recipe:
    """Find the starter that a name means, or raise what Docker says of a name that nothing answers to."""
    name = reference.familiar
    if reference.domain != DEFAULT_DOMAIN:
        raise Unavailable(
            f'Get "https://{reference.domain}/v2/": this engine cannot ask registries yet; '
            f"bring the image in with docker load. {_starters()}"
        )
    recipe = RECIPES.get(reference.familiar_name)
    if recipe is None:
        raise NotFound(
            f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
            f"'docker login': denied: requested access to the resource is denied. {_starters()}"
        )
    if reference.digest or reference.tag not in recipe.tags():
        raise NotFound(
            f"manifest for {name} not found: manifest unknown: manifest unknown. "
            f"The starter image {recipe.name} has the tags {', '.join(recipe.tags())}."
        )
    wanted, host = _platform(platform), host_platform()
    if not host.runs(wanted):
        raise NotFound(
            f"no matching manifest for {wanted} in the manifest list entries: no match for platform in manifest: "
            f"not found. Starter images are made from this machine, which is {host}."
        )
    return recipe


def _platform(text: str) -> Platform:
    try:
        return parse_platform(text) if text else host_platform()
    except OciError as error:
        raise InvalidParameter(str(error)) from None


def _starters() -> str:
    return f"Without a registry there are {', '.join(sorted(RECIPES))}, put together from this machine."
