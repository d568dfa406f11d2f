"""What the builder asks of its siblings: the image service and the container service, as far as it needs them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydockmagic.engine.images.records import BuildStep, ImageRecord, LayerRecord
from pydockmagic.engine.runtime.driver import AttachRequest

__all__ = ["Containers", "Images", "Progress"]

Progress = Callable[[Mapping[str, Any]], None]
"""Takes one message of Docker's JSON stream (a pull's progress)."""


class Images(Protocol):
    """The image service."""

    def get(self, name: str) -> ImageRecord:
        """Find a local image by reference, id or id prefix; raises NoSuchImage."""
        ...

    def config(self, image_id: str) -> dict[str, Any]:
        """Give an image's config document."""
        ...

    def layer_dirs(self, chain_ids: Sequence[str]) -> list[Path]:
        """Give the directories of layers, topmost first."""
        ...

    async def ensure(self, reference: str, progress: Progress, *, auth: Mapping[str, Any] | None = None) -> ImageRecord:
        """Find an image locally, else get it from where it comes."""
        ...

    def pull(self, reference: str, *, auth: Mapping[str, Any] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Get an image from where it comes, whether it is here or not; gives progress messages."""
        ...

    async def create(
        self,
        *,
        config: dict[str, Any],
        chain_ids: Sequence[str],
        parent: str | None = None,
        container: str = "",
        comment: str = "",
        author: str = "",
        step: BuildStep | None = None,
        origin: str,
    ) -> ImageRecord:
        """Keep a new image, or find the same one."""
        ...

    async def add_layer(self, directory: Path, parent: str | None, *, clamp_ns: int | None = None) -> LayerRecord:
        """Take over a directory in overlayfs form as a layer on top of ``parent`` (a chain id)."""
        ...

    async def release(self, chain_ids: Sequence[str]) -> None:
        """Give layers up that no image was made with."""
        ...

    async def note_step(self, image_id: str, step: BuildStep) -> None:
        """Remember how an image was last come by."""
        ...

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a name, taking it from the one that had it."""
        ...


class Containers(Protocol):
    """The container service."""

    async def create(self, body: Mapping[str, Any], name: str | None = None) -> str:
        """Create a container from an API body; gives its id."""
        ...

    async def attach(self, container_id: str, request: AttachRequest) -> socket.socket:
        """Connect to its streams, also before it starts; Docker's multiplexed format."""
        ...

    async def start(self, container_id: str) -> None:
        """Start it; raises StartError."""
        ...

    async def wait(self, container_id: str) -> int:
        """Wait for its end; gives the exit code."""
        ...

    async def remove(self, container_id: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it."""
        ...

    async def commit_layer(self, container_id: str, clamp_ns: int) -> LayerRecord:
        """Make the stopped container's writable layer a layer of an image."""
        ...
