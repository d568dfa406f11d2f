"""The functions of a template: Go's own, and docker's (``json``, ``split``, ``join``, ``upper``, ``pad``, ...)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from .fmt import sprintf
from .literals import js_string
from .values import Fields, GoMap, Missing, NilList, Struct, go_format, is_true, sprint, type_name

__all__ = ["FUNCTIONS", "Function", "FunctionError", "to_json"]


class FunctionError(Exception):
    """A function cannot work with these arguments; ``str()`` is Go's complaint."""


class Function:
    """A function with its Go signature: names of parameter types (``any`` takes all), perhaps open-ended."""

    __slots__ = ("call", "parameters", "variadic")

    def __init__(self, call: Callable[..., Any], parameters: tuple[str, ...], *, variadic: bool = False) -> None:
        self.call = call
        self.parameters = parameters
        self.variadic = variadic


def to_json(value: Any, *, html: bool = False) -> str:
    """Write a value as Go's ``json.Marshal`` does; ``html`` escapes ``<``, ``>`` and ``&``."""
    if value is None or value is Missing:
        return "null"
    if isinstance(value, str):
        return js_string(value, html=html)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return json.dumps(value)
    if isinstance(value, NilList) or (isinstance(value, GoMap) and value.nil):
        return "null"
    if isinstance(value, list):
        return "[" + ",".join(to_json(each, html=html) for each in value) + "]"
    if isinstance(value, dict):
        keys = list(value) if isinstance(value, Struct) else sorted(value)
        return "{" + ",".join(f"{js_string(key, html=html)}:{to_json(value[key], html=html)}" for key in keys) + "}"
    if isinstance(value, Fields):
        as_json: Callable[[], Any] | None = getattr(value, "as_json", None)
        return to_json(as_json(), html=True) if as_json is not None else "{}"
    raise FunctionError(f"json: unsupported type: {type_name(value)}")


def _index(value: Any, *indexes: Any) -> Any:
    if value is None or value is Missing:
        raise FunctionError("index of untyped nil")
    for index in indexes:
        if index is None:
            raise FunctionError("cannot index slice/array with nil" if isinstance(value, list) else "nil index")
        if isinstance(value, dict) and not isinstance(value, Struct):
            if not isinstance(index, str):
                raise FunctionError(f"value has type {type_name(index)}; should be string")
            value = value.get(index, value.zero if isinstance(value, GoMap) else Missing)
        elif isinstance(value, (list, str)):
            if isinstance(index, bool) or not isinstance(index, int):
                raise FunctionError(f"cannot index slice/array with type {type_name(index)}")
            sequence = value.encode() if isinstance(value, str) else value
            if not 0 <= index < len(sequence):
                raise FunctionError(f"index out of range: {index}")
            value = sequence[index]
        else:
            raise FunctionError(f"can't index item of type {type_name(value)}")
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    if value is None or value is Missing:
        raise FunctionError("slice of untyped nil")
    if len(bounds) > 3:
        raise FunctionError(f"too many slice indexes: {len(bounds)}")
    if not isinstance(value, (str, list)):
        raise FunctionError(f"can't slice item of type {type_name(value)}")
    if isinstance(value, str) and len(bounds) == 3:
        raise FunctionError("cannot 3-index slice a string")
    whole: Any = value.encode() if isinstance(value, str) else value
    for bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, int):
            raise FunctionError(f"cannot index slice/array with type {type_name(bound)}")
        if not 0 <= bound <= len(whole):
            raise FunctionError(f"index out of range: {bound}")
    start = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(whole)
    if start > end:
        raise FunctionError(f"invalid slice index: {start} > {end}")
    part = whole[start:end]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _len(value: Any) -> int:
    if value is None or value is Missing:
        raise FunctionError("len of nil pointer")
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list) or (isinstance(value, dict) and not isinstance(value, Struct)):
        return len(value)
    raise FunctionError(f"len of type {type_name(value)}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    for kinds, name in ((int, "int"), (float, "float"), (complex, "complex"), (str, "string")):
        if isinstance(value, kinds):
            return name
    return "nil" if value is None or value is Missing else "other"


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    kind = _kind(first)
    if kind == "other":
        raise FunctionError(f"non-comparable type {go_format(first)}: {type_name(first)}")
    for other in others:
        against = _kind(other)
        if kind != against and "nil" not in {kind, against}:
            raise FunctionError("incompatible types for comparison")
        if kind == against and (kind == "nil" or first == other):
            return True
    return False


def _less(first: Any, second: Any) -> bool:
    kind, against = _kind(first), _kind(second)
    if kind in {"bool", "complex", "other", "nil"} or against in {"complex", "other", "nil"}:
        raise FunctionError("invalid type for comparison")
    if kind != against:
        raise FunctionError("incompatible types for comparison")
    return bool(first < second)


def _html(*values: Any) -> str:
    text = sprint(list(values)).replace("\0", "\ufffd")
    for char, name in (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, name)
    return text


_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _js(*values: Any) -> str:
    parts = []
    for char in sprint(list(values)):
        if char in _JS:
            parts.append(_JS[char])
        elif not char.isprintable():
            parts.append(f"\\u{ord(char):04X}")
        else:
            parts.append(char)
    return "".join(parts)


def _call(function: Any, *_arguments: Any) -> Any:
    if function is None or function is Missing:
        raise FunctionError("call of nil")
    raise FunctionError(f"non-function of type {type_name(function)}")


def _join(values: Any, separator: str) -> str:
    if not isinstance(values, list) or any(not isinstance(each, str) for each in values):
        raise FunctionError("wrong type for value; expected []string; got " + type_name(values))
    return separator.join(values)


def _title(text: str) -> str:
    """Capitalise each word as Go's ``strings.Title`` does: a letter after what is no letter or digit."""
    parts: list[str] = []
    previous = " "
    for char in text:
        parts.append(char if previous.isalnum() or previous in "_'" else char.title())
        previous = char
    return "".join(parts)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    return text[:length] if len(text) > length else text


def _println(*values: Any) -> str:
    return " ".join(go_format(each) if not isinstance(each, str) else each for each in values) + "\n"


_ANY = ("any",)

FUNCTIONS: dict[str, Function] = {
    "and": Function(lambda *values: values, _ANY, variadic=True),  # evaluated one by one by the executor
    "or": Function(lambda *values: values, _ANY, variadic=True),
    "not": Function(lambda value: not is_true(value), _ANY),
    "call": Function(_call, _ANY, variadic=True),
    "html": Function(_html, (), variadic=True),
    "index": Function(_index, _ANY, variadic=True),
    "slice": Function(_slice, _ANY, variadic=True),
    "js": Function(_js, (), variadic=True),
    "len": Function(_len, _ANY),
    "print": Function(lambda *values: sprint(list(values)), (), variadic=True),
    "printf": Function(lambda form, *values: sprintf(form, list(values)), ("string",), variadic=True),
    "println": Function(_println, (), variadic=True),
    "urlquery": Function(lambda *values: quote_plus(sprint(list(values))), (), variadic=True),
    "eq": Function(_equal, _ANY, variadic=True),
    "ne": Function(lambda first, second: not _equal(first, second), ("any", "any")),
    "lt": Function(_less, ("any", "any")),
    "le": Function(lambda first, second: _less(first, second) or _equal(first, second), ("any", "any")),
    "gt": Function(lambda first, second: not (_less(first, second) or _equal(first, second)), ("any", "any")),
    "ge": Function(lambda first, second: not _less(first, second), ("any", "any")),
    # docker's own (docker/cli, templates/templates.go)
    "json": Function(to_json, _ANY),
    "split": Function(lambda text, by: text.split(by) if by else list(text), ("string", "string")),
    "join": Function(_join, ("any", "string")),
    "title": Function(_title, ("string",)),
    "lower": Function(lambda text: text.lower(), ("string",)),
    "upper": Function(lambda text: text.upper(), ("string",)),
    "pad": Function(_pad, ("string", "int", "int")),
    "truncate": Function(_truncate, ("string", "int")),
}
