"""Routes of networks (Engine API v1.50, "Network")."""

from __future__ import annotations

import msgspec

from pydockmagic.engine.containers.config import EndpointSettings
from pydockmagic.engine.containers.service import ContainerService
from pydockmagic.engine.networks.service import NetworkService

from .messages import Answer, Reply, Request, reply_json
from .router import Route

__all__ = ["NetworkRoutes"]


class _Connect(msgspec.Struct, rename="pascal", kw_only=True):
    container: str = ""
    endpoint_config: EndpointSettings | None = None
    force: bool = False


class NetworkRoutes:
    """What clients do with networks."""

    def __init__(self, networks: NetworkService, containers: ContainerService) -> None:
        self._networks = networks
        self._containers = containers

    def routes(self) -> list[Route]:
        """List the routes."""
        one = "/networks/{name}"
        return [
            Route("GET", "/networks", self.list),
            Route("POST", "/networks/create", self.create),
            Route("POST", "/networks/prune", self.prune),
            Route("GET", one, self.inspect),
            Route("DELETE", one, self.remove),
            Route("POST", f"{one}/connect", self.connect),
            Route("POST", f"{one}/disconnect", self.disconnect),
        ]

    async def list(self, request: Request) -> Answer:
        """Answer ``docker network ls``."""
        return reply_json(self._networks.list(request.filters()))

    async def inspect(self, request: Request) -> Answer:
        """Describe a network."""
        return reply_json(self._networks.inspect(request.params["name"]))

    async def create(self, request: Request) -> Answer:
        """Make a network."""
        return reply_json(await self._networks.create(await request.object()), 201)

    async def remove(self, request: Request) -> Answer:
        """Remove a network."""
        await self._networks.remove(request.params["name"])
        return Reply(status=204)

    async def prune(self, request: Request) -> Answer:
        """Remove unused networks."""
        return reply_json({"NetworksDeleted": list(await self._networks.prune(request.filters())) or None})

    async def connect(self, request: Request) -> Answer:
        """Join a container to a network."""
        body = await request.parse(_Connect, required=True)
        await self._containers.connect(request.params["name"], body.container, body.endpoint_config)
        return Reply()

    async def disconnect(self, request: Request) -> Answer:
        """Take a container off a network."""
        body = await request.parse(_Connect, required=True)
        await self._containers.disconnect(request.params["name"], body.container, force=body.force)
        return Reply()
