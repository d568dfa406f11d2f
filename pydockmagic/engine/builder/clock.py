"""The time that a build stamps on what it makes, so that equal inputs give equal images everywhere.

``SOURCE_DATE_EPOCH`` (reproducible-builds.org) if the client gives it, else the base image's own time, else 1970.
"""

from __future__ import annotations

import calendar
import re
import time

from pydockmagic.engine.errors import InvalidParameter

__all__ = ["EPOCH", "parse_epoch", "to_ns"]

EPOCH = "1970-01-01T00:00:00Z"
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")


def parse_epoch(text: str) -> str:
    """Turn ``SOURCE_DATE_EPOCH`` into a config time. Raises InvalidParameter."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(text)))
    except (ValueError, OverflowError, OSError):
        raise InvalidParameter(f"invalid SOURCE_DATE_EPOCH: {text}") from None


def to_ns(created: str) -> int:
    """Read a config time as Unix nanoseconds; what cannot be read is 1970."""
    match = _RFC3339.fullmatch(created)
    if match is None:
        return 0
    fields = (int(match[1]), max(int(match[2]), 1), max(int(match[3]), 1), int(match[4]), int(match[5]), int(match[6]))
    seconds = calendar.timegm((*fields, 0, 0, 0))
    if match[8] not in "Zz":
        sign = -1 if match[8][0] == "-" else 1
        seconds -= sign * (int(match[8][1:3]) * 3600 + int(match[8][4:6]) * 60)
    return max(seconds, 0) * 1_000_000_000 + int((match[7] or "0")[:9].ljust(9, "0"))
