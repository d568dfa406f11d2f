"""The kinds of option values: text into value, with the complaints of Go's strconv and docker's opts package."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["ValueProblem", "convert"]


class ValueProblem(Exception):
    """A value that does not fit its option; ``str()`` is the end of docker's sentence."""


_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]*|0[bB][01_]+|[1-9][0-9_]*)$")


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueProblem(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _go_integer(text: str) -> int | None:
    """Read an integer as Go's ParseInt does with base 0 (prefixes, underscores)."""
    if not _INTEGER.match(text):
        return None
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    if re.fullmatch(r"0[0-7_]+", digits):
        digits = "0o" + digits[1:].lstrip("_")
    try:
        return sign * int(digits, 0)
    except ValueError:
        return None


def _signed(bits: int) -> Callable[[str], int]:
    def convert_integer(text: str) -> int:
        value = _go_integer(text)
        if value is None:
            raise ValueProblem(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise ValueProblem(f'strconv.ParseInt: parsing "{text}": value out of range')
        return value

    return convert_integer


def _unsigned(bits: int) -> Callable[[str], int]:
    def convert_integer(text: str) -> int:
        value = None if text[:1] in {"-", "+"} else _go_integer(text)
        if value is None:
            raise ValueProblem(f'strconv.ParseUint: parsing "{text}": invalid syntax')
        if value >= 1 << bits:
            raise ValueProblem(f'strconv.ParseUint: parsing "{text}": value out of range')
        return value

    return convert_integer


def _bytes(text: str) -> int:
    from pydockmagic.commands.units import parse_size  # noqa: PLC0415 - few commands have sizes

    try:
        return parse_size(text)
    except ValueError as error:
        raise ValueProblem(str(error)) from None


def _duration(text: str) -> int:
    from pydockmagic.commands.units import parse_duration  # noqa: PLC0415

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ValueProblem(str(error)) from None


def _decimal(text: str) -> int:
    """Read ``--cpus``: a rational number, as billionths."""
    from fractions import Fraction  # noqa: PLC0415

    try:
        nano = Fraction(text.strip()) * 1_000_000_000
    except (ValueError, ZeroDivisionError):
        raise ValueProblem(f"failed to parse {text} as a rational number") from None
    if nano.denominator != 1:
        raise ValueProblem("value is too precise")
    return int(nano)


def _filter(text: str) -> tuple[str, str] | list[tuple[str, str]]:
    if not text:
        return []
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueProblem("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


def _strings(text: str) -> list[str]:
    """Read one line of comma-separated values (pflag's ``stringSlice``)."""
    import csv  # noqa: PLC0415

    if not text:
        return []
    return next(csv.reader([text]))


def _text(text: str) -> str:
    return text


_KINDS: dict[str, Callable[[str], Any]] = {
    "bool": _bool,
    "int": _signed(64),
    "int32": _signed(32),
    "int64": _signed(64),
    "uint": _unsigned(64),
    "uint16": _unsigned(16),
    "uint64": _unsigned(64),
    "bytes": _bytes,
    "duration": _duration,
    "decimal": _decimal,
    "filter": _filter,
    "strings": _strings,
}

# Options whose values are checked while they are parsed, by name: modules of `commands.options`.
_CHECKED = frozenset(
    {
        "add-host", "attach", "blkio-weight-device", "device", "device-cgroup-rule", "device-read-bps",
        "device-read-iops", "device-write-bps", "device-write-iops", "dns", "dns-search", "env", "gpus", "label",
        "link", "mount", "network", "sysctl", "tag", "ulimit", "build-arg",
    }
)  # fmt: skip


def convert(kind: str, text: str, option: str = "") -> Any:
    """Turn an option's text into its value.

    Raises ``ValueProblem``.
    """
    if option == "memory-swap" and text == "-1":
        return -1  # as much as there is
    value = _KINDS.get(kind, _text)(text)
    if option in _CHECKED and kind in {"list", "map", "ulimit", "mount", "network", "gpu-request"}:
        from pydockmagic.commands.options import checks  # noqa: PLC0415 - only run, create and build need them

        return checks.check(option, text)
    return value
