"""The recorded commands: where they lie and what one record holds."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

CLI28 = "dockerd20-cli28.jsonl"


class Record(msgspec.Struct, frozen=True):
    """One command that was run against dockerd 20.10.24 with the docker command 28.2.2, and what came of it."""

    n: int
    id: str
    group: str
    host: str
    cmd: str
    exit: int
    stdout: str
    stderr: str
    stable: bool
    sim: str = ""
    setup: bool = False
    tty: list[tuple[str, str]] | None = None
    stdin: str | None = None
    mask_extra: list[str] = []
    env_limited: Any = None
    unstable_kind: str = ""


def conformance_folder() -> Path | None:
    """Find the recorded behaviour: ``PYDOCK_CONFORMANCE``, else ``../shared/conformance`` beside the repository."""
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("PYDOCK_CONFORMANCE") or root.parent / "shared" / "conformance")
    return folder if folder.is_dir() else None


def load(groups: Sequence[str], hosts: Sequence[str] = ("controller",)) -> list[Record]:
    """Read the records of some groups that ran on some of the recorded hosts, in the order in which they ran."""
    folder = conformance_folder()
    assert folder is not None
    return [r for r in _all(folder / CLI28) if r.group in groups and r.host in hosts]


def group_at(number: int) -> str:
    """Give the group of the first record that has this number or a later one."""
    folder = conformance_folder()
    assert folder is not None
    return next(record.group for record in _all(folder / CLI28) if record.n >= number)


@functools.cache
def _all(path: Path) -> list[Record]:
    return [msgspec.convert(json.loads(line), Record) for line in path.read_text().splitlines()]
