"""Every difference from the records that is kept, each with its reason."""

from __future__ import annotations

from typing import NamedTuple


class Kept(NamedTuple):
    """Why a record's text or exit code may differ; ``sometimes`` where it depends on timing or the machine."""

    reason: str
    sometimes: bool = False


_WORLD = Kept("lists images or counts of records that are not part of this replay")
_MACHINE = Kept("shows figures or plugins of the machine it was recorded on", sometimes=True)

KEPT: dict[str, Kept] = {
    "cli-005": _WORLD,
    "build-010": _WORLD,
    "build-011": _WORLD,
    "build-059": _WORLD,
    "build-060": _WORLD,
    "run-012": _WORLD,
    "run-201": _WORLD,
    "run-202": _WORLD,
    "cli-006": _MACHINE,
    "cli-007": _MACHINE,
    "run-151": _MACHINE,
}
