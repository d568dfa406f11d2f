"""Times in lists: the API's seconds and RFC 3339 texts, as docker prints them (local time zone, ages)."""

from __future__ import annotations

import time

from pydockmagic.commands.units import SECOND, ago

__all__ = ["age", "go_time", "nanoseconds"]

_ZERO_YEAR = -62135596800  # Go's zero time, in seconds since 1970


def go_time(seconds: int) -> str:
    """Write a time as Go's ``Time.String`` does: ``2026-01-02 15:04:05 +0100 CET``."""
    local = time.localtime(seconds)
    offset = local.tm_gmtoff or 0
    sign = "-" if offset < 0 else "+"
    zone = local.tm_zone or "UTC"
    clock = time.strftime("%m-%d %H:%M:%S", local)
    return f"{local.tm_year:04d}-{clock} {sign}{abs(offset) // 3600:02d}{abs(offset) % 3600 // 60:02d} {zone}"


def age(seconds: float, now: float) -> str:
    """Write how long ago a time was; nothing for a time that was never set."""
    return "" if int(seconds) <= _ZERO_YEAR else ago(int((now - seconds) * SECOND))


def nanoseconds(text: str) -> int:
    """Read an RFC 3339 time as nanoseconds since 1970; 0 for Go's zero time."""
    import calendar  # noqa: PLC0415
    import re  # noqa: PLC0415

    match = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$", text)
    if match is None or match[1] == "0001":
        return 0
    seconds = calendar.timegm(tuple(int(match[index]) for index in range(1, 7)))
    zone = match[8]
    if zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds * SECOND + int((match[7] or "0").ljust(9, "0")[:9])
