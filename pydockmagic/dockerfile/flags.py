"""The flags of instructions (``COPY --from=build``), read the way BuildKit reads them, and its suggestions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from .errors import InstructionError, quote

__all__ = ["Flags", "duration", "suggestion"]

_NEAR = 3
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = (1 << 63) - 1


class Flags:
    """The flags of one instruction by name. ``known`` maps a name to ``bool``, ``str`` or ``list`` (repeatable)."""

    def __init__(self, words: Sequence[str], known: Mapping[str, type] | None = None) -> None:
        known = known or {}
        self._values: dict[str, list[str]] = {}
        for word in words:
            name, equals, value = word[2:].partition("=")
            kind = known.get(name)
            if kind is None:
                raise InstructionError(f"unknown flag: --{name}", hint=suggestion(name, sorted(known)))
            if name in self._values and kind is not list:
                raise InstructionError(f"duplicate flag specified: --{name}")
            if not (value if kind is bool and equals else equals or kind is bool):
                raise InstructionError(f"missing a value on flag: --{name}")
            if kind is bool:
                value = value.lower() or "true"
                if value not in ("true", "false"):
                    raise InstructionError(f"expecting boolean value for flag --{name}, not: {word.partition('=')[2]}")
            self._values.setdefault(name, []).append(value)

    @property
    def used(self) -> tuple[str, ...]:
        """The names that were given, sorted."""
        return tuple(sorted(self._values))

    def text(self, name: str) -> str:
        """Give a flag's value, empty when it was not given."""
        return self._values.get(name, [""])[-1]

    def texts(self, name: str) -> tuple[str, ...]:
        """Give all values of a repeatable flag."""
        return tuple(self._values.get(name, ()))

    def choice(self, name: str) -> bool | None:
        """Give a boolean flag, None when it was not given."""
        return None if name not in self._values else self.text(name) == "true"

    def interval(self, name: str) -> int:
        """Give a duration of HEALTHCHECK in nanoseconds."""
        text = self.text(name)
        if not text:
            return 0
        try:
            value = duration(text)
        except ValueError as error:
            raise InstructionError(str(error)) from None
        if value and value < 1_000_000:
            raise InstructionError(f"Interval {quote(name)} cannot be less than 1ms")
        return value


def duration(text: str) -> int:
    """Read a Go duration (``1h5m``, ``1.5s``) as nanoseconds. Raises ValueError with Go's sentence."""
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    if not body or not re.match(r"[\d.]", body):
        raise ValueError(f"time: invalid duration {quote(text)}")
    total, at = 0, 0
    while at < len(body):
        match = _DURATION.match(body, at)
        if match is None:
            number = re.match(r"\d*\.?\d*", body[at:])
            rest = body[at + (number.end() if number else 0) :]
            unit = re.match(r"[^\d.]+", rest)
            if unit:
                raise ValueError(f"time: unknown unit {quote(unit[0])} in duration {quote(text)}")
            raise ValueError(
                f"time: missing unit in duration {quote(text)}"
                if number and number.end() and not rest
                else f"time: invalid duration {quote(text)}",
            )
        whole, _, fraction = match[1].partition(".")
        scale = _UNITS[match[2]]
        total += int(whole or 0) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
        at = match.end()
    if total > _LONGEST:
        raise ValueError(f"time: invalid duration {quote(text)}")
    return sign * total


def suggestion(word: str, options: Iterable[str]) -> str:
    """Give ``" (did you mean X?)"`` for a word that is nearly an option, in the word's own case; else nothing."""
    best, least = "", _NEAR
    for option in options:
        distance = _distance(word.lower(), option.lower())
        if distance == 0:
            return ""
        if distance < least:
            best, least = option.lower(), distance
    if not best:
        return ""
    return f" (did you mean {best.upper() if word == word.upper() else best}?)"


def _distance(left: str, right: str) -> int:
    """Levenshtein's edit distance."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
