"""What a starter image is: a recipe that needs only this machine."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

__all__ = ["ARCHITECTURE", "SEARCH_PATH", "Missing", "Recipe", "Starter", "image_config"]

SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i686": "386",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
ARCHITECTURE = _ARCHITECTURES.get(platform.machine(), platform.machine())
"""This machine's architecture in Go's words, as image configs name it."""


class Missing(Exception):
    """This machine lacks what the starter is made of; the text says what, and how it can be had."""


@dataclass(frozen=True)
class Starter:
    """What a recipe made: what it was made from (in words), what it runs, when its newest part was made."""

    source: str
    created: int
    """Unix seconds; goes into the image config, so it must not be the time of making."""
    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = ""
    entrypoint: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


class Recipe(Protocol):
    """How one starter image is made."""

    name: str
    base: str
    """Name of the starter whose layers lie below, or empty."""

    def tags(self) -> tuple[str, ...]:
        """Name the tags it answers to on this machine; the first is ``latest``."""
        ...

    def fill(self, root: Path) -> Starter:
        """Fill an empty directory with the layer. Blocking. Raises ``Missing``."""
        ...


def image_config(recipe: Recipe, starter: Starter, below: dict[str, Any] | None) -> dict[str, Any]:
    """Write the OCI image config (image-spec v1.1, config.md), over that of the starter below."""
    created = datetime.fromtimestamp(starter.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    inherited = dict((below or {}).get("config", {}))
    env = {entry.partition("=")[0]: entry for entry in [*inherited.get("Env", []), *starter.env]}
    labels = {
        "io.pydockmagic.starter": starter.source,
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.source": "this machine: " + starter.source,
        **starter.labels,
    }
    config: dict[str, Any] = {"Env": list(env.values()) or [SEARCH_PATH], "Labels": labels}
    if starter.command:
        config["Cmd"] = list(starter.command)
    if starter.entrypoint:
        config["Entrypoint"] = list(starter.entrypoint)
    if starter.working_dir:
        config["WorkingDir"] = starter.working_dir
    history = [
        *(below or {}).get("history", []),
        {
            "created": created,
            "created_by": f"starter image {recipe.name}, made from this machine",
            "comment": starter.source,
        },
    ]
    if starter.command:
        words = ", ".join(f'"{word}"' for word in starter.command)
        history.append({"created": created, "created_by": f"CMD [{words}]", "empty_layer": True})
    return {"architecture": ARCHITECTURE, "os": "linux", "created": created, "config": config, "history": history}
