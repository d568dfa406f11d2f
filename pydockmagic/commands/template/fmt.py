"""Go's ``fmt.Sprintf`` as far as templates use it: flags, width, precision, verbs for JSON values, complaints."""

from __future__ import annotations

import re
from typing import Any

from .literals import quote
from .values import Missing, Struct, go_float, go_format, type_name

__all__ = ["sprintf"]

_VERB = re.compile(r"%(?P<flags>[+\-# 0]*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d*))?(?P<verb>.)?", re.DOTALL)


def sprintf(form: str, arguments: list[Any]) -> str:
    """Format values by a Go format."""
    waiting = list(arguments)
    used = 0

    def put(match: re.Match[str]) -> str:
        nonlocal used
        verb = match["verb"]
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        flags = match["flags"]
        width = match["width"]
        precision = match["precision"]
        if width == "*":
            width = str(waiting[used]) if used < len(waiting) else None
            used += 1
        if precision == "*":
            precision = str(waiting[used]) if used < len(waiting) else None
            used += 1
        if used >= len(waiting):
            return f"%!{verb}(MISSING)"
        value = waiting[used]
        used += 1
        text = _verb(verb, flags, precision, value)
        return _padded(text, flags, int(width) if width else 0, numeric=isinstance(value, (int, float)))

    text = _VERB.sub(put, form)
    if used < len(waiting):
        extra = ", ".join(f"{type_name(each)}={go_format(each)}" for each in waiting[used:])
        text += f"%!(EXTRA {extra})"
    return text


def _padded(text: str, flags: str, width: int, *, numeric: bool) -> str:
    if len(text) >= width:
        return text
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and numeric:
        sign = text[:1] if text[:1] in {"+", "-"} else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _verb(verb: str, flags: str, precision: str | None, value: Any) -> str:
    if verb == "T":
        return type_name(value)
    if verb == "v":
        return _signed(value, flags, go_format(value))
    if isinstance(value, bool):
        return go_format(value) if verb == "t" else _bad(verb, value)
    if isinstance(value, (int, float)):
        return _number(verb, flags, precision, value)
    if isinstance(value, str):
        return _string(verb, flags, precision, value)
    if isinstance(value, list):
        return "[" + " ".join(_verb(verb, flags, precision, each) for each in value) + "]"
    if isinstance(value, dict) and not isinstance(value, Struct):
        pairs = (f"{_verb(verb, flags, precision, k)}:{_verb(verb, flags, precision, value[k])}" for k in sorted(value))
        return "map[" + " ".join(pairs) + "]"
    return _bad(verb, value)


def _bad(verb: str, value: Any) -> str:
    if value is None or value is Missing:
        return f"%!{verb}(<nil>)"
    return f"%!{verb}({type_name(value)}={go_format(value)})"


def _signed(value: Any, flags: str, text: str) -> str:
    if "+" in flags and isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return "+" + text
    return text


def _string(verb: str, flags: str, precision: str | None, value: str) -> str:
    text = value if precision is None else value[: int(precision or "0")]
    if verb == "s":
        return text
    if verb == "q":
        return f"`{text}`" if "#" in flags and "`" not in text else quote(text)
    if verb in {"x", "X"}:
        digits = text.encode().hex(" " if " " in flags else "\0").replace("\0", "")
        return digits.upper() if verb == "X" else digits
    return _bad(verb, value)


def _number(verb: str, flags: str, precision: str | None, value: float) -> str:
    if isinstance(value, int):
        bases = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b", "c": "c"}
        if verb in bases:
            prefix = "#" if "#" in flags and verb != "d" else ""
            return _signed(value, flags, f"{value:{prefix}{bases[verb]}}")
        if verb == "q":
            return f"'{chr(value)}'"
        if verb == "U":
            return f"U+{value:04X}"
        return _bad(verb, value)
    if verb in {"e", "E", "f", "F", "g", "G"}:
        if precision is None and verb in {"g", "G"}:
            return _signed(value, flags, go_float(value))
        return _signed(value, flags, f"{value:.{int(precision or '0') if precision is not None else 6}{verb}}")
    return _bad(verb, value)
