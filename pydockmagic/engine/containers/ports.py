"""What the container service needs of others, as narrow interfaces; ``daemon.py`` hands them in."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pydockmagic.engine.images.records import ImageRecord, LayerRecord
from pydockmagic.engine.runtime.spec import PortForward
from pydockmagic.engine.volumes.records import MountPoint, VolumeRecord

__all__ = ["Images", "JoinRequest", "NetworkChange", "NetworkRequest", "NetworkSandbox", "Networks", "Volumes"]


class Images(Protocol):
    """The image service, as far as containers need it."""

    def find(self, name: str) -> ImageRecord | None:
        """Find a local image."""
        ...

    def get(self, name: str) -> ImageRecord:
        """Find a local image, or raise ``NoSuchImage``."""
        ...

    def config(self, image_id: str) -> Mapping[str, Any]:
        """Give the image's config document."""
        ...

    async def collect(self) -> None:
        """Let go of layers that were only kept for containers which are gone."""
        ...

    def names(self, image_id: str) -> Sequence[str]:
        """Give the references of an image, familiar form."""
        ...

    def layer(self, chain_id: str) -> LayerRecord:
        """Give a layer's record."""
        ...

    def layer_dirs(self, chain_ids: Sequence[str]) -> list[Path]:
        """Give the directories of an image's layers (chain ids bottom first), topmost first."""
        ...

    async def add_layer(self, directory: Path, parent: str | None, *, clamp_ns: int | None = None) -> LayerRecord:
        """Take a directory in overlayfs form over as a layer."""
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
        origin: str,
        references: Sequence[str] = (),
    ) -> ImageRecord:
        """Keep a new image."""
        ...


class NetworkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the container wants of the networks: which, which ports, which names. Settings in the API's JSON form."""

    container_id: str
    name: str
    hostname: str
    domainname: str = ""
    mode: str = "bridge"
    """Docker's NetworkMode: ``bridge``, ``none``, ``host``, ``container:ID`` or a network's name or id."""
    endpoints: Mapping[str, Mapping[str, Any] | None] = msgspec.field(default_factory=dict)
    mac_address: str = ""
    exposed: tuple[str, ...] = ()
    port_bindings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    publish_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """The ids of linked containers, and the names under which each is to be known."""
    container_pid: int = 0
    """The process whose namespace is joined (``container:ID``)."""


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A container that is to join one more network; ``pid`` is 0 when it is not running."""

    container_id: str
    name: str
    hostname: str = ""
    domainname: str = ""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    mode: str
    pid: int = 0
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)


class NetworkSandbox(Protocol):
    """What the container got. Descriptor and sockets are the receiver's to close."""

    @property
    def net(self) -> str:
        """Give the value for ``spec.Namespaces.net``."""
        ...

    @property
    def net_fd(self) -> int | None:
        """Give the network namespace, with ``given``."""
        ...

    @property
    def listeners(self) -> Sequence[socket.socket]:
        """Give the sockets of the published ports."""
        ...

    @property
    def forwards(self) -> Sequence[PortForward]:
        """Say where each leads."""
        ...

    @property
    def networks(self) -> Mapping[str, Mapping[str, Any]]:
        """Give ``NetworkSettings.Networks``."""
        ...

    @property
    def ports(self) -> Mapping[str, list[dict[str, str]] | None]:
        """Give ``NetworkSettings.Ports``."""
        ...

    @property
    def hosts(self) -> str:
        """Give the text of /etc/hosts; empty with ``container:``, where the other's files are shared."""
        ...

    @property
    def resolv_conf(self) -> str:
        """Give the text of /etc/resolv.conf."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Say what could not be had."""
        ...


class NetworkChange(Protocol):
    """What changes for a running container that joined or left a network. The sockets are the receiver's to close."""

    @property
    def endpoint(self) -> Mapping[str, Any]:
        """Give the new EndpointSettings; empty when the container does not run."""
        ...

    @property
    def hosts(self) -> Sequence[tuple[str, str]]:
        """Give the lines that /etc/hosts gains."""
        ...

    @property
    def lost(self) -> Sequence[str]:
        """Give the addresses whose lines /etc/hosts loses."""
        ...

    @property
    def resolv_conf(self) -> str:
        """Give the new text of /etc/resolv.conf; empty where it stays."""
        ...

    @property
    def listeners(self) -> Sequence[socket.socket]:
        """Give the sockets of a name server that the container has from now on."""
        ...

    @property
    def forwards(self) -> Sequence[PortForward]:
        """Say what they serve."""
        ...

    @property
    def moved(self) -> Mapping[str, str]:
        """Say where published ports lead from now on whose address is gone."""
        ...


class Networks(Protocol):
    """The network service, as far as containers need it."""

    def advise(self, mode: str) -> Sequence[str]:
        """Say what a container with this network mode will have to do without."""
        ...

    async def attach(self, request: NetworkRequest) -> NetworkSandbox:
        """Make the endpoints of a container that is about to start."""
        ...

    async def release(self, container_id: str) -> None:
        """Take them away again; unknown ids are no error."""
        ...

    async def connect(self, reference: str, request: JoinRequest) -> NetworkChange:
        """Join one more network; of a container that does not run only the request is checked."""
        ...

    async def disconnect(self, reference: str, container_id: str, *, mode: str = "", pid: int = 0) -> NetworkChange:
        """Leave a network."""
        ...

    async def rename(self, container_id: str, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Let a container's networks know its new name; give its EndpointSettings."""
        ...

    async def force_off(self, reference: str, name: str) -> None:
        """Take off an endpoint that a container of this name left behind."""
        ...

    def inspect(self, reference: str) -> Mapping[str, Any]:
        """Give a network's JSON object, or raise ``NoSuchNetwork``."""
        ...


class Volumes(Protocol):
    """The volume service, as far as containers need it."""

    def path(self, name: str) -> Path:
        """Give the directory of a volume."""
        ...

    def source(self, container_id: str, mount: MountPoint) -> Path:
        """Give what a container's mount shows. Blocks."""
        ...

    async def create(
        self,
        name: str = "",
        *,
        driver: str = "local",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> VolumeRecord:
        """Make a volume, or give the one that has this name."""
        ...

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that nobody uses."""
        ...

    def fill(self, mount: MountPoint, source: Path) -> None:
        """Copy the image's directory of that place into a volume that is still empty. Blocks."""
        ...

    async def hold(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        """Make a container's volumes ready for its start."""
        ...

    async def let_go(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        """Note that a container ended."""
        ...

    async def take_up(self, container_id: str, mounts: Sequence[MountPoint]) -> None:
        """Know again what an earlier engine made ready for a container that still runs."""
        ...

    async def drop_unused(self) -> None:
        """Take away what an earlier engine made ready for nobody who is left: once all who run are taken up."""
        ...

    def opened(self, names: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """Make volumes ready for the engine itself, for as long as the block lasts."""
        ...
