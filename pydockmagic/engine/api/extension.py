"""The routes below ``/pydock``: layers, files, states, and what this rung of the isolation ladder can do.

Announced by ``GET /pydock``; a real dockerd answers 404 there, and clients do without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pydockmagic.engine.containers.service import ContainerService
from pydockmagic.engine.errors import InvalidParameter
from pydockmagic.engine.images.service import ImageService

from .facts import EngineFacts
from .messages import Answer, Reply, Request, reply_json
from .router import Route

__all__ = ["ExtensionRoutes"]

_FEATURES = [
    "image-layers",
    "container-layers",
    "layer-files",
    "container-files",
    "states",
    "inside",
    "lifecycle",
    "doctor",
    "build-steps",
    "exec-kill",
]


class ExtensionRoutes:
    """What the widgets ask."""

    def __init__(
        self,
        facts: EngineFacts,
        images: ImageService,
        containers: ContainerService,
        examine: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._facts = facts
        self._images = images
        self._containers = containers
        self._examine = examine
        self._examined: Mapping[str, Any] | None = None

    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("GET", "/pydock", self.announce),
            Route("GET", "/pydock/lifecycle", self.lifecycle),
            Route("GET", "/pydock/doctor", self.doctor),
            Route("GET", "/pydock/images/{name...}/layers", self.image_layers),
            Route("GET", "/pydock/layers/{chain_id}/files", self.layer_files),
            Route("GET", "/pydock/containers/{name}/layers", self.container_layers),
            Route("GET", "/pydock/containers/{name}/files", self.container_files),
            Route("GET", "/pydock/containers/{name}/states", self.states),
            Route("GET", "/pydock/containers/{name}/inside", self.inside),
            Route("POST", "/pydock/exec/{id}/kill", self.exec_kill),
        ]

    async def announce(self, request: Request) -> Answer:
        """Say that this is pydockmagic, and what it offers beyond Docker."""
        return reply_json({"Version": self._facts.version, "Features": _FEATURES})

    async def lifecycle(self, request: Request) -> Answer:
        """Give the life-cycle table."""
        return reply_json(self._containers.lifecycle_table())

    async def doctor(self, request: Request) -> Answer:
        """Give the capabilities of this rung, found out when they are first asked for."""
        if self._examined is None:
            self._examined = await asyncio.to_thread(self._examine)
        return reply_json(self._examined)

    async def exec_kill(self, request: Request) -> Answer:
        """Send a signal to the process of an exec."""
        await self._containers.execs.kill(request.params["id"], request.text("signal", "SIGKILL"))
        return Reply(status=204)

    async def image_layers(self, request: Request) -> Answer:
        """Give an image's layers."""
        return reply_json(await asyncio.to_thread(self._images.layers, request.params["name"]))

    async def layer_files(self, request: Request) -> Answer:
        """Give a layer's files."""
        window = _window(request)
        return reply_json(await asyncio.to_thread(lambda: self._images.files(request.params["chain_id"], **window)))

    async def container_layers(self, request: Request) -> Answer:
        """Give the layers of a container's image, and its writable layer on top."""
        container = self._containers.get(request.params["name"])
        record = container.record
        image = self._images.find(record.image_id)
        chain_ids = image.chain_ids if image is not None else ()
        document = await asyncio.to_thread(self._images.layers_of, record.image_id, chain_ids)
        index, changes = await self._images.changes(self._containers.core.storage.changes(record.id), chain_ids)
        columns = self._images.columns(index, changes, limit=0)
        document["Layers"].append(
            {
                "ChainId": "",
                "DiffId": "",
                "Size": index.content_size,
                "Files": columns["Total"],
                "CreatedBy": record.path,
                "Instruction": "",
                "FirstLine": 0,
                "LastLine": 0,
                "Cached": False,
                "Reason": "",
                "Seconds": 0.0,
                "SharedBy": [],
                "Wasted": sum(changes.hidden.values()),
                "Empty": False,
                "Writable": True,
            }
        )
        document["Id"] = record.id
        document["Names"] = [record.name]
        return reply_json(document)

    async def container_files(self, request: Request) -> Answer:
        """Give the files of a container's writable layer."""
        container = self._containers.get(request.params["name"])
        record = container.record
        image = self._images.find(record.image_id)
        chain_ids = image.chain_ids if image is not None else ()
        index, changes = await self._images.changes(self._containers.core.storage.changes(record.id), chain_ids)
        window = _window(request)
        return reply_json(await asyncio.to_thread(lambda: self._images.columns(index, changes, **window)))

    async def states(self, request: Request) -> Answer:
        """Give a container's state and history."""
        return reply_json(self._containers.states(request.params["name"]))

    async def inside(self, request: Request) -> Answer:
        """Give a container as the kernel sees it: processes, namespaces, mounts, ids, cgroup, capabilities."""
        return reply_json(await self._containers.inside(request.params["name"]))


def _window(request: Request) -> dict[str, Any]:
    sort = request.text("sort", "path")
    if sort not in ("path", "size"):
        raise InvalidParameter(f"invalid sort order: {sort} (path or size)")
    return {"offset": request.integer("offset") or 0, "limit": request.integer("limit"), "sort": sort}
