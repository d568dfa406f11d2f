"""Reading two images for their comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydockmagic.client import NotFound
from pydockmagic.notebook.errors import DockerError
from pydockmagic.notebook.views import read_files, read_stack
from pydockmagic.notebook.widgets.comparison import Side, compare_sheet, shared_depth

if TYPE_CHECKING:
    from pydockmagic.client import Client
    from pydockmagic.notebook.widgets.sheet import Sheet

__all__ = ["compare_images"]

_FILES = 20_000
_KEYS = {
    "Cmd": "CMD",
    "Entrypoint": "ENTRYPOINT",
    "WorkingDir": "WORKDIR",
    "User": "USER",
    "Volumes": "VOLUME",
    "ExposedPorts": "EXPOSE",
    "StopSignal": "STOPSIGNAL",
    "Shell": "SHELL",
    "Healthcheck": "HEALTHCHECK",
}


def compare_images(client: Client, one: str, other: str, engine: str = "", *, read: bool = False) -> Sheet:
    """Read two images and compare them. Raises ``DockerError`` for an unknown one."""
    sides = [_side(client, name, read=read) for name in (one, other)]
    depth = shared_depth(sides[0].layers, sides[1].layers)
    whole = [_with_files(client, side, depth) for side in sides]
    return compare_sheet(whole[0], whole[1], engine)


def _side(client: Client, name: str, *, read: bool) -> Side:
    try:
        stack = read_stack(client, name, read=read)
        facts = client.image_inspect(name)
    except NotFound:
        raise DockerError(f"Error: No such image: {name}", hint="%image ls lists what there is") from None
    return Side(name, [layer for layer in stack.layers if not layer.empty], _config(facts.get("Config") or {}))


def _with_files(client: Client, side: Side, depth: int) -> Side:
    files = {layer.chain_id: read_files(client, layer, "", _FILES) for layer in side.layers[depth:] if layer.files}
    return Side(side.name, side.layers, side.config, files)


def _config(config: Mapping[str, Any]) -> dict[str, str]:
    """Write a configuration in the words of the Dockerfile, a variable and a label a line."""
    told: dict[str, str] = {}
    for variable in config.get("Env") or ():
        name, _, value = str(variable).partition("=")
        told[f"ENV {name}"] = value
    for key, word in _KEYS.items():
        if setting := config.get(key):
            told[word] = ", ".join(sorted(setting)) if key in ("Volumes", "ExposedPorts") else _written(setting)
    for name, text in sorted((config.get("Labels") or {}).items()):
        told[f"LABEL {name}"] = str(text)
    return told


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
