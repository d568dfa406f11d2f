"""Routes of what this engine is not: a swarm node, a host of plugins. Docker's own answers of a node without them."""

from __future__ import annotations

from pydockmagic.engine.errors import NotFound, NotImplementedHere, Unavailable

from .messages import Answer, Request, reply_json
from .router import Route

__all__ = ["SwarmRoutes"]

_NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
_PLUGIN_VERBS = ("enable", "disable", "push", "upgrade", "set")
_FAMILIES = ("nodes", "services", "tasks", "secrets", "configs")


class SwarmRoutes:
    """Refusals in Docker's words."""

    def routes(self) -> list[Route]:
        """List the routes."""
        routes = [
            Route("GET", "/swarm", self.not_a_manager),
            Route("POST", "/swarm/init", self.no_swarm),
            Route("POST", "/swarm/join", self.no_swarm),
            Route("POST", "/swarm/leave", self.not_part),
            Route("POST", "/swarm/update", self.not_a_manager),
            Route("GET", "/swarm/unlockkey", self.not_a_manager),
            Route("POST", "/swarm/unlock", self.not_part),
            Route("GET", "/plugins", self.no_plugins),
            Route("GET", "/plugins/{name...}/json", self.no_such_plugin),
            Route("DELETE", "/plugins/{name...}", self.no_such_plugin),
            *(Route("POST", f"/plugins/{{name...}}/{verb}", self.no_such_plugin) for verb in _PLUGIN_VERBS),
            Route("GET", "/plugins/privileges", self.no_plugin_store),
            Route("POST", "/plugins/pull", self.no_plugin_store),
            Route("POST", "/plugins/create", self.no_plugin_store),
            Route("POST", "/grpc", self.no_buildkit),
            Route("GET", "/containers/{name}/checkpoints", self.no_checkpoints),
        ]
        for family in _FAMILIES:
            routes += [
                Route("GET", f"/{family}", self.not_a_manager),
                Route("POST", f"/{family}/create", self.not_a_manager),
                Route("GET", f"/{family}/{{id}}", self.not_a_manager),
                Route("DELETE", f"/{family}/{{id}}", self.not_a_manager),
                Route("POST", f"/{family}/{{id}}/update", self.not_a_manager),
                Route("GET", f"/{family}/{{id}}/logs", self.not_a_manager),
            ]
        return routes

    async def not_a_manager(self, request: Request) -> Answer:
        """Say that this is no manager."""
        raise Unavailable(_NOT_A_MANAGER)

    async def not_part(self, request: Request) -> Answer:
        """Say that this node is in no swarm."""
        raise Unavailable("This node is not part of a swarm")

    async def no_swarm(self, request: Request) -> Answer:
        """Say that there will be none."""
        raise NotImplementedHere("swarm mode is not offered by this engine")

    async def no_plugins(self, request: Request) -> Answer:
        """List no plugins."""
        return reply_json([])

    async def no_such_plugin(self, request: Request) -> Answer:
        """Find no plugin."""
        raise NotFound(f'plugin "{request.params["name"]}" not found')

    async def no_plugin_store(self, request: Request) -> Answer:
        """Say that no plugin can be had."""
        raise NotImplementedHere("this engine runs no plugins")

    async def no_buildkit(self, request: Request) -> Answer:
        """Say that no BuildKit listens behind a hijacked connection."""
        raise NotImplementedHere("this engine builds with the classic builder: set DOCKER_BUILDKIT=0")

    async def no_checkpoints(self, request: Request) -> Answer:
        """Say that checkpoints are experimental, as a daemon without them does."""
        raise NotImplementedHere("checkpoints are not offered by this engine")
