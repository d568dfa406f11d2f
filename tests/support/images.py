"""An image service on a scratch data root, and images made of small dictionaries."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from pydockmagic.engine.events import EventBus
from pydockmagic.engine.images.records import BuildStep, ImageRecord, LayerRecord
from pydockmagic.engine.images.service import ImageService, ImageUser
from pydockmagic.engine.state import State
from pydockmagic.engine.storage import Trash
from pydockmagic.engine.storage.form import make_opaque, make_whiteout

__all__ = ["ImageWorld", "tar_of"]

T = TypeVar("T")

GONE = "<gone>"
"""As the text of a file: a whiteout."""
OPAQUE = "<opaque>"
"""As the text of a directory (a path with a slash at its end): it hides what is below."""


def fill(directory: Path, content: dict[str, str]) -> None:
    """Make files, directories (``name/``), symlinks (``-> target``), whiteouts and opaque directories."""
    for name, text in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
            if text == OPAQUE:
                make_opaque(str(path))
        elif text == GONE:
            make_whiteout(str(path))
        elif text.startswith("-> "):
            path.symlink_to(text[3:])
        else:
            path.write_text(text)


def tar_of(content: dict[str, str | bytes], mode: str = "w") -> bytes:
    """Make a tar with tarfile: files, and directories (``name/``)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, text in content.items():
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class ImageWorld:
    """A data root with its image service; ``restart`` is what an engine's death and new start do to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runner = asyncio.Runner()
        self.users: dict[str, list[ImageUser]] = {}
        self._open()

    def _open(self) -> None:
        self.state = State(self.root / "state.db")
        self.events = EventBus()
        self.images = ImageService(self.root, self.state, self.events)
        self.images.users = lambda image_id: self.users.get(image_id, [])

    def restart(self) -> None:
        """Open everything anew, with nothing taken over but the disk."""
        self.state.close()
        self._open()

    def close(self) -> None:
        """Let go of everything, and see that the trash empties."""
        self.state.close()
        self.runner.close()
        assert Trash(self.root / "trash").wait(30)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.runner.run(coroutine)

    def gather(self, stream: AsyncIterator[T]) -> list[T]:
        """Collect what a stream gives."""

        async def collect() -> list[T]:
            return [item async for item in stream]

        return self.run(collect())

    def start(self, stream: Any) -> Any:
        """Call something that must be called on the loop, and collect the stream that it gives."""

        async def collect() -> list[Any]:
            return [item async for item in stream()]

        return self.run(collect())

    def layer(self, content: dict[str, str], parent: str | None = None) -> LayerRecord:
        """Add a layer."""
        directory = self.images._store.layer_files.new_directory()
        fill(directory, content)
        return self.run(self.images.add_layer(directory, parent, clamp_ns=0))

    def image(
        self,
        *layers: dict[str, str],
        name: str = "",
        parent: ImageRecord | None = None,
        config: dict[str, Any] | None = None,
        history: list[dict[str, Any]] | None = None,
        step: BuildStep | None = None,
        created_ns: int | None = None,
    ) -> ImageRecord:
        """Make an image of layers, over those of a parent; a build step if there is a parent."""
        chains = list(parent.chain_ids) if parent else []
        for content in layers:
            chains.append(self.layer(content, chains[-1] if chains else None).chain_id)
        before = self.images.config(parent.id)["history"] if parent else []
        steps = [{"created_by": f"layer {number}"} for number in range(len(layers))] or [{"empty_layer": True}]
        document = {
            "config": config or {},
            "created": "1970-01-01T00:00:00Z",
            "history": history or [*before, *steps],
        }
        return self.run(
            self.images.create(
                config=document,
                chain_ids=chains,
                parent=parent.id if parent else None,
                step=step,
                origin="build",
                created_ns=created_ns,
                references=[name] if name else [],
            )
        )

    def use(self, image: ImageRecord, *, running: bool = False, container_id: str = "c" * 64) -> None:
        """Let a container use an image."""
        self.users.setdefault(image.id, []).append(ImageUser(container_id, "name", running))

    def load(self, data: bytes, *, quiet: bool = True) -> list[dict[str, Any]]:
        """Load an archive."""
        return self.start(lambda: self.images.load(pieces(data), quiet))

    def save(self, *names: str) -> bytes:
        """Save images."""
        return b"".join(self.start(lambda: self.images.save(names)))

    def listed(self, **arguments: Any) -> list[str]:
        """List images as their names or short ids."""
        return [
            ",".join(row["RepoTags"]) or row["Id"].removeprefix("sha256:")[:12]
            for row in self.images.list(arguments.pop("filters", None), **arguments)
        ]

    def actions(self) -> list[tuple[str, str]]:
        """Give the events so far as (action, name)."""
        return [(event.action, event.attributes.get("name", "")) for event in self.events.past()]


async def pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    """Give bytes as a stream."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
