"""When an image was made, as the lists show it.

Config times are clamped, so that the same inputs give the same image id; for an image made here the engine's own
record says when that was. For one that came from outside, the config tells, as everywhere, unless it was clamped too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from pydockmagic.engine.errors import InvalidParameter

from .records import ImageRecord

__all__ = ["created_ns", "parse_config_time", "parse_filter_time", "rfc3339"]

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_FOREIGN = ("load", "pull")


def created_ns(image: ImageRecord, config: dict[str, Any]) -> int | None:
    """Give when an image was made, in Unix nanoseconds; None where nobody knows."""
    if not image.origin.startswith(_FOREIGN):
        return image.created_ns
    found = parse_config_time(config.get("created"))
    # the beginning of all times is what a clamped one looks like: when it came here says more
    return image.created_ns if found == 0 else found


def parse_config_time(text: str | None) -> int | None:
    """Read a time of an image config (RFC 3339 with up to nine digits of fraction) into Unix nanoseconds."""
    match = _RFC3339.fullmatch(text or "")
    if match is None:
        return None
    whole, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    except ValueError:
        return None
    return _to_ns(moment) + int((fraction or "").ljust(9, "0") or 0)


def _to_ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 10**9


def rfc3339(ns: int) -> str:
    """Write Unix nanoseconds as Docker does: RFC 3339 in UTC, no trailing zeros."""
    seconds, fraction = divmod(ns, 10**9)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    if text.index("-") < 4:  # strftime leaves years before 1000 short
        text = text.rjust(19, "0")
    digits = f"{fraction:09}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def parse_filter_time(text: str, now_ns: int) -> int:
    """Read the value of an ``until`` filter: Unix seconds, a date, or an age (``24h``, ``1h30m``)."""
    if re.fullmatch(r"\d+(?:\.\d{1,9})?", text):
        whole, _, fraction = text.partition(".")
        return int(whole) * 10**9 + int(fraction.ljust(9, "0") or 0)
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return now_ns - sum(int(float(number) * _UNITS[unit]) for number, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameter(f'failed to parse value as time or duration: "{text}"') from None
    return _to_ns(moment if moment.tzinfo else moment.astimezone())
