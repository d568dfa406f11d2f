"""Platforms: does an image fit the machine, or what was asked for (containerd's ``platforms``, moby's sentences)."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydockmagic.engine.errors import InvalidParameter, NotFound

__all__ = ["Platform", "check", "of_image", "of_machine", "parse"]

_ARCHITECTURES = {
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "i386": ("386", ""), "i686": ("386", ""),
    "aarch64": ("arm64", ""), "armhf": ("arm", "v7"), "armel": ("arm", "v6"), "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
}  # fmt: skip
_KNOWN_SYSTEMS = frozenset(("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasip1"))
_KNOWN_ARCHITECTURES = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x",
     "wasm")
)  # fmt: skip


class Platform(NamedTuple):
    """An operating system, an architecture and its variant, in Go's names."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))

    def runs(self, image: Platform) -> bool:
        """Tell whether an image of that platform serves where this one is wanted."""
        wanted, there = _normal(self), _normal(image)
        if wanted[:2] != there[:2]:
            return False
        return not there.variant or not wanted.variant or there.variant <= wanted.variant


def _normal(one: Platform) -> Platform:
    architecture, variant = _ARCHITECTURES.get(one.architecture.lower(), (one.architecture.lower(), ""))
    variant = one.variant.lower() or variant
    if (architecture, variant) in (("arm64", "8"), ("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    return Platform(one.os.lower(), architecture, variant)


def of_machine() -> Platform:
    """Give the platform of this machine."""
    return _normal(Platform("linux", platform.machine()))


def of_image(document: Mapping[str, Any]) -> Platform:
    """Give the platform that an image's configuration names; what it leaves open is this machine's."""
    here = of_machine()
    return Platform(
        str(document.get("os") or here.os),
        str(document.get("architecture") or here.architecture),
        str(document.get("variant") or ""),
    )


def parse(text: str) -> Platform:
    """Read ``OS``, ``ARCHITECTURE``, ``OS/ARCHITECTURE`` or ``OS/ARCHITECTURE/VARIANT``; else ``InvalidParameter``."""
    parts = text.split("/")
    here = of_machine()
    if len(parts) == 1:
        if parts[0].lower() in _KNOWN_SYSTEMS:
            return Platform(parts[0].lower(), here.architecture)
        named = _normal(Platform(here.os, parts[0]))
        if named.architecture in _KNOWN_ARCHITECTURES:
            return named
        raise InvalidParameter(f'"{text}": unknown operating system or architecture: invalid argument')
    if len(parts) > 3 or not all(parts):
        raise InvalidParameter(f'"{text}": cannot parse platform specifier: invalid argument')
    return _normal(Platform(*parts))


def check(document: Mapping[str, Any], asked: str, reference: str) -> list[str]:
    """Check an image against the platform asked for (``NotFound``, so that clients pull another), or warn."""
    image = of_image(document)
    if asked:
        wanted = parse(asked)
        if not wanted.runs(image):
            raise NotFound(
                f"image with reference {reference} was found but does not match the specified platform: "
                f"wanted {wanted}, actual: {image}"
            )
        return []
    here = of_machine()
    if here.runs(image):
        return []
    mismatch = f"The requested image's platform ({image}) does not match the detected host platform ({here})"
    return [f"{mismatch} and no specific platform was requested"]
