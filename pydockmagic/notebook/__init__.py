"""The notebook's face of the commands: magics, capture, display and widgets. Nothing here knows HTTP or the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .magics import DockMagic

__all__ = ["load", "unload"]

_KEY = "_pydockmagic"


def load(shell: InteractiveShell) -> DockMagic:
    """Register the magics with a shell; nothing is connected or started."""
    from .completion import Matcher  # noqa: PLC0415
    from .formatters import teach  # noqa: PLC0415
    from .magics import DockMagic  # noqa: PLC0415
    from .transform import transform  # noqa: PLC0415

    unload(shell)
    replaced: dict[tuple[str, str], Any] = {}
    for kind, table in DockMagic.magics.items():
        for name in table:
            if name in shell.magics_manager.magics[kind]:  # IPython has a %system of its own: back with %unload_ext
                replaced[kind, name] = shell.magics_manager.magics[kind][name]
    magics = DockMagic(shell)
    shell.register_magics(magics)
    teach(magics)
    matcher = Matcher(magics)
    shell.Completer.custom_matchers.append(matcher)
    shell.input_transformers_cleanup.insert(0, transform)
    setattr(shell, _KEY, (magics, matcher, replaced))
    return magics


def unload(shell: InteractiveShell) -> None:
    """Take the magics away, and end what goes on for them in the background."""
    kept = getattr(shell, _KEY, None)
    if kept is None:
        return
    from .formatters import forget  # noqa: PLC0415
    from .transform import transform  # noqa: PLC0415

    magics, matcher, replaced = kept
    magics.close()
    forget(magics)
    for kind, table in magics.magics.items():
        for name in table:
            shell.magics_manager.magics[kind].pop(name, None)
    for (kind, name), function in replaced.items():
        shell.magics_manager.magics[kind][name] = function
    if matcher in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(matcher)
    if transform in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(transform)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
    delattr(shell, _KEY)
