"""A registry client on a scratch data root, with a fake registry to talk to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydockmagic.engine.distribution.options import RegistryOptions
from pydockmagic.engine.distribution.service import DistributionService
from pydockmagic.oci.reference import parse_docker, parse_normalized
from support.images import ImageWorld
from support.registry import PASSWORD, USER, FakeRegistry

__all__ = ["LOGIN", "RegistryWorld", "lines"]

LOGIN = {"username": USER, "password": PASSWORD}


class RegistryWorld(ImageWorld):
    """An image world whose names are looked for in a registry first."""

    def __init__(self, root: Path, registry: FakeRegistry) -> None:
        self.registry = registry
        self.options = RegistryOptions(hub="", index="")
        super().__init__(root)

    def _open(self) -> None:
        super()._open()
        self.distribution = DistributionService(self.state, self.images.exchange, self.options, second=0.0)
        self.images.registries = self.distribution

    def choose(self, **options: Any) -> None:
        """Take other options from now on."""
        self.options = RegistryOptions(**options)
        self.restart()

    def name(self, text: str) -> str:
        """Give a name at the fake registry."""
        return f"{self.registry.host}/{text}"

    def pull(self, text: str, platform: str = "", auth: Any = None, *, all_tags: bool = False) -> list[dict[str, Any]]:
        """Pull from the fake registry; gives the messages."""
        reference = (parse_normalized if all_tags else parse_docker)(self.name(text))
        return self.start(lambda: self.distribution.pull(reference, platform=platform, auth=auth))

    def push(self, text: str, tag: str = "latest", auth: Any = None) -> list[dict[str, Any]]:
        """Push to the fake registry; gives the messages."""
        return self.start(lambda: self.distribution.push(self.name(text), tag, auth=auth))

    def debris(self) -> list[str]:
        """List what lies in the data root and belongs to no record."""
        found = [path.name for path in (self.root / "incoming").iterdir()]
        known = self.images._store
        layers = {chain.removeprefix("sha256:") for chain in known.layers}
        found += [path.name for path in (self.root / "layers").iterdir() if path.name not in layers]
        blobs = {digest.removeprefix("sha256:") for digest in known._named_blobs()}
        home = self.root / "image" / "blobs" / "sha256"
        found += [path.name for path in home.iterdir() if path.name not in blobs]
        unused = set(known.layers) - {chain for image in known.images.values() for chain in image.chain_ids}
        return found + sorted(unused) + list(known._leases)


def lines(messages: list[dict[str, Any]]) -> list[str]:
    """Give messages as the docker command shows them where there is no terminal."""
    shown = []
    for message in messages:
        if "status" not in message or "progress" in message:
            continue
        identity = message.get("id", "")
        shown.append(f"{identity}: {message['status']}" if identity else message["status"])
    return shown
