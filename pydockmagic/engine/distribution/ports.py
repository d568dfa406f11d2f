"""What this room needs of the images; the composition root hands it in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from pydockmagic.engine.images.records import OutgoingImage
from pydockmagic.oci.reference import Reference

__all__ = ["Images"]


class Images(Protocol):
    """The image store, as far as images come in and go out."""

    def image_of(self, reference: Reference) -> str | None:
        """Give the id of the image that a name points to."""
        ...

    def has_image(self, image_id: str) -> bool:
        """Tell whether an image is here."""
        ...

    def has_layer(self, chain: str) -> bool:
        """Tell whether a layer is here."""
        ...

    def tags_of(self, repository: Reference) -> list[Reference]:
        """List the names with tags of a repository."""
        ...

    def diff_ids(self) -> set[str]:
        """Give the diff ids of all layers."""
        ...

    def scratch(self) -> AbstractContextManager[Path]:
        """Give a directory for what is on its way in."""
        ...

    async def lease(self, chain: str) -> bool:
        """Keep a layer that is here until ``settle`` or ``release``."""
        ...

    async def unpack(
        self,
        path: Path,
        below: Sequence[str],
        *,
        diff_id: str,
        digest: str,
        media_type: str,
        progress: Callable[[int], None],
    ) -> None:
        """Unpack a checked blob as a layer, and lease it."""
        ...

    async def release(self, chains: Sequence[str]) -> None:
        """Give up layers that were leased."""
        ...

    async def settle(
        self,
        image_id: str,
        config: bytes,
        chains: Sequence[str],
        documents: Sequence[bytes],
        names: Sequence[Reference],
    ) -> None:
        """Make an image of leased layers and name it; the first document is its manifest."""
        ...

    async def point(self, image_id: str, documents: Sequence[bytes], names: Sequence[Reference]) -> None:
        """Let names point to an image that is here."""
        ...

    def tell(self, action: str, reference: Reference) -> None:
        """Tell the event bus that a name was pulled or pushed."""
        ...

    def outgoing(self, image_id: str) -> OutgoingImage:
        """Describe an image that is to leave."""
        ...

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a layer's blob."""
        ...

    def tar(self, chain: str) -> Iterator[bytes]:
        """Write a layer's plain tar anew. Blocking."""
        ...

    async def lease_image(self, image_id: str) -> list[str]:
        """Keep the layers of an image while it leaves."""
        ...

    async def note_pushed(self, image_id: str, manifest: bytes, name: Reference) -> None:
        """Remember by which manifest an image left."""
        ...
