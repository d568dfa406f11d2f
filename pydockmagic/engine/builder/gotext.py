"""How Go prints values into the instruction texts of an image's history (``CMD ["a" "b"]``, ``VOLUME [/a /b]``)."""

from __future__ import annotations

from collections.abc import Sequence

from pydockmagic.dockerfile import Healthcheck
from pydockmagic.dockerfile.errors import quote

__all__ = ["duration_text", "health_text", "plain_list", "quoted_list"]


def plain_list(items: Sequence[str]) -> str:
    """``%v`` of a list of strings."""
    return "[" + " ".join(items) + "]"


def quoted_list(items: Sequence[str]) -> str:
    """``%q`` of a list of strings."""
    return "[" + " ".join(map(quote, items)) + "]"


def duration_text(ns: int) -> str:
    """Print a duration as Go does: ``1m30s``, ``1.5s``, ``20ms``, ``0s``."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    for unit, scale in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if ns < scale * 1_000:
            return f"{sign}{_decimal(ns, scale)}{unit}"
    minutes, rest = divmod(ns, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 10**9)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return sign + (f"{hours}h{text}" if hours else text)


def _decimal(value: int, scale: int) -> str:
    whole, part = divmod(value, scale)
    digits = str(part).rjust(len(str(scale)) - 1, "0").rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def health_text(check: Healthcheck) -> str:
    r"""``%q`` of dockerd's record of a health check: ``&{["CMD" "x"] "3s" "0s" "0s" '\x00'}``."""
    times = " ".join(quote(duration_text(ns)) for ns in (check.interval, check.timeout, check.start_period))
    return f"&{{{quoted_list(check.test)} {times} {_rune(check.retries)}}}"


def _rune(number: int) -> str:
    """``%q`` takes a whole number for a character."""
    escapes = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 39: "\\'", 92: "\\\\"}
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        number = 0xFFFD
    if number in escapes:
        return f"'{escapes[number]}'"
    return f"'{chr(number)}'" if chr(number).isprintable() else f"'\\x{number:02x}'"
