"""Routes of images and of builds (Engine API v1.50, "Image")."""

from __future__ import annotations

from pydockmagic.engine.builder.options import BuildOptions
from pydockmagic.engine.builder.service import Builder
from pydockmagic.engine.containers.commit import CommitOptions, Committer, checked_reference
from pydockmagic.engine.errors import InvalidParameter, NotImplementedHere
from pydockmagic.engine.images.service import ImageService

from .messages import JSON, Answer, Reply, Request, Stream, json_lines, reply_json
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
            Route("POST", "/images/create", self.create),
            Route("POST", "/images/load", self.load),
            Route("POST", "/images/prune", self.prune),
            Route("GET", "/images/get", self.save, waits=True),
            Route("GET", "/images/search", self.search),
            Route("GET", f"{one}/get", self.save, waits=True),
            Route("GET", f"{one}/json", self.inspect),
            Route("GET", f"{one}/history", self.history),
            Route("POST", f"{one}/tag", self.tag),
            Route("POST", f"{one}/push", self.push),
            Route("DELETE", one, self.remove),
            Route("POST", "/build", self.build, waits=True),
            Route("POST", "/build/prune", self.build_prune),
            Route("POST", "/build/cancel", self.build_cancel),
            Route("POST", "/session", self.session),
            Route("POST", "/commit", self.commit),
            Route("GET", "/distribution/{name...}/json", self.distribution),
        ]

    async def list(self, request: Request) -> Answer:
        """Answer ``docker images``."""
        filters = request.filters()
        if name := request.text("filter"):
            filters["reference"] = [*filters.get("reference", []), name]
        rows = self._images.list(filters, all=request.flag("all"), shared_size=request.flag("shared-size"))
        return reply_json(rows)

    async def create(self, request: Request) -> Answer:
        """Pull an image, or import one from a tar."""
        platform = request.text("platform")
        if source := request.text("fromSrc"):
            if source != "-":
                raise NotImplementedHere(f"importing from a URL is not done by this engine: get {source} and import it")
            messages = self._images.import_(
                request.chunks(),
                _joined(request.text("repo"), request.text("tag")),
                request.texts("changes"),
                request.text("message"),
                platform,
            )
        else:
            name = request.text("fromImage")
            if not name:
                raise InvalidParameter("invalid reference format")
            messages = self._images.pull(_joined(name, request.text("tag")), platform)
        return Stream(chunks=json_lines(messages), content_type=JSON)

    async def load(self, request: Request) -> Answer:
        """Load images from an archive."""
        messages = self._images.load(request.chunks(), quiet=request.flag("quiet"))
        return Stream(chunks=json_lines(messages), content_type=JSON)

    async def save(self, request: Request) -> Answer:
        """Give images as an archive."""
        names = [request.params["name"]] if "name" in request.params else request.texts("names")
        return Stream(chunks=self._images.save(names), content_type="application/x-tar")

    async def inspect(self, request: Request) -> Answer:
        """Describe an image."""
        return reply_json(self._images.inspect(request.params["name"]))

    async def history(self, request: Request) -> Answer:
        """Give the steps that made an image."""
        return reply_json(self._images.history(request.params["name"]))

    async def tag(self, request: Request) -> Answer:
        """Give an image one more name."""
        image = self._images.get(request.params["name"])
        await self._images.tag(image.id, _joined(request.text("repo"), request.text("tag")))
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

    async def search(self, request: Request) -> Answer:
        """Say that there is no registry client yet."""
        raise NotImplementedHere("searching registries is not done by this engine")

    async def push(self, request: Request) -> Answer:
        """Say that there is no registry client yet."""
        self._images.get(request.params["name"])
        raise NotImplementedHere("pushing to registries is not done by this engine")

    async def distribution(self, request: Request) -> Answer:
        """Say that there is no registry client yet."""
        raise NotImplementedHere("asking registries is not done by this engine")

    async def build(self, request: Request) -> Answer:
        """Build an image from a Dockerfile and its context."""
        progress = request.headers.get("x-pydock-progress", "") == "1"
        options = BuildOptions.from_query(request.query, progress=progress)
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


def _joined(name: str, tag: str) -> str:
    """Put name and tag, or name and digest, together."""
    if not tag:
        return name
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
