"""Whether a STOPSIGNAL is one: a number or a name, with or without SIG (moby's ``signal`` package)."""

from __future__ import annotations

import re
import signal

__all__ = ["is_signal"]

_REAL_TIME = re.compile(r"RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?")
_OTHER = frozenset(("CLD", "IOT", "POLL", "STKFLT", "UNUSED"))


def is_signal(text: str) -> bool:
    """Tell whether a text names a signal of Linux."""
    if text.isdigit():
        return 0 < int(text) <= 64
    name = text.upper().removeprefix("SIG")
    return f"SIG{name}" in signal.Signals.__members__ or name in _OTHER or bool(_REAL_TIME.fullmatch(name))
