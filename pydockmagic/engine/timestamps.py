"""Times as the Engine API writes and reads them: RFC 3339 with nanoseconds, or seconds since the epoch."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from pydockmagic.engine.errors import InvalidParameter

__all__ = ["ZERO_TIME", "parse_timestamp", "rfc3339"]

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time: "never"."""

_SECONDS = re.compile(r"(-?\d+)(?:\.(\d{1,9}))?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_CLOCK = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?")


def rfc3339(time_ns: int) -> str:
    """Write Unix nanoseconds as Go's RFC3339Nano in UTC (no trailing zeros); zero is Go's zero time."""
    if time_ns <= 0:
        return ZERO_TIME
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{text}{fraction}Z"


def parse_timestamp(text: str, now_ns: int | None = None) -> int | None:
    """Read ``since``/``until``: seconds with a fraction, a duration back from now, or a date. Empty gives None.

    Raises ``InvalidParameter`` for anything else. Units are Unix nanoseconds.
    """
    if not text:
        return None
    if match := _SECONDS.fullmatch(text):
        fraction = int((match[2] or "").ljust(9, "0"))
        return int(match[1]) * 1_000_000_000 + (-fraction if text.startswith("-") else fraction)
    if _DURATION.fullmatch(text):
        back = sum(int(float(number) * _UNITS[unit]) for number, unit in _PART.findall(text))
        return (time.time_ns() if now_ns is None else now_ns) - back
    if match := _CLOCK.fullmatch(text):
        try:
            return _clock_ns(match)
        except ValueError:
            pass
    raise InvalidParameter(f'failed to parse value as time or duration: "{text}"')


def _clock_ns(match: re.Match[str]) -> int:
    date, clock, fraction, zone = match.groups()
    when = datetime.fromisoformat(f"{date}T{clock or '00:00'}{'+00:00' if zone in (None, 'Z') else zone}")
    seconds = int((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
