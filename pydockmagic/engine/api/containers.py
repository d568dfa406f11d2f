"""Routes of containers (Engine API v1.50, "Container")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from pydockmagic.engine.containers.config import UpdateRequest
from pydockmagic.engine.containers.container import Container, WaitCondition
from pydockmagic.engine.containers.logs import LogQuery
from pydockmagic.engine.containers.requests import decode_create
from pydockmagic.engine.containers.service import ContainerService
from pydockmagic.engine.containers.streams import Client, UnframedClient
from pydockmagic.engine.errors import EngineError, InvalidParameter
from pydockmagic.engine.runtime.driver import AttachRequest
from pydockmagic.engine.timestamps import parse_timestamp

from .messages import MULTIPLEXED, RAW_STREAM, Answer, Duplex, Hijack, Reply, Request, Stream, reply_json
from .router import Route
from .websocket import WebSocket, upgrade_headers

__all__ = ["ContainerRoutes", "stream_type"]

_FRAMED_SINCE = (1, 42)
"""The version from which a stream's content type says whether it is framed."""
_STREAMS_CHOSEN_SINCE = (1, 42)
"""The version from which a WebSocket's streams are chosen; before, they are all."""
_TAR = "application/x-tar"

_encode = msgspec.json.Encoder().encode


def stream_type(request: Request, *, tty: bool, upgrading: bool = True) -> str:
    """Give the content type of a container's stream."""
    return MULTIPLEXED if not tty and upgrading and request.version >= _FRAMED_SINCE else RAW_STREAM


class ContainerRoutes:
    """What clients do with containers."""

    def __init__(self, service: ContainerService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """List the routes."""
        one = "/containers/{name}"
        return [
            Route("GET", "/containers/json", self.list),
            Route("POST", "/containers/create", self.create),
            Route("POST", "/containers/prune", self.prune),
            Route("GET", "/containers/{name...}/json", self.inspect),
            Route("GET", f"{one}/top", self.top),
            Route("GET", f"{one}/logs", self.logs, waits=True),
            Route("GET", f"{one}/changes", self.changes),
            Route("GET", f"{one}/export", self.export, waits=True),
            Route("GET", f"{one}/stats", self.stats, waits=True),
            Route("POST", f"{one}/resize", self.resize),
            Route("POST", f"{one}/start", self.start),
            Route("POST", f"{one}/stop", self.stop),
            Route("POST", f"{one}/restart", self.restart),
            Route("POST", f"{one}/kill", self.kill),
            Route("POST", f"{one}/update", self.update),
            Route("POST", f"{one}/rename", self.rename),
            Route("POST", f"{one}/pause", self.pause),
            Route("POST", f"{one}/unpause", self.unpause),
            Route("POST", f"{one}/attach", self.attach),
            Route("GET", f"{one}/attach/ws", self.attach_websocket),
            Route("POST", f"{one}/wait", self.wait, waits=True),
            Route("DELETE", "/containers/{name...}", self.remove),
            Route("HEAD", f"{one}/archive", self.archive_stat),
            Route("GET", f"{one}/archive", self.archive_get, waits=True),
            Route("PUT", f"{one}/archive", self.archive_put),
        ]

    async def list(self, request: Request) -> Answer:
        """Answer ``docker ps``."""
        rows = await self._service.lister.list(
            request.filters(),
            everything=request.flag("all"),
            limit=request.integer("limit") or 0,
            size=request.flag("size"),
        )
        return reply_json(rows)

    async def create(self, request: Request) -> Answer:
        """Make a container."""
        body = decode_create(await request.object())
        body.platform = request.text("platform")
        return reply_json(await self._service.create_from(body, request.text("name") or None), 201)

    async def prune(self, request: Request) -> Answer:
        """Remove all stopped containers."""
        removed, freed = await self._service.control.prune(request.filters())
        return reply_json({"ContainersDeleted": removed or None, "SpaceReclaimed": freed})

    async def inspect(self, request: Request) -> Answer:
        """Describe a container."""
        return reply_json(await self._service.inspect(request.params["name"], size=request.flag("size")))

    async def top(self, request: Request) -> Answer:
        """List a container's processes."""
        return reply_json(await self._service.top(request.params["name"], request.text("ps_args")))

    async def logs(self, request: Request) -> Answer:
        """Read a container's log."""
        container = self._service.get(request.params["name"])
        if not (request.flag("stdout") or request.flag("stderr")):
            raise InvalidParameter("Bad parameters: you must choose at least one stream")
        tail = request.text("tail")
        query = LogQuery(
            stdout=request.flag("stdout"),
            stderr=request.flag("stderr"),
            follow=request.flag("follow"),
            since=_moment(request.text("since")),
            until=_moment(request.text("until")),
            timestamps=request.flag("timestamps"),
            details=request.flag("details"),
            tail=int(tail) if tail.isdecimal() else None,
        )
        tty = container.record.config.tty
        return Stream(
            chunks=self._service.logs.read(container, query), content_type=stream_type(request, tty=tty), at_once=True
        )

    async def changes(self, request: Request) -> Answer:
        """List what a container changed."""
        rows = await self._service.archive.changes(self._service.get(request.params["name"]))
        return reply_json(rows or None)

    async def export(self, request: Request) -> Answer:
        """Give a container's root as a tar."""
        chunks = await self._service.archive.export(self._service.get(request.params["name"]))
        return Stream(chunks=chunks, content_type="application/octet-stream")

    async def stats(self, request: Request) -> Answer:
        """Give a container's counters."""
        stream = request.flag("stream", True)
        one_shot = request.flag("one-shot")
        if stream and one_shot:
            raise InvalidParameter("cannot have stream=true and one-shot=true")
        return Stream(chunks=self._service.stats(request.params["name"], stream=stream, one_shot=one_shot))

    async def resize(self, request: Request) -> Answer:
        """Set the size of a container's terminal."""
        await self._service.attacher.resize(request.params["name"], *size_of(request))
        return Reply()

    async def start(self, request: Request) -> Answer:
        """Start a container."""
        await self._service.control.start(request.params["name"])
        return Reply(status=204)

    async def stop(self, request: Request) -> Answer:
        """Stop a container."""
        await self._service.control.stop(
            request.params["name"], seconds=request.integer("t"), signal_name=request.text("signal")
        )
        return Reply(status=204)

    async def restart(self, request: Request) -> Answer:
        """Stop and start a container."""
        await self._service.control.restart(
            request.params["name"], seconds=request.integer("t"), signal_name=request.text("signal")
        )
        return Reply(status=204)

    async def kill(self, request: Request) -> Answer:
        """Send a signal to a container."""
        await self._service.control.kill(request.params["name"], request.text("signal"))
        return Reply(status=204)

    async def update(self, request: Request) -> Answer:
        """Change a container's limits."""
        body = await request.parse(UpdateRequest, required=True)
        return reply_json({"Warnings": await self._service.update(request.params["name"], body)})

    async def rename(self, request: Request) -> Answer:
        """Rename a container."""
        await self._service.control.rename(request.params["name"], request.text("name"))
        return Reply(status=204)

    async def pause(self, request: Request) -> Answer:
        """Freeze a container."""
        await self._service.control.pause(request.params["name"])
        return Reply(status=204)

    async def unpause(self, request: Request) -> Answer:
        """Thaw a container."""
        await self._service.control.unpause(request.params["name"])
        return Reply(status=204)

    async def attach(self, request: Request) -> Answer:
        """Connect to a container's streams."""
        asked = request.params["name"]
        upgrading = bool(request.headers.get("upgrade"))
        try:
            container = self._service.attacher.check(asked, request.text("detachKeys"))
        except EngineError as error:
            # dockerd has taken the connection over by then: plain text, with the stream's content type
            return Reply(
                status=error.status,
                body=f"{error}\r\n".encode(),
                content_type=RAW_STREAM,
                headers={"Connection": "close"},
            )
        tty = container.record.config.tty
        request_ = AttachRequest(
            stdin=request.flag("stdin"), stdout=request.flag("stdout"), stderr=request.flag("stderr")
        )
        keys = request.text("detachKeys")
        attaching = _Attaching(
            self._service, container, request_, keys, logs=request.flag("logs"), stream=request.flag("stream")
        )
        return Hijack(talk=attaching.talk, content_type=stream_type(request, tty=tty, upgrading=upgrading))

    async def attach_websocket(self, request: Request) -> Answer:
        """Connect to a container's streams by a WebSocket; they are not framed."""
        headers = upgrade_headers(request.headers)
        keys = request.text("detachKeys")
        container = self._service.attacher.check(request.params["name"], keys)
        chosen = request.version >= _STREAMS_CHOSEN_SINCE
        request_ = AttachRequest(
            stdin=not chosen or request.flag("stdin"),
            stdout=not chosen or request.flag("stdout"),
            stderr=not chosen or request.flag("stderr"),
        )
        attaching = _Attaching(
            self._service, container, request_, keys, logs=request.flag("logs"), stream=request.flag("stream")
        )
        return Hijack(talk=attaching.talk_websocket, headers=headers)

    async def wait(self, request: Request) -> Answer:
        """Wait for a container's end or removal."""
        text = request.text("condition") or WaitCondition.NOT_RUNNING.value
        try:
            condition = WaitCondition(text)
        except ValueError:
            raise InvalidParameter(f'invalid condition: "{text}"') from None
        future = self._service.control.wait(request.params["name"], condition)
        return Stream(chunks=_waited(future), at_once=True)

    async def remove(self, request: Request) -> Answer:
        """Remove a container."""
        if request.flag("link"):
            await self._service.unlink(request.params["name"])
            return Reply(status=204)
        await self._service.remove(request.params["name"], force=request.flag("force"), volumes=request.flag("v"))
        return Reply(status=204)

    async def archive_stat(self, request: Request) -> Answer:
        """Describe a path in a container."""
        container = self._service.get(request.params["name"])
        described = await self._service.archive.stat(container, request.params["name"], _path_of(request))
        return Reply(headers={"X-Docker-Container-Path-Stat": described.header(), "Content-Length": "0"})

    async def archive_get(self, request: Request) -> Answer:
        """Give a path of a container as a tar."""
        container = self._service.get(request.params["name"])
        described, chunks = await self._service.archive.read(container, request.params["name"], _path_of(request))
        return Stream(chunks=chunks, content_type=_TAR, headers={"X-Docker-Container-Path-Stat": described.header()})

    async def archive_put(self, request: Request) -> Answer:
        """Unpack a tar in a container."""
        container = self._service.get(request.params["name"])
        await self._service.archive.write(
            container,
            request.params["name"],
            _path_of(request),
            request.chunks(),
            keep_types=request.flag("noOverwriteDirNonDir"),
        )
        return Reply()


class _Attaching:
    """One attach: first the log, if it was asked for, then the live streams."""

    def __init__(
        self,
        service: ContainerService,
        container: Container,
        request: AttachRequest,
        keys: str,
        *,
        logs: bool,
        stream: bool,
    ) -> None:
        self._service = service
        self._container = container
        self._request = request
        self._keys = keys
        self._logs = logs
        self._stream = stream
        # the promise is made before the client is answered, so that a start right after it cannot be missed
        service.core.publish(container, "attach")
        self._ready = service.attacher.prepare(container, request) if stream else None

    async def talk_websocket(self, duplex: Duplex) -> None:
        """Serve a WebSocket: the bytes of both outputs, without frames of Docker's."""
        websocket = WebSocket(duplex)
        tty = self._container.record.config.tty
        await self.talk(websocket if tty else UnframedClient(websocket))
        await websocket.finish()

    async def talk(self, duplex: Client) -> None:
        """Serve the hijacked connection."""
        if self._logs:
            query = LogQuery(stdout=self._request.stdout, stderr=self._request.stderr)
            async for chunk in self._service.logs.read(self._container, query):
                await duplex.write(chunk)
        if self._ready is not None:
            await self._service.attacher.serve(
                self._container, duplex, self._request, self._ready, detach_keys=self._keys
            )


async def _waited(future: asyncio.Future[Any]) -> AsyncIterator[bytes]:
    result = await future
    document: dict[str, Any] = {"StatusCode": result.code}
    if result.error:
        document["Error"] = {"Message": result.error}
    yield _encode(document) + b"\n"


def _path_of(request: Request) -> str:
    """Read which path of a container is meant."""
    path = request.text("path")
    if not path:
        raise InvalidParameter("bad parameter: pathcannot be empty")  # the missing blank is dockerd's
    return path


def size_of(request: Request) -> tuple[int, int]:
    """Read the rows and columns of a resize."""
    rows, columns = request.integer("h"), request.integer("w")
    if rows is None or columns is None:
        raise InvalidParameter('strconv.Atoi: parsing "": invalid syntax')
    return rows, columns


def _moment(text: str) -> int | None:
    moment = parse_timestamp(text)
    return moment or None  # "0" is what clients send for "from the beginning"
