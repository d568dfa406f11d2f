"""``--since`` and ``--until``: moments as a person writes them, into the API's seconds (moby, api/types/time)."""

from __future__ import annotations

import re
import time

from pydockmagic.commands.units import SECOND, parse_duration

__all__ = ["timestamp"]

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d\d:\d\d)?$")
_SECONDS = re.compile(r"(\d+)(?:\.(\d{1,9}))?$")


def timestamp(text: str, now: float) -> str:
    """Return ``seconds.nanoseconds`` for a duration before now (``10m``), a date, or seconds since 1970.

    Raises ``ValueError``.
    """
    try:
        ago = parse_duration(text)
    except ValueError:
        pass
    else:
        return _written(int(now * SECOND) - ago)
    match = _DATE.match(text)
    if match is not None:
        return _written(_date(match))
    match = _SECONDS.match(text)
    if match is None:
        raise ValueError(f'failed to parse value as time or duration: "{text}"')
    return text


def _date(match: re.Match[str]) -> int:
    import calendar  # noqa: PLC0415

    fields = tuple(int(match[index] or 0) for index in range(1, 7))
    zone = match[8]
    if zone is None:
        seconds = int(time.mktime((*fields, 0, 0, -1)))  # type: ignore[arg-type]  # nine numbers
    else:
        seconds = calendar.timegm((*fields, 0, 0, 0))
        if zone != "Z":
            offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
            seconds -= offset if zone[0] == "+" else -offset
    return seconds * SECOND + int((match[7] or "0").ljust(9, "0"))


def _written(nanoseconds: int) -> str:
    return f"{nanoseconds // SECOND}.{nanoseconds % SECOND:09d}"
