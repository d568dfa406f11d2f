"""Sizes, durations and ages, as docker prints and reads them (docker/go-units, Go's time package).

Sizes are bytes; durations are nanoseconds, as in the API.
"""

from __future__ import annotations

import re

__all__ = ["ago", "binary_size", "format_duration", "human_duration", "human_size", "parse_duration", "parse_size"]

SECOND = 1_000_000_000
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_POWERS = {letter: index for index, letter in enumerate("kmgtp", 1)}


def human_size(size: float, precision: int = 4) -> str:
    """Write a size in powers of 1000: ``1.049MB``."""
    return _custom(size, 1000.0, _DECIMAL, precision)


def binary_size(size: float) -> str:
    """Write a size in powers of 1024: ``1.5MiB``."""
    return _custom(size, 1024.0, _BINARY, 4)


def _custom(size: float, base: float, names: tuple[str, ...], precision: int) -> str:
    index = 0
    while size >= base and index < len(names) - 1:
        size /= base
        index += 1
    return f"{size:.{precision}g}{names[index]}"


def parse_size(text: str, base: int = 1024) -> int:
    """Read a size: ``64m``, ``1.5GiB``, ``100``; letters count in powers of ``base``.

    Raises ``ValueError`` with go-units' words.
    """
    number, blank, suffix = text.partition(" ")
    if not blank:
        split = 1 + max(text.rfind(char) for char in "0123456789.")
        if not split:
            raise ValueError(f"invalid size: '{text}'")
        number, suffix = text[:split], text[split:]
    if not _FLOAT.fullmatch(number):
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax')
    value = float(number)
    if value < 0:
        raise ValueError(f"invalid size: '{text}'")
    if not suffix:
        return int(value)
    if len(suffix) > 3:
        raise ValueError(f"invalid suffix: '{suffix}'")
    suffix = suffix.lower()
    if suffix == "b":
        return int(value)
    power = _POWERS.get(suffix[0])
    if power is None or suffix[1:] not in {"", "b", "ib"}:
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(value * base**power)


def human_duration(nanoseconds: int) -> str:
    """Write about how long something is: ``About a minute``, ``3 hours``."""
    seconds = nanoseconds // SECOND
    if seconds < 60:
        if seconds < 1:
            return "Less than a second"
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = seconds // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    exact = nanoseconds / SECOND / 3600
    hours = int(exact + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(exact) // 24 // 365} years"


def ago(nanoseconds: int) -> str:
    """Write how long ago something was: ``3 hours ago``."""
    return f"{human_duration(nanoseconds)} ago"


_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_PIECE = re.compile(r"(\d*)(?:\.(\d*))?([^\d.]*)")


def parse_duration(text: str) -> int:
    """Read a duration as Go's ``time.ParseDuration`` does: ``1h30m``, ``-1.5s``; returns nanoseconds.

    Raises ``ValueError`` with Go's words.
    """
    rest = text[1:] if text[:1] in {"-", "+"} else text
    sign = -1 if text.startswith("-") else 1
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0
    while rest:
        match = _PIECE.match(rest)
        if match is None or not (match[1] or match[2]):
            raise ValueError(f'time: invalid duration "{text}"')
        unit = match[3]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        fraction = match[2] or ""
        total += int(match[1] or "0") * _UNITS[unit]
        if fraction:
            total += int(fraction) * _UNITS[unit] // 10 ** len(fraction)
        rest = rest[match.end() :]
    if total >= 1 << 63:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """Write a duration as Go does: ``1m30s``, ``1.5s``, ``0s``."""
    if not nanoseconds:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    left = abs(nanoseconds)
    if left < SECOND:
        for unit, factor in (("ms", 1_000_000), ("µs", 1_000)):
            if left >= factor:
                return f"{sign}{_trimmed(left, factor)}{unit}"
        return f"{sign}{left}ns"
    hours, left = divmod(left, 3600 * SECOND)
    minutes, left = divmod(left, 60 * SECOND)
    seconds = f"{_trimmed(left, SECOND)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _trimmed(value: int, factor: int) -> str:
    whole, part = divmod(value, factor)
    digits = f"{part:0{len(str(factor)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
