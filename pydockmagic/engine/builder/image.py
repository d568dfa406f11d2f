"""The image that a stage has come to: its config so far, its layers, its history."""

from __future__ import annotations

import copy
import platform
from collections.abc import Sequence
from typing import Any

from pydockmagic.engine.images.records import ImageRecord

from .args import BuildArgs, env_map
from .clock import EPOCH, to_ns

__all__ = ["DEFAULT_PATH", "StageImage"]

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386"}
_KEPT = ("architecture", "variant", "os", "os.version", "os.features")


class StageImage:
    """Changes with every instruction of its stage. ``config`` is the config document's ``config`` object."""

    def __init__(self, args: BuildArgs, record: ImageRecord | None, document: dict[str, Any] | None) -> None:
        self.args = args
        self.cmd_set = False
        document = copy.deepcopy(document) if document else {}
        self.image_id = record.id if record else ""
        self.chain_ids: tuple[str, ...] = record.chain_ids if record else ()
        self.diff_ids: list[str] = list((document.get("rootfs") or {}).get("diff_ids") or [])
        self.config: dict[str, Any] = _tidy(document.get("config") or {})
        self.history: list[dict[str, Any]] = list(document.get("history") or [])
        self.author: str = document.get("author") or ""
        self.platform = {key: document[key] for key in _KEPT if document.get(key)}
        self.platform.setdefault("architecture", _MACHINES.get(platform.machine(), platform.machine()))
        self.platform.setdefault("os", "linux")
        self.created: str = document.get("created") or EPOCH
        self.scratch = record is None
        if "PATH" not in env_map(self.env):
            self.config["Env"] = [*self.env, DEFAULT_PATH]

    @property
    def env(self) -> list[str]:
        """``KEY=value`` strings, in order."""
        return list(self.config.get("Env") or [])

    @property
    def shell(self) -> list[str]:
        """What a shell form is run by."""
        return list(self.config.get("Shell") or ["/bin/sh", "-c"])

    @property
    def working_dir(self) -> str:
        """Where commands run."""
        return self.config.get("WorkingDir") or "/"

    @property
    def clamp_ns(self) -> int:
        """The latest time that something in a new layer may bear."""
        return to_ns(self.created)

    @property
    def top(self) -> str | None:
        """The chain id of the topmost layer."""
        return self.chain_ids[-1] if self.chain_ids else None

    def variables(self) -> dict[str, str]:
        """Give what ``$name`` means now: ENV, and the build arguments it does not hide."""
        env = env_map(self.env)
        return {**env, **self.args.allowed(env)}

    def set(self, name: str, value: Any) -> None:
        """Set or, with an empty value, remove a field of the config."""
        if value:
            self.config[name] = value
        else:
            self.config.pop(name, None)

    def set_env(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Set environment variables; one that is there keeps its place."""
        env = self.env
        for key, value in pairs:
            places = [i for i, entry in enumerate(env) if entry.partition("=")[0] == key]
            if places:
                env[places[0]] = f"{key}={value}"
            else:
                env.append(f"{key}={value}")
        self.set("Env", env)

    def document(self, created_by: str, layer: tuple[str, str] | None, comment: str = "") -> dict[str, Any]:
        """Give the config document after one more step; ``layer`` is (chain id, diff id)."""
        entry: dict[str, Any] = {"created": self.created, "created_by": created_by}
        if self.author:
            entry["author"] = self.author
        if comment:
            entry["comment"] = comment
        if layer is None:
            entry["empty_layer"] = True
        document: dict[str, Any] = {
            **self.platform,
            "config": copy.deepcopy(self.config),
            "created": self.created,
            "history": [*self.history, entry],
            "rootfs": {"type": "layers", "diff_ids": [*self.diff_ids, *([layer[1]] if layer else [])]},
        }
        if self.author:
            document["author"] = self.author
        return document

    def advance(self, image_id: str, document: dict[str, Any], layer: tuple[str, str] | None) -> None:
        """Go on from the image of a step."""
        self.image_id = image_id
        self.history = list(document["history"])
        if layer:
            self.chain_ids = (*self.chain_ids, layer[0])
            self.diff_ids = [*self.diff_ids, layer[1]]


def _tidy(config: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not set, and what only describes the container that an image was committed from."""
    gone = {"Hostname", "Domainname", "Image", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin",
            "StdinOnce"}  # fmt: skip
    return {key: value for key, value in config.items() if key not in gone and value not in (None, "", [], {}, False)}
