"""How a result looks as a cell's value: docker's own text for text/plain, a table or a tree for text/html."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from . import markup
from .looking import Shown
from .marks import marked
from .screen import show_forms

if TYPE_CHECKING:
    from pydockmagic.commands import InspectResult, Result, TableResult

    from .magics import DockMagic

__all__ = ["represent", "show", "show_lines"]

_WHOLE = 32
"""Letters of a cell whose words are not broken."""


def show(magics: DockMagic, result: Any) -> None:
    """Show a result, unless the running cell has shown it already while the command ran."""
    if isinstance(result, Shown):
        show_forms(result._repr_mimebundle_())
        return
    shown = magics.session.shown
    if shown is not None and result is shown:
        if shown.exit_code:
            note = f"exit code {shown.exit_code}"
            show_forms({"text/plain": note, "text/html": _framed("", note)})
        return
    data = represent(result, magics.session.engine(), embedded=magics.session.is_embedded())
    if data:
        show_forms(data)


def show_lines(source: str, line: int) -> None:
    """Show a line of a Dockerfile that is wrong."""
    from .boards import offending, offending_html  # noqa: PLC0415

    show_forms({"text/plain": offending(source, line, line), "text/html": offending_html(source, line, line)})


def represent(result: Result, engine: str = "", *, embedded: bool = True) -> dict[str, str]:
    """Give the forms of a result; none where there is nothing to see."""
    from pydockmagic.commands import BuildResult, InspectResult, TableResult  # noqa: PLC0415

    text = marked(result.output).removesuffix("\n") if result.output else repr(result)
    if isinstance(result, TableResult) and result.columns:
        return {"text/plain": text, "text/html": _table(result, engine)}
    if isinstance(result, InspectResult) and result.data:
        return {"text/plain": text, "text/html": _tree_view(result, engine)}
    if isinstance(result, BuildResult) and result.steps:
        own = result._repr_html_()
        return {"text/plain": text, "text/html": _framed(own or "", engine)}
    if not text:
        return {}
    if embedded:
        return {"text/plain": text}
    # Text alone does not say where it comes from; that matters as soon as it is not the engine everybody expects.
    return {"text/plain": text, "text/html": _framed(markup.pre(text), engine)}


def _framed(inside: str, *remarks: str) -> str:
    about = " · ".join(escape(remark) for remark in remarks if remark)
    foot = markup.tag("div", markup.muted(about), "margin-top:4px") if about else ""
    return markup.tag("div", inside + foot, class_="pydock")


def _table(result: TableResult, engine: str) -> str:
    head = [heading for _, heading in result.columns]
    rows = [[_cell(row.get(key, "")) for key, _ in result.columns] for row in result.rows]
    count = f"{len(rows)} row" + ("" if len(rows) == 1 else "s")
    return _framed(markup.table(head, rows), count, engine)


def _cell(value: Any) -> str:
    """Give a cell: the words of a short one (an id, an age) stay whole, a long one breaks where it must."""
    text = str(value)
    if len(text) <= _WHOLE:
        return markup.tag("span", escape(text), "white-space:pre-wrap;overflow-wrap:normal")
    return markup.tag(
        "span", escape(text), "display:inline-block;min-width:16em;white-space:pre-wrap;overflow-wrap:anywhere"
    )


def _tree_view(result: InspectResult, engine: str) -> str:
    return _framed(result._repr_html_() or "", engine)
