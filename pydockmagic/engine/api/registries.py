"""Routes that have to do with registries, and of images that come from elsewhere (Engine API v1.50)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from pydockmagic.engine.distribution.credentials import decode_header
from pydockmagic.engine.distribution.progress import Board
from pydockmagic.engine.distribution.service import DistributionService
from pydockmagic.engine.distribution.threads import to_its_end
from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.images.service import ImageService
from pydockmagic.oci.errors import InvalidReference
from pydockmagic.oci.reference import parse_normalized

from .messages import JSON, Answer, Request, Stream, json_lines, reply_json
from .router import Route

__all__ = ["RegistryRoutes", "joined"]

Messages = AsyncIterator[dict[str, Any]]


class RegistryRoutes:
    """Pull, push, import, login, search."""

    def __init__(self, images: ImageService, distribution: DistributionService) -> None:
        self._images = images
        self._distribution = distribution

    def routes(self) -> list[Route]:
        """List the routes. Work for a client that has gone is broken off."""
        return [
            Route("POST", "/auth", self.auth, waits=True),
            Route("POST", "/images/create", self.create, waits=True),
            Route("GET", "/images/search", self.search, waits=True),
            Route("POST", "/images/{name...}/push", self.push, waits=True),
            Route("GET", "/distribution/{name...}/json", self.distribution, waits=True),
        ]

    async def auth(self, request: Request) -> Answer:
        """Check credentials at a registry."""
        document = await request.object()
        address = document.get("serveraddress")
        token = await self._distribution.login(address if isinstance(address, str) else "", document)
        return reply_json({"IdentityToken": token, "Status": "Login Succeeded"})

    async def create(self, request: Request) -> Answer:
        """Pull an image, or import one from a tar."""
        platform = request.text("platform")
        if source := request.text("fromSrc"):
            return Stream(chunks=json_lines(self._import(source, request, platform)), content_type=JSON)
        name = request.text("fromImage")
        if not name:
            raise InvalidParameter("invalid reference format")
        name = joined(name, request.text("tag"))
        messages = self._images.pull(name, platform, auth=_auth(request), all_tags=_names_all_tags(name))
        return Stream(chunks=json_lines(messages), content_type=JSON)

    def _import(self, source: str, request: Request, platform: str) -> Messages:
        if source != "-":
            return self._import_from(source, request, platform)
        return _unbroken(self._imported(request.chunks(), request, platform, "-"))

    def _imported(self, chunks: AsyncIterator[bytes], request: Request, platform: str, source: str) -> Messages:
        name = joined(request.text("repo"), request.text("tag"))
        return self._images.import_(
            chunks, name, request.texts("changes"), request.text("message"), platform, source=source
        )

    async def _import_from(self, url: str, request: Request, platform: str) -> Messages:
        """Import the tar that lies at a web address."""
        url = url if "://" in url else f"http://{url}"
        async with self._distribution.fetch(url) as (chunks, total):
            yield {"status": f"Downloading from {url}"}
            board = Board()

            async def work() -> None:
                arriving = _counted(chunks, board, total)
                async for message in self._imported(arriving, request, platform, urlsplit(url).geturl()):
                    board.tell(message)

            async for message in board.run(work()):
                yield message

    async def search(self, request: Request) -> Answer:
        """Search a registry."""
        limit = request.integer("limit")
        rows = await self._distribution.search(request.text("term"), limit, request.filters(), _auth(request))
        return reply_json(rows)

    async def push(self, request: Request) -> Answer:
        """Push an image, or all tags of a repository."""
        messages = self._distribution.push(request.params["name"], request.text("tag"), auth=_auth(request))
        return Stream(chunks=json_lines(messages), content_type=JSON)

    async def distribution(self, request: Request) -> Answer:
        """Tell what a registry has under a name."""
        return reply_json(await self._distribution.describe(request.params["name"], _auth(request)))


async def _unbroken(messages: Messages) -> Messages:
    """Give messages once all are there: a client that leaves ends its upload, and the import by that, in good order."""
    found: list[dict[str, Any]] = []

    async def work() -> None:
        async for message in messages:
            found.append(message)  # noqa: PERF401 - an error comes after the messages before it

    await to_its_end(work())
    for message in found:
        yield message


async def _counted(chunks: AsyncIterator[bytes], board: Board, total: int) -> AsyncIterator[bytes]:
    count = 0
    async for chunk in chunks:
        count += len(chunk)
        board.count("", "Importing", count, total)
        yield chunk


def _auth(request: Request) -> dict[str, Any]:
    return decode_header(request.headers.get("x-registry-auth", ""))


def joined(name: str, tag: str) -> str:
    """Put name and tag, or name and digest, together."""
    if not tag:
        return name
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


def _names_all_tags(name: str) -> bool:
    """Tell whether a name stands for all of its tags: the command adds ``latest`` itself where it is meant."""
    try:
        return parse_normalized(name).is_name_only
    except InvalidReference:
        return False  # what is wrong with it is told by whoever reads it next
