"""The colours of a saved picture: a sheet of its own, so that it reads on any page.

A picture is saved as an ``<img>``, which knows nothing of the page's theme. So it brings its ground with it; the ground
is dark where the reader's system is, and whichever it is, the letters on it are legible (contrast above 5).
"""

from __future__ import annotations

__all__ = ["BOX", "GROUND", "LINE", "LIT", "SOFT", "TAKEN", "TEXT", "begin"]

# Each is a class, for the dark, and attributes, for the light and for who draws SVG without its style sheet.
GROUND = 'class="g" fill="#ffffff"'
BOX = 'class="b" fill="#f6f8fa" stroke="#8a8f98"'
TEXT = 'class="t" fill="#1f2328"'
SOFT = 'class="s" fill="#57606a"'
LINE = 'class="l" fill="none" stroke="#8a8f98"'
TAKEN = 'class="k" fill="none" stroke="#2563eb"'
LIT = "#2563eb"
_DARK = (
    ".g{fill:#161b22}.b{fill:#21262d;stroke:#7d8590}.t{fill:#e6edf3}.s{fill:#a5aeb8}.l{stroke:#8d96a0}"
    ".k{stroke:#6cb0ff}.tip{fill:#8d96a0}.ktip,.kt{fill:#6cb0ff}"
)


def begin(width: int, height: int) -> str:
    """Give the opening tag of a drawing, its colours, its ground and the tips of its arrows (``a``, taken ``b``)."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui,-apple-system,Segoe UI,sans-serif">'
        f"<style>@media(prefers-color-scheme:dark){{{_DARK}}}</style>"
        f"<defs>{_tip('a', 'tip', '#8a8f98')}{_tip('b', 'ktip', LIT)}</defs>"
        f'<rect {GROUND} width="{width}" height="{height}" rx="6"/>'
    )


def _tip(name: str, kind: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto">'
        f'<path class="{kind}" d="M0 .5 8 4 0 7.5z" fill="{colour}"/></marker>'
    )
