"""Routes of images and of builds (Engine API v1.50, "Image")."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from msgspec.structs import replace

from pydockmagic.engine.builder.options import BuildOptions
from pydockmagic.engine.builder.service import Builder
from pydockmagic.engine.containers.commit import CommitOptions, Committer, checked_reference
from pydockmagic.engine.distribution.credentials import decode_header
from pydockmagic.engine.errors import EngineError, NotImplementedHere
from pydockmagic.engine.images.service import ImageService

from .messages import JSON, Answer, Reply, Request, Stream, json_lines, reply_json
from .registries import joined
from .router import Route

__all__ = ["ImageRoutes"]


class ImageRoutes:
    """What clients do with images."""

    def __init__(self, images: ImageService, builder: Builder, committer: Committer) -> None:
        self._images = images
        self._builder = builder
        self._committer = committer

    def routes(self) -> list[Route]:
        """List the routes."""
        one = "/images/{name...}"
        return [
            Route("GET", "/images/json", self.list),
            Route("POST", "/images/load", self.load),
            Route("POST", "/images/prune", self.prune),
            Route("GET", "/images/get", self.save, waits=True),
            Route("GET", f"{one}/get", self.save, waits=True),
            Route("GET", f"{one}/json", self.inspect),
            Route("GET", f"{one}/history", self.history),
            Route("POST", f"{one}/tag", self.tag),
            Route("DELETE", one, self.remove),
            Route("POST", "/build", self.build, waits=True),
            Route("POST", "/build/prune", self.build_prune),
            Route("POST", "/build/cancel", self.build_cancel),
            Route("POST", "/session", self.session),
            Route("POST", "/commit", self.commit),
        ]

    async def list(self, request: Request) -> Answer:
        """Answer ``docker images``."""
        filters = request.filters()
        if name := request.text("filter"):
            filters["reference"] = [*filters.get("reference", []), name]
        rows = self._images.list(filters, all=request.flag("all"), shared_size=request.flag("shared-size"))
        return reply_json(rows)

    async def load(self, request: Request) -> Answer:
        """Load images from an archive; what is wrong with it is told in the stream, as dockerd tells it."""
        messages = _told(self._images.load(request.chunks(), quiet=request.flag("quiet")))
        return Stream(chunks=json_lines(messages), content_type=JSON)

    async def save(self, request: Request) -> Answer:
        """Give images as an archive."""
        names = [request.params["name"]] if "name" in request.params else request.texts("names")
        return Stream(chunks=self._images.save(names), content_type="application/x-tar")

    async def inspect(self, request: Request) -> Answer:
        """Describe an image."""
        return reply_json(self._images.inspect(request.params["name"], request.version))

    async def history(self, request: Request) -> Answer:
        """Give the steps that made an image."""
        return reply_json(self._images.history(request.params["name"]))

    async def tag(self, request: Request) -> Answer:
        """Give an image one more name."""
        image = self._images.get(request.params["name"])
        await self._images.tag(image.id, joined(request.text("repo"), request.text("tag")))
        return Reply(status=201)

    async def remove(self, request: Request) -> Answer:
        """Remove a name or an image."""
        rows = await self._images.remove(
            request.params["name"], force=request.flag("force"), prune=not request.flag("noprune")
        )
        return reply_json(rows)

    async def prune(self, request: Request) -> Answer:
        """Remove unused images."""
        return reply_json(await self._images.prune(request.filters()))

    async def build(self, request: Request) -> Answer:
        """Build an image from a Dockerfile and its context."""
        progress = request.headers.get("x-pydock-progress", "") == "1"
        credentials = decode_header(request.headers.get("x-registry-config", ""))
        options = replace(BuildOptions.from_query(request.query, progress=progress), credentials=credentials)
        return Stream(chunks=json_lines(self._builder.build(request.chunks(), options)), content_type=JSON)

    async def build_prune(self, request: Request) -> Answer:
        """Forget the build cache: it is made of images, which ``image prune`` removes."""
        return reply_json(await self._builder.prune(all=request.flag("all"), filters=request.filters()))

    async def build_cancel(self, request: Request) -> Answer:
        """Cancel a BuildKit build: there are none; a classic one ends with its connection."""
        return Reply(status=204)

    async def session(self, request: Request) -> Answer:
        """Refuse BuildKit's session."""
        raise NotImplementedHere(
            "BuildKit sessions are not served by this engine: use the classic builder (DOCKER_BUILDKIT=0)"
        )

    async def commit(self, request: Request) -> Answer:
        """Make an image of a container."""
        options = CommitOptions(
            container=request.text("container"),
            reference=checked_reference(request.text("repo"), request.text("tag")),
            author=request.text("author"),
            comment=request.text("comment"),
            pause=request.flag("pause", True),
            changes=[line for text in request.texts("changes") for line in text.split("\n") if line.strip()],
            config=await request.object(required=False),
        )
        return reply_json({"Id": await self._committer.commit(options)}, 201)


async def _told(messages: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Give messages, and an error as the last of them: the answer's status stays 200."""
    try:
        async for message in messages:
            yield message
    except EngineError as error:
        yield {"errorDetail": {"message": str(error)}, "error": str(error)}
    finally:
        if isinstance(messages, AsyncGenerator):
            await messages.aclose()
