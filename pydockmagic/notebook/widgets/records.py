"""What the engine's ``/pydock/`` extension answers about layers, files, states and the life cycle, as typed records.

They mirror the JSON of ``ARCHITECTURE.md``, "Extensions of the API"; a field that an older engine leaves out has a
default, so that a widget is never lost to one missing number.
"""

from __future__ import annotations

import msgspec

__all__ = ["FileColumns", "FileTable", "Layer", "LayerStack", "Record", "StateHistory", "StepTaken", "Transition"]


class Record(msgspec.Struct, frozen=True, rename="pascal", kw_only=True):
    """JSON object with Docker's spelling of keys (``ChainId``) and Python's of attributes (``chain_id``)."""


class Layer(Record, frozen=True):
    """One row of the stack: a layer, a step that only changed the configuration, or a container's writable layer."""

    chain_id: str = ""
    diff_id: str = ""
    size: int = 0
    files: int = 0
    created_by: str = ""
    instruction: str = ""
    first_line: int | None = 0
    last_line: int | None = 0
    cached: bool | None = False
    reason: str | None = ""
    seconds: float | None = None
    shared_by: list[str] = msgspec.field(default_factory=list)
    wasted: int = 0
    empty: bool = False
    writable: bool = False


class LayerStack(Record, frozen=True):
    """The layers of an image or a container, bottom first."""

    id: str = ""
    names: list[str] | None = None
    name: str = ""
    size: int = 0
    layers: list[Layer] = msgspec.field(default_factory=list)
    files_read: bool = True


class FileColumns(Record, frozen=True):
    """Files of one layer, column by column: smaller and faster to read than an object for each of 100,000 files."""

    path: list[str] = msgspec.field(default_factory=list)
    kind: list[str] = msgspec.field(default_factory=list)
    size: list[int] = msgspec.field(default_factory=list)
    mode: list[int | str] = msgspec.field(default_factory=list)
    change: list[str] = msgspec.field(default_factory=list)
    target: list[str | None] = msgspec.field(default_factory=list)


class FileTable(Record, frozen=True):
    """A layer's index, or a page of it: ``total`` counts all of its files, the columns hold the page."""

    total: int = 0
    columns: FileColumns = msgspec.field(default_factory=FileColumns)

    def counts(self) -> dict[str, int]:
        """Count the files of this page by change: ``{"A": 12, "C": 1, "D": 0}``."""
        return {change: self.columns.change.count(change) for change in "ACD"}


class Transition(Record, frozen=True):
    """One row of the engine's life-cycle table: in ``state``, ``action`` leads to ``to`` and publishes ``event``."""

    state: str | None = ""
    action: str = ""
    to: str | None = ""
    event: str | None = ""


class StepTaken(Record, frozen=True):
    """One transition that a container made, with what ended it if it ended. ``time_nano`` is Unix nanoseconds."""

    action: str = ""
    from_: str | None = msgspec.field(default="", name="From")
    to: str | None = ""
    time_nano: int = 0
    exit_code: int | None = None
    signal: str | int | None = None
    oom_killed: bool | None = msgspec.field(default=False, name="OOMKilled")


class StateHistory(Record, frozen=True):
    """A container's state now and the way that led there, oldest step first."""

    id: str = ""
    name: str = ""
    state: str = ""
    history: list[StepTaken] = msgspec.field(default_factory=list)
