"""Routes of volumes (Engine API v1.50, "Volume")."""

from __future__ import annotations

import msgspec

from pydockmagic.engine.errors import Unavailable
from pydockmagic.engine.volumes.service import Volumes

from .messages import Answer, Reply, Request, reply_json
from .router import Route

__all__ = ["VolumeRoutes"]


_ANONYMOUS_ONLY = (1, 42)
"""The version from which pruning leaves named volumes alone unless told otherwise."""


class _Create(msgspec.Struct, rename="pascal", kw_only=True):
    name: str = ""
    driver: str = "local"
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class VolumeRoutes:
    """What clients do with volumes."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("GET", "/volumes", self.list),
            Route("POST", "/volumes/create", self.create),
            Route("POST", "/volumes/prune", self.prune),
            Route("GET", "/volumes/{name}", self.inspect),
            Route("DELETE", "/volumes/{name}", self.remove),
            Route("PUT", "/volumes/{name}", self.update),
        ]

    async def list(self, request: Request) -> Answer:
        """Answer ``docker volume ls``."""
        found = self._volumes.list(request.filters())
        return reply_json({"Volumes": [self._volumes.to_api(record) for record in found], "Warnings": None})

    async def create(self, request: Request) -> Answer:
        """Make a volume."""
        body = await request.parse(_Create)
        record = await self._volumes.create(body.name, driver=body.driver, labels=body.labels, options=body.driver_opts)
        return reply_json(self._volumes.to_api(record), 201)

    async def inspect(self, request: Request) -> Answer:
        """Describe a volume."""
        return reply_json(self._volumes.to_api(self._volumes.get(request.params["name"])))

    async def remove(self, request: Request) -> Answer:
        """Remove a volume."""
        await self._volumes.remove(request.params["name"], force=request.flag("force"))
        return Reply(status=204)

    async def update(self, request: Request) -> Answer:
        """Say that there are no cluster volumes, the only ones that can be changed."""
        raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")

    async def prune(self, request: Request) -> Answer:
        """Remove unused volumes."""
        filters = request.filters()
        if request.version < _ANONYMOUS_ONLY:
            filters["all"] = ["true"]
        removed, freed = await self._volumes.prune(filters)
        return reply_json({"VolumesDeleted": removed or None, "SpaceReclaimed": freed})
