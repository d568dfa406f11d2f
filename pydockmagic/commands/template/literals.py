"""Go's literals: strings, characters and numbers, both ways."""

from __future__ import annotations

import json
import re

__all__ = ["number", "quote", "unquote"]

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_GROUPED = re.compile(r"0[xXoObB]?_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|[0-9]+(?:_[0-9]+)*")


def unquote(text: str) -> str:
    """Read a quoted string or character as Go does; raises ``ValueError``."""
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    mark = text[0]

    def put(match: re.Match[str]) -> str:
        if match[1] or match[4]:
            code = int(match[1], 16) if match[1] else int(match[4], 8)
            if code > 255:
                raise ValueError("invalid syntax")
            return chr(code)
        if match[2] or match[3]:
            code = int(match[2] or match[3], 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise ValueError("invalid syntax")
            return chr(code)
        if match[5] == mark:
            return mark
        if match[5] not in _SIMPLE:
            raise ValueError("invalid syntax")
        return _SIMPLE[match[5]]

    value = _ESCAPE.sub(put, text[1:-1])
    if mark == "'" and len(value) != 1:
        raise ValueError("invalid syntax")
    return value


def quote(text: str) -> str:
    """Write a string as Go's ``%q`` does."""
    parts = []
    for char in text:
        if char in {'"', "\\"}:
            parts.append("\\" + char)
        elif char.isprintable():
            parts.append(char)
        else:
            named = {value: key for key, value in _SIMPLE.items()}.get(char)
            code = ord(char)
            plain = f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
            parts.append(f"\\{named}" if named else plain)
    return '"' + "".join(parts) + '"'


def number(text: str) -> int | float | complex:
    """Read a number as Go's parser does; raises ``ValueError``."""
    body = text
    if body.endswith("i"):
        return _complex(body)
    digits = body.lstrip("+-")
    if len(body) - len(digits) > 1 or not digits:
        raise ValueError(text)
    if "_" in digits and not _underscores_fit(digits):
        raise ValueError(text)
    plain = digits.replace("_", "")
    sign = -1 if body.startswith("-") else 1
    if re.fullmatch(r"0[0-7]+", plain):
        return sign * int(plain, 8)
    if re.fullmatch(r"\d+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+", plain):
        return sign * int(plain, 10 if plain.isdigit() else 0)
    if re.match(r"0[xX]", plain):
        if "p" not in plain.lower():
            raise ValueError(text)
        value = float.fromhex(plain)
    elif re.fullmatch(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", plain):
        value = float(plain)
    else:
        raise ValueError(text)
    value *= sign
    # A float that is whole and written without a fraction in sight may stand where an integer is wanted (1e3).
    return value


def _underscores_fit(digits: str) -> bool:
    return all(_GROUPED.fullmatch(part) for part in re.split(r"[.eEpP+-]+", digits) if part) or bool(
        _GROUPED.fullmatch(digits)
    )


def _complex(text: str) -> complex:
    try:
        return complex(text.replace("_", "").removesuffix("i") + "j")
    except ValueError:
        raise ValueError(text) from None


def js_string(text: str, *, html: bool = False) -> str:
    """Write a string as JSON, with the escapes for html that Go adds unless told not to."""
    written = json.dumps(text, ensure_ascii=False)
    if not html:
        return written
    return written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
