"""Static html for results: what an untrusted notebook and every viewer show (NOTEBOOK rules: no style, script or svg).

Only ``<details>``, ``<table>``, ``<pre>``, ``<code>`` and inline ``style`` are used: sanitisers keep those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .results import BuildResult, BuildStep

__all__ = ["build", "preformatted", "table", "tree"]

_LEFT = ' style="text-align:left"'
_OPEN_ITEMS = 24


def preformatted(text: str) -> str:
    """Show text as a terminal does."""
    return f"<pre>{escape(text)}</pre>"


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Show a list as a table, all columns to the left, as docker's own."""
    head = "".join(f"<th{_LEFT}>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td{_LEFT}>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def tree(value: Any) -> str:
    """Show JSON as a tree whose branches open and close."""
    return f'<div style="font-family:monospace;font-size:12px">{_node(value)}</div>'


def _node(value: Any) -> str:
    if isinstance(value, Mapping):
        return _branch("{}", [(str(key), item) for key, item in value.items()])
    if isinstance(value, list):
        return _branch("[]", [(str(index), item) for index, item in enumerate(value)])
    return _leaf(value)


def _branch(empty: str, items: Sequence[tuple[str, Any]]) -> str:
    if not items:
        return empty
    parts = []
    for key, item in items:
        nested = isinstance(item, (Mapping, list)) and len(item) > 0
        if nested:
            label = f"{len(item)} item{'s' if len(item) != 1 else ''}"
            parts.append(
                f'<details><summary style="cursor:pointer">{escape(key)} <small>{label}</small></summary>'
                f'<div style="margin-left:1.5em">{_node(item)}</div></details>'
            )
        else:
            parts.append(f'<div style="overflow-wrap:anywhere">{escape(key)}: {_node(item)}</div>')
    return "".join(parts)


def _leaf(value: Any) -> str:
    import json  # noqa: PLC0415

    return escape(json.dumps(value, ensure_ascii=False), quote=False)


def build(result: BuildResult) -> str:
    """Show a build as a table of its steps, each with its lines, its output folded away."""
    rows = "".join(_step(step) for step in result.steps)
    head = "".join(f"<th{_LEFT}>{name}</th>" for name in ("Step", "Instruction", "Result", "Time", "Size"))
    names = ", ".join(escape(tag) for tag in result.tags)
    image = escape(result.id.removeprefix("sha256:")[:12])
    foot = f"<p><code>{image}</code>{' tagged ' + names if names else ''}</p>" if image else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{foot}"


def _step(step: BuildStep) -> str:
    from .units import human_size  # noqa: PLC0415

    instruction = f"<code>{escape(step.instruction)}</code>"
    if step.output.strip():
        opened = " open" if step.state == "failed" else ""
        text = escape(step.output.rstrip("\n"))
        instruction = f"<details{opened}><summary>{instruction}</summary><pre>{text}</pre></details>"
    lines = ""
    if step.first_line:
        last = f"-{step.last_line}" if step.last_line != step.first_line else ""
        lines = f" <small>line {step.first_line}{last}</small>"
    seconds = "" if step.seconds is None else f"{step.seconds:.2f} s"
    size = "" if step.size is None else human_size(step.size)
    state = step.state if step.exit_code in (None, 0) else f"{step.state}, exit code {step.exit_code}"
    cells = (f"{step.index}/{step.total}{lines}", instruction, escape(state), seconds, size)
    return "<tr>" + "".join(f"<td{_LEFT}>{cell}</td>" for cell in cells) + "</tr>"
