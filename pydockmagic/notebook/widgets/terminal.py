"""A terminal's screen as it is saved: text, and static HTML with its colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pydockmagic.notebook import markup
from pydockmagic.notebook.emulator import Row

__all__ = ["COLOURS", "TerminalView"]

# Each reads on the dark ground (contrast of 4.5 and more), in every viewer: a terminal is dark in light themes too.
COLOURS = {
    "black": "#767676", "red": "#ff6b68", "green": "#5ec26a", "yellow": "#d9b13b", "blue": "#6ea8fe",
    "magenta": "#d38aea", "cyan": "#4fc1c9", "white": "#d4d4d4", "brightblack": "#8f8f8f", "brightred": "#ff8785",
    "brightgreen": "#7ee787", "brightyellow": "#f2cc60", "brightblue": "#8cbcff", "brightmagenta": "#e2a6f5",
    "brightcyan": "#76e3ea", "brightwhite": "#ffffff",
}  # fmt: skip
GROUND, TEXT = "#1c1f24", "#d4d4d4"


@dataclass(frozen=True)
class TerminalView:
    """What a terminal shows now; ``token`` names its display in the page."""

    token: str
    title: str
    rows: Sequence[Row]
    text: str = ""
    """Everything that was shown, without colours."""
    summary: str = ""
    engine: str = ""

    def __str__(self) -> str:
        head = f"{self.title} ({self.summary})" if self.summary else self.title
        return f"{head}\n{self.text}" if self.text else head

    def html(self) -> str:
        """Give it as static HTML: the screen as it is, and what scrolled out of it folded away."""
        shown = list(self.rows)
        while shown and not shown[-1]:
            shown.pop()
        style = f"background:{GROUND};color:{TEXT};padding:8px 10px;border-radius:6px;overflow-x:auto;line-height:1.25"
        screen = markup.tag("pre", "\n".join("".join(_run(run) for run in row) for row in shown) or " ", style)
        notes = [escape(each) for each in (self.summary, self.engine) if each]
        whole = ""
        if self.text.count("\n") >= len(shown) > 0:
            whole = markup.details("everything that was shown", markup.tag("pre", escape(self.text)))
        return markup.tag(
            "div", markup.caption(escape(self.title), notes) + screen + whole, class_=f"pydock pydock-{self.token}"
        )


def _run(run: Sequence[str]) -> str:
    text, front, back, flags = run
    if "r" in flags:
        front, back = back or GROUND, front or TEXT
    style = ""
    if front:
        style += f"color:{_colour(front)};"
    if back:
        style += f"background:{_colour(back)};"
    for letter, rule in {"b": "font-weight:700", "i": "font-style:italic", "u": "text-decoration:underline"}.items():
        if letter in flags:
            style += rule + ";"
    return markup.tag("span", escape(text), style) if style else escape(text)


def _colour(name: str) -> str:
    return COLOURS.get(name) or (name if name.startswith("#") else f"#{name}")
