"""Getting an image that is not here: from its registry or, where that has or says nothing, from the starters.

``POST /images/create?fromImage=``. The stream says which it was: a starter tells what it was put together from, and why
no registry gave it. A name that nothing answers to gets Docker's own sentence, and the next step in one more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Protocol

import msgspec

from pydockmagic.engine.errors import EngineError, InvalidParameter, NotFound
from pydockmagic.oci.digest import sha256_digest
from pydockmagic.oci.errors import InvalidReference, OciError
from pydockmagic.oci.platform import Platform, host_platform, parse_platform
from pydockmagic.oci.reference import DEFAULT_DOMAIN, Reference, parse_docker, parse_normalized

from .lookup import short_id
from .records import ImageRecord
from .starters import RECIPES, Missing, Recipe, Starter, image_config
from .store import Store

__all__ = ["Puller", "Registries"]

Messages = AsyncIterator[dict[str, Any]]


class Registries(Protocol):
    """What is asked for an image before the starters are."""

    @property
    def asks_hub(self) -> bool:
        """Whether names without a registry are looked for at Docker Hub."""
        ...

    def pull(self, reference: Reference, *, platform: str = "", auth: Mapping[str, Any] | None = None) -> Messages:
        """Pull a tag, a digest, or all tags of a name that has neither; errors come as exceptions."""
        ...


class Puller:
    """Gets images; starters are made one at a time, so that two requests for one do the work once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self.registries: Registries | None = None

    async def pull(
        self, text: str, platform: str, *, auth: Mapping[str, Any] | None = None, all_tags: bool = False
    ) -> Messages:
        """Get an image; gives Docker's progress. What cannot be had is raised before the first message."""
        reference = _parse(text, all_tags=all_tags)
        _platform(platform)
        begun = False
        try:
            if self.registries is None or (reference.domain == DEFAULT_DOMAIN and not self.registries.asks_hub):
                raise _denied(reference)
            messages = self.registries.pull(reference, platform=platform, auth=auth)
            try:
                async for message in messages:
                    begun = True
                    yield message
            finally:
                if isinstance(messages, AsyncGenerator):
                    await messages.aclose()
            return
        except EngineError as error:
            if begun:
                raise
            recipes = _recipes(reference, platform, error)
            refusal = error
        for recipe, tag in recipes:
            async for message in self._starter(recipe, tag, refusal):
                yield message

    async def _starter(self, recipe: Recipe, reference: Reference, refusal: EngineError) -> Messages:
        """Make a starter or find it made; it has no digest, as nothing that was made here has one."""
        tag = reference.tag
        before = self._store.references.get(str(reference))
        yield {"status": f"Pulling from {reference.path}", "id": tag}
        # a client that leaves does not break the making off: the next one will want the same
        image = await asyncio.shield(asyncio.ensure_future(self._made(recipe, reference, known=before is not None)))
        for chain in image.chain_ids:
            yield {"status": "Pull complete", "progressDetail": {}, "id": short_id(self._store.layer(chain).diff_id)}
        yield {"status": f"Starter image, {_why(refusal)}: {image.origin.removeprefix('starter: ')}"}
        if before is not None and before.image == image.id:
            yield {"status": f"Status: Image is up to date for {reference.familiar}"}
        else:
            yield {"status": f"Status: Downloaded newer image for {reference.familiar}"}

    async def _made(self, recipe: Recipe, reference: Reference, *, known: bool) -> ImageRecord:
        async with self._lock:
            made = None if known else self._store.references.get(str(reference))
            return self._store.images[made.image] if made else await self._make(recipe, reference)

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


def _parse(text: str, *, all_tags: bool) -> Reference:
    try:
        return parse_normalized(text) if all_tags else parse_docker(text)
    except InvalidReference as error:
        raise InvalidParameter(str(error)) from None


class _NoRegistryError(NotFound):
    """The engine is told to ask no registry for this name."""


def _denied(reference: Reference) -> EngineError:
    return _NoRegistryError(
        f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
        f"'docker login': denied: requested access to the resource is denied"
    )


def _why(refusal: EngineError) -> str:
    """Say in a few words why no registry gave the image."""
    if isinstance(refusal, _NoRegistryError):
        return "no registry was asked"
    if isinstance(refusal, NotFound):
        return "the registry has none of this name"
    return "no registry answered"


def _recipes(reference: Reference, platform: str, refusal: EngineError) -> list[tuple[Recipe, Reference]]:
    """Find the starters that a name means, or raise why no registry gave it, and which starters there are."""
    recipe = RECIPES.get(reference.familiar_name) if reference.domain == DEFAULT_DOMAIN else None
    silent = not isinstance(refusal, NotFound) or isinstance(refusal, _NoRegistryError)
    if recipe is None:
        if reference.domain == DEFAULT_DOMAIN and silent:
            kind = NotFound if isinstance(refusal, NotFound) else EngineError
            raise kind(f"{refusal}. {_starters()}") from None
        raise refusal
    if reference.is_name_only:
        return [(recipe, reference.with_tag(tag)) for tag in recipe.tags()]
    if reference.digest or reference.tag not in recipe.tags():
        if not silent:
            raise refusal
        raise NotFound(
            f"manifest for {reference.familiar} not found: manifest unknown: manifest unknown. "
            f"The starter image {recipe.name} has the tags {', '.join(recipe.tags())}."
        )
    wanted, host = _platform(platform), host_platform()
    if not host.runs(wanted):
        raise NotFound(
            f"no matching manifest for {wanted} in the manifest list entries: no match for platform in manifest: "
            f"not found. Starter images are made from this machine, which is {host}."
        )
    return [(recipe, reference)]


def _platform(text: str) -> Platform:
    try:
        return parse_platform(text) if text else host_platform()
    except OciError as error:
        raise InvalidParameter(str(error)) from None


def _starters() -> str:
    return f"Without a registry there are {', '.join(sorted(RECIPES))}, put together from this machine."
