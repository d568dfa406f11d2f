"""Who carries out which command: each handler turns parsed words into client calls and a result.

A handler is a function ``(Parsed, Context) -> Result`` in a module beside this one, imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pydockmagic.commands.errors import CommandError
from pydockmagic.commands.results import Result

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed

__all__ = ["HANDLERS", "run_handler"]

HANDLERS: dict[str, str] = {}


def run_handler(parsed: Parsed, context: Context) -> Result:
    """Carry out a parsed command."""
    place = HANDLERS.get(parsed.command.path)
    if place is None:
        raise CommandError(f"docker: 'docker {parsed.name}' is not available here yet", 1)
    module, _, function = place.partition(":")
    handler = getattr(import_module(f".{module}", __name__), function)
    result: Result = handler(parsed, context)
    return result
