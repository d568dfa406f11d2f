"""Docker in a notebook, with no Docker needed: IPython magics, widgets and a real container engine.

``%load_ext pydockmagic`` calls ``load_ipython_extension``; everything heavier is imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics with IPython (``%load_ext pydockmagic``)."""
    from .notebook import load  # noqa: PLC0415 - the engine and the terminal program never need IPython

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away again (``%unload_ext pydockmagic``)."""
    from .notebook import unload  # noqa: PLC0415

    unload(shell)
