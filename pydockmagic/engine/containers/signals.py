"""Signals by name and number, as Docker reads them (moby/sys/signal)."""

from __future__ import annotations

import signal

from pydockmagic.engine.errors import InvalidParameter

__all__ = ["parse_signal"]

_BY_NAME = {s.name.removeprefix("SIG"): int(s) for s in signal.Signals}
_BY_NAME |= {"CLD": int(signal.SIGCHLD), "POLL": int(signal.SIGIO), "IOT": int(signal.SIGABRT), "STKFLT": 16}
_BY_NAME |= {f"RTMIN+{n}": 34 + n for n in range(1, 16)} | {f"RTMAX-{n}": 64 - n for n in range(1, 15)}
_BY_NAME |= {"RTMIN": 34, "RTMAX": 64}
_HIGHEST = 64


def parse_signal(text: str) -> int:
    """Read ``9``, ``KILL`` or ``SIGKILL``; raise ``InvalidParameter`` for anything else."""
    if text.isdecimal():
        number = int(text)
        if 0 < number <= _HIGHEST:
            return number
    elif number := _BY_NAME.get(text.upper().removeprefix("SIG"), 0):
        return number
    raise InvalidParameter(f"invalid signal: {text}")
