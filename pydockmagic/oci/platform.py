"""Platforms: ``OS[/ARCHITECTURE[/VARIANT]]``, in the names that images and ``--platform`` use."""

from __future__ import annotations

import os
import re

import msgspec

from pydockmagic.oci.errors import InvalidDocument

__all__ = ["Platform", "host_platform", "normalize_architecture", "parse_platform"]

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_OPERATING_SYSTEMS = {"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "wasip1", "js"}
_ARCHITECTURES: dict[str, tuple[str, str]] = {
    "i386": ("386", ""),
    "i686": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v7"),
    "loongarch64": ("loong64", ""),
    "mips64": ("mips64le", ""),
}


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image is made for."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def runs(self, image: Platform) -> bool:
        """Tell whether a machine of this platform runs an image of another: an older variant of arm will do."""
        if (self.os, self.architecture) != (image.os, image.architecture):
            return False
        if self.architecture not in {"arm", "arm64"} or not image.variant or not self.variant:
            return self.architecture != "amd64" or (image.variant or "v1") <= (self.variant or "v1")
        return image.variant <= self.variant


def normalize_architecture(architecture: str, variant: str = "") -> tuple[str, str]:
    """Give an architecture's name and variant as images write them (``aarch64`` is ``arm64``)."""
    architecture, variant = architecture.lower(), variant.lower()
    name, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
    variant = variant or implied
    if name == "arm":
        variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
    if (name, variant) in {("arm64", "8"), ("arm64", "v8"), ("amd64", "v1")}:
        variant = ""
    return name, variant


def host_platform() -> Platform:
    """Give this machine's platform."""
    architecture, variant = normalize_architecture(os.uname().machine)
    return Platform(architecture, "linux", variant=variant)


def parse_platform(text: str) -> Platform:
    """Read ``--platform``'s form; a missing part is this machine's. Raises `InvalidDocument` in containerd's words."""
    parts = text.split("/")
    for part in parts:
        if not _PART.fullmatch(part):
            raise InvalidDocument(
                f'"{part}" is an invalid component of "{text}": platform specifier component must match '
                '"^[A-Za-z0-9_.-]+$": invalid argument'
            )
    if len(parts) > 3:
        raise InvalidDocument(f'"{text}": cannot parse platform specifier: invalid argument')
    host = host_platform()
    if len(parts) == 1:
        system = parts[0].lower()
        if system in _OPERATING_SYSTEMS:
            return Platform(host.architecture, system, variant=host.variant)
        name, variant = normalize_architecture(system)
        if name in {"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"}:
            return Platform(name, "linux", variant=variant)
        raise InvalidDocument(f'"{text}": unknown operating system or architecture: invalid argument')
    name, variant = normalize_architecture(parts[1], parts[2] if len(parts) == 3 else "")
    return Platform(name, parts[0].lower(), variant=variant)
