"""Loading httpx when the first connection is made, and quicker than it loads itself.

httpx brings a command line program along, and with it click, rich and pygments: a third of its loading time, which the
first cell of a notebook would wait for. It is built to do without where those are missing, so that is what it is told.
The client and the engine, which asks registries, both load it here.
"""

from __future__ import annotations

import sys
from types import ModuleType

__all__ = ["load_httpx"]

_PROGRAM = "httpx._main"


def load_httpx() -> ModuleType:
    """Return httpx."""
    if "httpx" not in sys.modules and _PROGRAM not in sys.modules:
        sys.modules[_PROGRAM] = None  # type: ignore[assignment]  # the import system's way to say "not there"
        try:
            import httpx  # noqa: PLC0415
        finally:
            sys.modules.pop(_PROGRAM, None)
    import httpx  # noqa: PLC0415

    return httpx
