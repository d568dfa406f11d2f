"""The one way onto the screen: IPython's display, with forms that are made already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Screen", "show_forms"]


def show_forms(forms: Mapping[str, str]) -> None:
    """Show something, given as its forms by media type."""
    from IPython.display import display  # noqa: PLC0415 - there in every notebook, and nowhere else needed

    display(dict(forms), raw=True)  # type: ignore[no-untyped-call]


class Screen:
    """An output of the cell that can be drawn over."""

    def __init__(self) -> None:
        self._handle: Any = None

    @property
    def is_drawn(self) -> bool:
        """Whether anything was drawn."""
        return self._handle is not None

    def draw(self, forms: Mapping[str, str]) -> None:
        """Draw, in the place of what was drawn before."""
        from IPython.display import display  # noqa: PLC0415 - there in every notebook, and nowhere else needed

        if self._handle is None:
            self._handle = display(dict(forms), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(dict(forms), raw=True)
