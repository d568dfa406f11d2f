"""The config of an image: how to run it, its layers' diff ids, its history.

OCI image-spec v1.1, config.md, with the fields that Docker adds (``Healthcheck``, ``OnBuild``, ``Shell``, ...). The
digest of the encoded config is the image id.
"""

from __future__ import annotations

import re

import msgspec

from pydockmagic.oci.digest import chain_ids, sha256_digest
from pydockmagic.oci.documents import check_digest, check_time, decode_json, encode_json
from pydockmagic.oci.errors import InvalidDocument
from pydockmagic.oci.platform import Platform

__all__ = ["Healthcheck", "History", "ImageConfig", "Nothing", "RootFS", "RunConfig", "decode_config"]

_ENVIRONMENT = re.compile(r"[^=]+=.*", re.DOTALL)


class Nothing(msgspec.Struct, frozen=True):
    """The empty object that stands for membership in Docker's sets (``{"80/tcp": {}}``)."""


class Healthcheck(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """How to tell whether a container is well. Times are nanoseconds; 0 is inherited."""

    test: tuple[str, ...] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """What a container of the image starts with. None is "not said"; an empty tuple is said to be empty."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Nothing] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Nothing] | None = None
    working_dir: str = ""
    entrypoint: tuple[str, ...] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: tuple[str, ...] | None = None
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0


class RootFS(msgspec.Struct, frozen=True):
    """The layers' diff ids, bottom first."""

    type: str = "layers"
    diff_ids: tuple[str, ...] | None = ()
    """None is read as none: Docker writes ``null`` for an image without layers."""


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of an image's making. ``empty_layer`` marks steps that changed no files."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image, as its config blob says it. Fields are encoded in alphabetical order, as Docker does."""

    architecture: str = ""
    author: str = ""
    comment: str = ""
    config: RunConfig | None = None
    container: str = ""
    container_config: RunConfig | None = None
    created: str | None = None
    docker_version: str = ""
    history: tuple[History, ...] | None = None
    os: str = ""
    os_features: tuple[str, ...] | None = msgspec.field(default=None, name="os.features")
    os_version: str = msgspec.field(default="", name="os.version")
    parent: str = ""
    rootfs: RootFS | None = None
    variant: str = ""

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers' diff ids, bottom first."""
        return (self.rootfs.diff_ids or ()) if self.rootfs else ()

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """The layers' chain ids, bottom first."""
        return chain_ids(self.diff_ids)

    @property
    def platform(self) -> Platform:
        """What it was made for."""
        return Platform(self.architecture, self.os, self.os_version, self.os_features or (), self.variant)

    def encode(self) -> bytes:
        """Write the config blob; equal configs give equal bytes."""
        return encode_json(self)

    def image_id(self) -> str:
        """Give the image id: the digest of the encoded config (``sha256:HEX``).

        An image that came from outside is named by the digest of the blob as it came, not of this encoding.
        """
        return sha256_digest(self.encode())

    def check(self, *, strict: bool = False) -> None:
        """Raise `InvalidDocument` where no image can be made of it; ``strict`` holds it to the OCI schema."""
        if self.rootfs is None:
            raise InvalidDocument("invalid image JSON, no RootFS key")
        if self.rootfs.type != "layers":
            raise InvalidDocument(f"invalid image config: rootfs type {self.rootfs.type!r}, not 'layers'")
        for digest in self.diff_ids:
            check_digest(digest, "image config")
        if strict:
            self._check_schema()

    def _check_schema(self) -> None:
        if not self.architecture or not self.os:
            raise InvalidDocument("invalid image config: architecture and os are required")
        for time in (self.created, *(step.created for step in self.history or ())):
            if time is not None:
                check_time(time, "image config")
        for assignment in (self.config.env or ()) if self.config else ():
            if not _ENVIRONMENT.fullmatch(assignment):
                raise InvalidDocument(f"invalid image config: Env {assignment!r} is no NAME=VALUE")


def decode_config(data: bytes, *, strict: bool = False) -> ImageConfig:
    """Read an image config; raises `InvalidDocument`."""
    config = decode_json(data, ImageConfig, "image config")
    config.check(strict=strict)
    return config
