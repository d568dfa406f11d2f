"""Routes of networks (Engine API v1.50, "Network")."""

from __future__ import annotations

import msgspec

from pydockmagic.engine.containers.config import EndpointSettings
from pydockmagic.engine.containers.service import ContainerService
from pydockmagic.engine.errors import InvalidParameter, NoSuchNetwork
from pydockmagic.engine.networks.service import NetworkService

from .messages import Answer, Reply, Request, reply_json
from .router import Route

__all__ = ["NetworkRoutes"]

_TRUTHS = ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False")


class _Connect(msgspec.Struct, rename="pascal", kw_only=True):
    container: str = ""
    endpoint_config: EndpointSettings | None = None
    force: bool = False


class _Pool(msgspec.Struct, omit_defaults=True, kw_only=True):
    subnet: str = msgspec.field(name="Subnet", default="")
    ip_range: str = msgspec.field(name="IPRange", default="")
    gateway: str = msgspec.field(name="Gateway", default="")
    auxiliary: dict[str, str] = msgspec.field(name="AuxiliaryAddresses", default_factory=dict)


class _Ipam(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    driver: str = ""
    options: dict[str, str] | None = None
    config: list[_Pool] = msgspec.field(default_factory=list)


class _Source(msgspec.Struct, rename="pascal", omit_defaults=True):
    network: str = ""


class _Create(msgspec.Struct, omit_defaults=True, rename="pascal", kw_only=True):
    """The NetworkCreateRequest; ``CheckDuplicate`` means nothing since API 1.44."""

    name: str = ""
    check_duplicate: bool = False
    driver: str = ""
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: _Source = msgspec.field(default_factory=_Source)
    ipam: _Ipam = msgspec.field(name="IPAM", default_factory=_Ipam)
    enable_ipv4: bool = msgspec.field(name="EnableIPv4", default=True)
    enable_ipv6: bool = msgspec.field(name="EnableIPv6", default=False)
    options: dict[str, str] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)


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
        """Describe a network. More than that (``verbose``) is only known of networks of a swarm."""
        verbose = request.text("verbose")
        if verbose and verbose not in _TRUTHS:
            raise InvalidParameter(f"invalid value for verbose: {verbose}")
        if request.text("scope") not in ("", "local"):
            raise NoSuchNetwork(request.params["name"])
        return reply_json(self._networks.inspect(request.params["name"]))

    async def create(self, request: Request) -> Answer:
        """Make a network."""
        wanted = await request.parse(_Create, required=True)
        return reply_json(await self._networks.create(msgspec.to_builtins(wanted)), 201)

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
