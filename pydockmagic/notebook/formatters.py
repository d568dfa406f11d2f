"""Teaching IPython to show results, which know nothing of IPython: by name, so that nothing is imported early."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydockmagic.commands import Result

    from .magics import DockMagic

__all__ = ["forget", "teach"]

_TYPE = ("pydockmagic.commands.results", "Result")


def teach(magics: DockMagic) -> None:
    """Let IPython show results."""

    def printer(result: Result) -> None:
        from .results import show  # noqa: PLC0415 - %load_ext is to be quick

        show(magics, result)

    magics.shell.display_formatter.ipython_display_formatter.for_type_by_name(*_TYPE, printer)
    magics.shell.events.register("pre_run_cell", magics.session.begin_cell)


def forget(magics: DockMagic) -> None:
    """Undo ``teach``."""
    formatter = magics.shell.display_formatter.ipython_display_formatter
    formatter.deferred_printers.pop(_TYPE, None)
    if module := sys.modules.get(_TYPE[0]):
        formatter.type_printers.pop(getattr(module, _TYPE[1]), None)
    magics.shell.events.unregister("pre_run_cell", magics.session.begin_cell)
