"""What the engine can ask of registries: pull, push, search, log in, describe, and fetch a tar by its URL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from pydockmagic.engine.errors import EngineError, InvalidParameter, Unauthorized
from pydockmagic.engine.state import State
from pydockmagic.oci.config import decode_config
from pydockmagic.oci.errors import InvalidReference, OciError
from pydockmagic.oci.manifest import Index, Manifest
from pydockmagic.oci.media_types import OCI_MANIFEST
from pydockmagic.oci.platform import Platform
from pydockmagic.oci.reference import Reference, parse_normalized

from .credentials import Credentials, credentials_of
from .documents import MAX_DOCUMENT, platform_of, read_document
from .endpoints import Endpoints
from .errors import RegistryRefusal, Unreachable, pull_error
from .fetch import fetch
from .login import login
from .options import RegistryOptions
from .ports import Images
from .progress import Board
from .pull import Puller, Pulling
from .push import Pusher, Pushing
from .repository import Repository
from .search import search
from .sources import LayerSources

__all__ = ["DistributionService"]

Auth = Mapping[str, Any] | None
"""The decoded ``X-Registry-Auth`` of a request."""
Messages = AsyncIterator[dict[str, Any]]


class DistributionService:
    """The registry client of one engine."""

    def __init__(self, state: State, images: Images, options: RegistryOptions, *, second: float = 1.0) -> None:
        self.options = options
        self._images = images
        self._endpoints = Endpoints(options)
        self._sources = LayerSources(state, images.diff_ids())
        self._pulling = Pulling(second=second)
        self._pushing = Pushing(second=second)

    # -- pull ---------------------------------------------------------------------------------------------------

    def pull(self, reference: Reference, *, platform: str = "", auth: Auth = None) -> Messages:
        """Pull a tag or digest, or all tags of a name that has neither; gives Docker's progress.

        Errors before the first message come as exceptions of it. Raises ``EngineError``.
        """
        board = Board()
        return board.run(self._pull(reference, platform_of(platform), credentials_of(auth), board))

    async def _pull(
        self, reference: Reference, platform: Platform | None, credentials: Credentials, board: Board
    ) -> None:
        """Try the endpoints in turn: a mirror that has not what is wanted is passed over."""
        endpoints = await self._endpoints.of(reference.domain)
        failure: EngineError | None = None
        for endpoint in endpoints:
            # credentials are for Docker Hub, not for whoever mirrors it
            shown = Credentials() if endpoint.mirror else credentials
            try:
                async with self._endpoints.open(endpoint) as session:
                    repository = Repository(session, reference.path, shown)
                    puller = Puller(repository, self._images, self._sources, self._pulling, board, platform)
                    new = await self._pull_all(puller, repository, reference)
            except Unreachable as error:
                failure = error
                continue
            except EngineError as error:
                failure = pull_error(error, reference)
                if endpoint.mirror:
                    continue
                raise failure from None
            state = "Downloaded newer image" if new else "Image is up to date"
            board.text(f"Status: {state} for {reference.familiar}")
            return
        assert failure is not None
        raise failure

    @staticmethod
    async def _pull_all(puller: Puller, repository: Repository, reference: Reference) -> bool:
        if not reference.is_name_only:
            return await puller.pull(reference)
        new = False
        for tag in await repository.tags():
            new = await puller.pull(reference.with_tag(tag)) or new
        return new

    # -- push ---------------------------------------------------------------------------------------------------

    def push(self, name: str, tag: str, *, auth: Auth = None) -> Messages:
        """Push a tag, or all tags of a repository where ``tag`` is empty; gives Docker's progress."""
        try:
            reference = parse_normalized(name)
            if reference.digest:
                raise InvalidParameter("cannot push a digest reference")
            reference = reference.with_tag(tag) if tag else reference
        except InvalidReference as error:
            raise InvalidParameter(str(error)) from None
        board = Board()
        return board.run(self._push(reference, credentials_of(auth), board))

    async def _push(self, reference: Reference, credentials: Credentials, board: Board) -> None:
        board.text(f"The push refers to repository [{reference.name}]")
        tags = self._images.tags_of(reference)
        if not tags:
            raise EngineError(f"An image does not exist locally with the tag: {reference.familiar_name}")
        async with self._endpoints.connect(reference.domain, push=True) as session:
            repository = Repository(session, reference.path, credentials, "pull,push")
            pusher = Pusher(repository, self._images, self._sources, self._pushing, board)
            for one in tags if reference.is_name_only else [reference]:
                await pusher.push(one)

    # -- asking -------------------------------------------------------------------------------------------------

    async def login(self, address: str, auth: Auth) -> str:
        """Check credentials; gives the identity token that stands for them, or nothing. Raises ``Unauthorized``."""
        return await login(self._endpoints, address, credentials_of(auth))

    async def search(
        self, term: str, limit: int | None, filters: Mapping[str, Sequence[str]], auth: Auth
    ) -> list[dict[str, Any]]:
        """Search a registry by words."""
        return await search(self._endpoints, term, limit, filters, credentials_of(auth))

    async def describe(self, name: str, auth: Auth) -> dict[str, Any]:
        """Give the answer of ``GET /distribution/{name}/json``: descriptor and platforms of what a name means there."""
        try:
            reference = parse_normalized(name).with_default_tag()
        except InvalidReference as error:
            raise InvalidParameter(str(error)) from None
        async with self._endpoints.connect(reference.domain) as session:
            repository = Repository(session, reference.path, credentials_of(auth))
            try:
                document = await repository.manifest(reference.digest or reference.tag)
                platforms = await _platforms(repository, read_document(document, reference))
            except RegistryRefusal as error:
                if error.code in ("UNAUTHORIZED", "DENIED"):
                    raise Unauthorized(str(error)) from None
                raise pull_error(error, reference) from None
        return {
            "Descriptor": {
                "mediaType": document.media_type or OCI_MANIFEST,
                "digest": document.digest,
                "size": len(document.data),
            },
            "Platforms": platforms,
        }

    def fetch(self, url: str) -> contextlib.AbstractAsyncContextManager[tuple[AsyncIterator[bytes], int]]:
        """Open what lies at a URL (``docker import URL``): its bytes, and how many there are (0: not known)."""
        return fetch(url)

    @property
    def asks_hub(self) -> bool:
        """Whether names without a registry are looked for at Docker Hub."""
        return bool(self.options.hub)


async def _platforms(repository: Repository, read: Manifest | Index) -> list[dict[str, Any]]:
    if isinstance(read, Index):
        found = [entry.platform for entry in read.manifests if entry.platform is not None]
        return [_platform_row(one.architecture, one.os, one.variant) for one in found]
    config = await repository.small_blob(read.config.digest, MAX_DOCUMENT)
    try:
        parsed = decode_config(config)
    except OciError as error:
        raise EngineError(str(error)) from None
    return [_platform_row(parsed.architecture, parsed.os, parsed.variant or "")]


def _platform_row(architecture: str, system: str, variant: str) -> dict[str, Any]:
    row = {"architecture": architecture, "os": system}
    return {**row, "variant": variant} if variant else row
