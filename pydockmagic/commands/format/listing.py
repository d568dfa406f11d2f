"""What a list of objects can show: its fields, its default table, and rendering by format.

A format is empty or ``table`` (the default table), ``table TEMPLATE``, ``json``, ``raw``, or a template for each line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydockmagic.commands.errors import CommandError
from pydockmagic.commands.template import (
    FUNCTIONS,
    Function,
    Struct,
    Template,
    TemplateExecutionError,
    TemplateSyntaxError,
)

from .exact import Exact
from .table import align

__all__ = ["Field", "Listing", "Options", "Rendered", "Row"]

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """How to show: ids cut short or whole, sizes asked for, now (seconds since 1970) for ages."""

    trunc: bool = True
    size: bool = False
    digests: bool = False
    human: bool = True
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its heading in tables, and how it follows from an object; ``hidden`` ones are not in ``json``."""

    heading: str
    value: Callable[[Json, Options], Any]
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A kind of list.

    ``columns`` are the fields of the default table for some options; ``failed`` begins the sentence of a template that
    cannot be filled in. ``exact`` has values to calculate with, in the place of texts and beside them.
    """

    go_type: str
    fields: Mapping[str, Field]
    columns: Callable[[Options], Sequence[str]]
    quiet: str = "ID"
    raw: str = ""
    parse_failed: str = "template parsing error: "
    fill_failed: str = "template parsing error: "
    labels: Callable[[Json], Mapping[str, str]] | None = None
    exact: Exact = field(default_factory=dict)
    extra_rows: Callable[[Sequence[Json]], Sequence[Json]] = field(default=lambda items: items)

    def render(self, items: Sequence[Json], form: str, options: Options, *, quiet: bool = False) -> Rendered:
        """Show the objects; raises ``CommandError`` for a bad template."""
        items = self.extra_rows(items)
        rows = [Row(self, item, options) for item in items]
        columns = [(name, self.fields[name].heading) for name in self.columns(options)]
        data: list[dict[str, Any]] = [row.as_json() for row in rows]
        records = [
            {**row, **{name: value(item) for name, value in self.exact.items()}}
            for row, item in zip(data, items, strict=True)
        ]
        if form in {"", "table"}:
            if quiet:
                return Rendered("".join(f"{row.text(self.quiet)}\n" for row in rows), data, [], records)
            shown = [name for name, _ in columns if self.fields[name].hidden]  # a column all the same, as for contexts
            told = [{**each, **{name: row.value(name) for name in shown}} for each, row in zip(data, rows, strict=True)]
            return Rendered(self._default_table(rows, columns), told if shown else data, columns, records)
        if form == "raw" and self.raw:
            form = f"{self.quiet.lower()}: {{{{.{self.quiet}}}}}" if quiet else self.raw
        elif form == "json":
            form = "{{json .}}"
        return Rendered(self._templated(rows, form), data, [], records)

    def _default_table(self, rows: Sequence[Row], columns: Sequence[tuple[str, str]]) -> str:
        lines = ["\t".join(heading for _, heading in columns)]
        lines += ["\t".join(row.text(name) for name, _ in columns) for row in rows]
        return align("\n".join(lines)) + "\n"

    def _templated(self, rows: Sequence[Row], form: str) -> str:
        is_table = form.startswith("table ")
        source = form.removeprefix("table").strip(" ") if is_table else form
        source = source.replace("\\t", "\t").replace("\\n", "\n")
        try:
            template = Template(source)
        except TemplateSyntaxError as error:
            raise CommandError(f"{self.parse_failed}{error}", 1) from None
        try:
            text = "".join(template.fill(row) + "\n" for row in rows)
        except TemplateExecutionError as error:
            raise CommandError(f"{self.fill_failed}{error}", 1) from None
        if not is_table:
            return text
        heading = Template(source, functions=_HEADING_FUNCTIONS).fill(_Headings(self))
        return align(f"{heading}\n{text}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A list as text, its rows as JSON, the columns that the text shows (none for templates), and the exact rows."""

    text: str
    rows: list[dict[str, Any]]
    columns: list[tuple[str, str]]
    records: list[dict[str, Any]] = field(default_factory=list)


class Row:
    """An object as a template sees it."""

    __slots__ = ("_item", "_listing", "_options")

    def __init__(self, listing: Listing, item: Json, options: Options) -> None:
        self._listing = listing
        self._item = item
        self._options = options

    @property
    def go_type(self) -> str:
        """The type's name in error messages."""
        return self._listing.go_type

    def value(self, name: str) -> Any:
        """Return a field."""
        return self._listing.fields[name].value(self._item, self._options)

    def text(self, name: str) -> str:
        """Return a field as it stands in a table."""
        return str(self.value(name))

    def template_field(self, name: str, arguments: list[Any]) -> Any:
        """Return a field for a template; ``.Label "key"`` is one with an argument."""
        if name == "Label" and self._listing.labels is not None:
            if len(arguments) != 1:
                raise TypeError(f"wrong number of args for Label: want 1 got {len(arguments)}")
            return (self._listing.labels(self._item) or {}).get(str(arguments[0]), "")
        known = self._listing.fields[name]
        if arguments:
            raise TypeError(f"wrong number of args for {name}: want 0 got {len(arguments)}")
        return known.value(self._item, self._options)

    def as_json(self) -> Struct:
        """Return all fields, by name, as ``{{json .}}`` shows them."""
        names = sorted(name for name, each in self._listing.fields.items() if not each.hidden)
        return Struct({name: self.value(name) for name in names})


class _Headings:
    """The headings of a table, in place of a row."""

    __slots__ = ("_listing",)

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    @property
    def go_type(self) -> str:
        """The type's name in error messages."""
        return "formatter.SubHeaderContext"

    def template_field(self, name: str, arguments: list[Any]) -> str:
        """Return a field's heading; a label's is the end of its key."""
        if name == "Label":
            key = str(arguments[0]) if arguments else ""
            return key.rpartition(".")[2].replace("-", " ").replace("_", " ")
        return self._listing.fields[name].heading


def _same(value: Any, *_rest: Any) -> Any:
    return value


_HEADING_FUNCTIONS = {
    **FUNCTIONS,
    "json": Function(_same, ("any",)),
    "split": Function(_same, ("any", "any")),
    "join": Function(_same, ("any", "any")),
    "title": Function(_same, ("any",)),
    "lower": Function(_same, ("any",)),
    "upper": Function(_same, ("any",)),
    "truncate": Function(_same, ("any", "any")),
}
