"""What a display is called in the page, so that its live view finds it."""

from __future__ import annotations

import hashlib
import os

__all__ = ["token_of"]


def token_of(kind: str, *about: str) -> str:
    """Name a display by what it shows: looked at twice, or in another run, it has the same name.

    Several notebooks lie in JupyterLab's one page, each with a kernel, and each looks at the same containers: what the
    server calls the kernel's session, the notebook's path, keeps their displays apart. A notebook that is executed
    without a person has no session, and its outputs are the same wherever it lies.
    """
    session = os.environ.get("JPY_SESSION_NAME", "")
    named = (*about, *((session,) if session else ()))
    return f"{kind}-" + hashlib.sha256("\0".join(named).encode()).hexdigest()[:12]
