"""What a command gives back: docker's own text, the data behind it, and html from the same data.

Every result has ``exit_code``, ``stdout`` and ``stderr``; ``str()`` is what docker prints on standard output. Nothing
here knows IPython: ``_repr_html_`` is only a method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # optional, and without types

__all__ = ["BuildResult", "BuildStep", "InspectResult", "Result", "RunResult", "TableResult"]


@dataclass(slots=True)
class Result:
    """What a command printed and how it ended.

    ``streamed`` says that the text went to the output while the command ran, and need not be shown again.
    """

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    streamed: bool = False

    def __str__(self) -> str:
        return self.stdout

    def __repr__(self) -> str:
        return self.stdout.removesuffix("\n")

    def _repr_html_(self) -> str | None:
        from .html import preformatted  # noqa: PLC0415 - only who shows html needs it

        return preformatted(self.stdout) if self.stdout and not self.streamed else None


@dataclass(slots=True, repr=False)
class TableResult(Result):
    """A list: ``rows`` hold one mapping per object with the keys of ``--format json``, ``columns`` what is shown.

    Iterating gives the rows. ``columns`` pairs a row's key with the heading that docker prints.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas data frame (pandas must be installed)."""
        import pandas as pd  # noqa: PLC0415 - optional, and heavy

        return pd.DataFrame(self.rows)

    def _repr_html_(self) -> str | None:
        from .html import table  # noqa: PLC0415

        if not self.columns or self.streamed:
            return Result._repr_html_(self)
        return table([heading for _, heading in self.columns], [[row[key] for key, _ in self.columns] for row in self])


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
    """Objects in full: ``data`` is the list of JSON objects that docker prints; indexing reaches into the first one."""

    data: list[Any] = field(default_factory=list)

    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, int):
            return self.data[key]
        first: Mapping[str, Any] = self.data[0]
        return first[key]

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
