"""Routes of exec (Engine API v1.50, "Exec")."""

from __future__ import annotations

import msgspec

from pydockmagic.engine.containers.execs import ExecConfig, ExecInstance, Execs

from .containers import size_of, stream_type
from .messages import Answer, Duplex, Hijack, Reply, Request, reply_json
from .router import Route

__all__ = ["ExecRoutes"]


class StartRequest(msgspec.Struct, rename="pascal", kw_only=True):
    """The body of ``POST /exec/{id}/start``."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None


class ExecRoutes:
    """More processes in running containers."""

    def __init__(self, execs: Execs) -> None:
        self._execs = execs

    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("POST", "/containers/{name}/exec", self.create),
            Route("POST", "/exec/{id}/start", self.start),
            Route("POST", "/exec/{id}/resize", self.resize),
            Route("GET", "/exec/{id}/json", self.inspect),
        ]

    async def create(self, request: Request) -> Answer:
        """Make an exec."""
        config = await request.parse(ExecConfig, required=True)
        return reply_json({"Id": self._execs.create(request.params["name"], config)}, 201)

    async def start(self, request: Request) -> Answer:
        """Start an exec, with or without its streams."""
        body = await request.parse(StartRequest)
        instance = self._execs.startable(request.params["id"])
        if body.detach:
            await self._execs.start_detached(instance)
            return Reply()
        size = body.console_size or []
        talk = _Talk(self._execs, instance, tty=body.tty, size=(size[0], size[1]) if len(size) == 2 else None)
        upgrading = bool(request.headers.get("upgrade"))
        return Hijack(talk=talk.talk, content_type=stream_type(request, tty=body.tty, upgrading=upgrading))

    async def resize(self, request: Request) -> Answer:
        """Set the size of an exec's terminal."""
        await self._execs.resize(request.params["id"], *size_of(request))
        return Reply(status=200)

    async def inspect(self, request: Request) -> Answer:
        """Describe an exec."""
        return reply_json(self._execs.inspect(request.params["id"]))


class _Talk:
    """One exec's hijacked connection."""

    def __init__(self, execs: Execs, instance: ExecInstance, *, tty: bool, size: tuple[int, int] | None) -> None:
        self._execs = execs
        self._instance = instance
        self._tty = tty
        self._size = size

    async def talk(self, duplex: Duplex) -> None:
        """Serve it."""
        await self._execs.serve(self._instance, duplex, tty=self._tty, console_size=self._size)
