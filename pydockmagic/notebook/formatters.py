"""Teaching IPython to show results, which know nothing of IPython: by name, so that nothing is imported early."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydockmagic.commands import Result

    from .magics import DockMagic
    from .session import Session

__all__ = ["forget", "teach"]

_TYPE = ("pydockmagic.commands.results", "Result")


def teach(magics: DockMagic) -> None:
    """Let IPython show results."""

    def printer(result: Result) -> None:
        from .results import show  # noqa: PLC0415 - %load_ext is to be quick

        show(magics, result)

    magics.shell.display_formatter.ipython_display_formatter.for_type_by_name(*_TYPE, printer)
    magics.shell.events.register("pre_run_cell", magics.session.begin_cell)
    if not magics.in_kernel:
        before = magics.shell.display_trap.hook
        _hang_in(magics.shell, before, _TerminalHook(before, magics.session))


def forget(magics: DockMagic) -> None:
    """Undo ``teach``."""
    formatter = magics.shell.display_formatter.ipython_display_formatter
    formatter.deferred_printers.pop(_TYPE, None)
    if module := sys.modules.get(_TYPE[0]):
        formatter.type_printers.pop(getattr(module, _TYPE[1]), None)
    magics.shell.events.unregister("pre_run_cell", magics.session.begin_cell)
    hook = magics.shell.display_trap.hook
    if isinstance(hook, _TerminalHook):
        _hang_in(magics.shell, hook, hook.before)


def _hang_in(shell: Any, before: Any, hook: Any) -> None:
    """Take another hook for values, from the running cell on."""
    shell.display_trap.hook = hook
    if sys.displayhook is before:
        sys.displayhook = hook


class _TerminalHook:
    """Shows values in a terminal. What the cell has shown already gets no empty ``Out[3]:``, but is remembered as one.

    A kernel needs none of this: there a value without a form is no output.
    """

    def __init__(self, before: Any, session: Session) -> None:
        self.before = before
        self._session = session

    def __call__(self, value: Any = None) -> None:
        module = sys.modules.get(_TYPE[0])  # no result without it
        if module is not None and isinstance(value, getattr(module, _TYPE[1])) and self._says_nothing(value):
            self.before.check_for_underscore()
            self.before.update_user_ns(value)
            self.before.fill_exec_result(value)
        else:
            self.before(value)

    def _says_nothing(self, value: Result) -> bool:
        return not value.exit_code and (value is self._session.shown or not repr(value))
