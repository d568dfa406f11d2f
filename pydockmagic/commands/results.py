"""What a command gives back: docker's own text, the data behind it, and html from the same data.

Every result has ``exit_code``, ``stdout`` and ``stderr``; ``str()`` is what docker prints on standard output. Nothing
here knows IPython: ``_repr_html_`` is only a method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # optional, and without types

__all__ = ["BuildResult", "BuildStep", "InspectResult", "Result", "RunResult", "TableResult"]


@dataclass(slots=True)
class Result:
    """What a command printed and how it ended.

    Iterating, indexing and ``len()`` go over ``lines``; a result is true whatever it printed. ``output`` has what a
    program wrote on both streams, in order, where it used both. ``streamed`` says that the text went to the output
    while the command ran, and need not be shown again.
    """

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    streamed: bool = field(default=False, compare=False)
    output: list[tuple[Literal["stdout", "stderr"], str]] = field(default_factory=list, repr=False, compare=False)

    @property
    def lines(self) -> list[str]:
        """The lines of standard output, without their ends."""
        return [line.removesuffix("\r") for line in self.stdout.removesuffix("\n").split("\n")] if self.stdout else []

    def json(self) -> Any:
        """Return standard output as data: of ``--format json`` and the like; of one JSON text a line, a list.

        Raises ``ValueError`` where it is no JSON.
        """
        import json  # noqa: PLC0415 - only who asks for it

        try:
            return json.loads(self.stdout)
        except ValueError:
            if len(self.lines) < 2:
                raise
            return [json.loads(line) for line in self.lines]

    def __str__(self) -> str:
        return self.stdout

    def __repr__(self) -> str:
        return self.stdout.removesuffix("\n")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, key: Any) -> Any:
        return self.lines[key]

    def _repr_html_(self) -> str | None:
        from .html import preformatted  # noqa: PLC0415 - only who shows html needs it

        return preformatted(self.stdout) if self.stdout and not self.streamed else None


@dataclass(slots=True, repr=False)
class TableResult(Result):
    """A list: ``rows`` hold one mapping per object with the keys of ``--format json``, ``columns`` what is shown.

    Iterating and indexing give the rows, a key in brackets gives a column. Rows hold docker's own texts; ``records``
    are the same rows with values to calculate with: sizes as bytes, times as ``datetime``, labels as mappings.
    ``columns`` pairs a row's key with the heading that docker prints.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: list[tuple[str, str]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        self.records = self.records or [dict(row) for row in self.rows]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return [row[key] for row in self.rows] if isinstance(key, str) else self.rows[key]

    def to_pandas(self) -> pd.DataFrame:
        """Return the records as a pandas data frame, what docker shows first; pandas must be installed."""
        pandas = _pandas()
        shown = [key for key, _ in self.columns if not self.records or key in self.records[0]]
        keys = list(dict.fromkeys([*shown, *(key for record in self.records for key in record)]))
        return pandas.DataFrame(self.records, columns=keys or None)

    def _repr_html_(self) -> str | None:
        from .html import table  # noqa: PLC0415

        if not self.columns or self.streamed:
            return Result._repr_html_(self)
        return table([heading for _, heading in self.columns], [[row[key] for key, _ in self.columns] for row in self])


def _pandas() -> Any:
    try:
        import pandas as pd  # noqa: PLC0415 - optional, and heavy
    except ImportError:
        raise ImportError("a data frame needs pandas, which is not installed: %pip install pandas") from None
    return pd


@dataclass(slots=True, repr=False)
class RunResult(Result):
    """A container's run: its ``id`` (full), ``name`` and the exit code of its program (0 while it runs detached)."""

    id: str = ""
    name: str = ""
    detached: bool = False


@dataclass(frozen=True, slots=True)
class BuildStep:
    """One step of a build; lines are those of the Dockerfile (0 where the daemon does not tell)."""

    index: int
    total: int
    instruction: str
    state: str
    first_line: int = 0
    last_line: int = 0
    image: str = ""
    output: str = ""
    reason: str = ""
    seconds: float | None = None
    size: int | None = None
    exit_code: int | None = None

    @property
    def cached(self) -> bool:
        """Whether the step's result was there already."""
        return self.state == "cached"


@dataclass(slots=True, repr=False)
class BuildResult(Result):
    """A build: the image's ``id``, its ``tags``, its ``steps``."""

    id: str = ""
    tags: list[str] = field(default_factory=list)
    steps: list[BuildStep] = field(default_factory=list)

    def _repr_html_(self) -> str | None:
        from .html import build  # noqa: PLC0415

        return build(self) if self.steps else None


@dataclass(slots=True, repr=False)
class InspectResult(Result):
    """Objects in full: ``data`` is the list of JSON objects that docker prints; a key in brackets is of the first."""

    data: list[Any] = field(default_factory=list)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self.data[key]
        if not self.data:
            raise KeyError(key)
        first: Mapping[str, Any] = self.data[0]
        return first[key]

    def __bool__(self) -> bool:
        return bool(self.data)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def _repr_html_(self) -> str | None:
        from .html import tree  # noqa: PLC0415

        data: Sequence[Any] = self.data
        if not data or self.streamed:
            return Result._repr_html_(self)
        return tree(data[0] if len(data) == 1 else data)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each object and a column for each value, named by its path; pandas must be installed."""
        return _pandas().json_normalize(self.data)
