"""JSON as Go reads it: keys in any case, and what is wrong with a document in the words of Go's ``encoding/json``.

Clients were written against Go's decoder: docker-py sends ``detachKeys`` where the API says ``DetachKeys``.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec.inspect import DictType, ListType, StructType, Type, UnionType, type_info

__all__ = ["fold_keys", "syntax_error", "type_error"]

T = TypeVar("T", bound=Type)

_MISMATCH = re.compile(r"Expected `([^`]*)`, got `(\w+)`(?: - at `\$\.?(.*)`)?")
_INDEX = re.compile(r"\[[^\]]*\]")
_KINDS = {"str": "string", "int": "number", "float": "number", "bool": "bool", "array": "array", "object": "object"}
_GO_TYPES = {"str": "string", "int": "int64", "float": "float64", "array": "[]string", "object": "map[string]string"}
_CONTEXTS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
    "Extra data": "after top-level value",
}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LITERALS = ("true", "false", "null")
_STRUCTS = {
    "ExecConfig": "ExecOptions",
    "StartRequest": "ExecStartOptions",
    "UpdateRequest": "UpdateConfig",
    "_Connect": "ConnectOptions",
    "_Create": "CreateOptions",
}
"""Where dockerd 28 has another name for it."""


def fold_keys(value: Any, type_: Any) -> Any:
    """Give a decoded document with the keys of its objects as the type writes them, whatever case they came in.

    Keys of maps are the client's own and stay; of two keys that differ only in case, the exact one counts.
    """
    return _fold(value, _info(type_))


@lru_cache(maxsize=64)
def _info(type_: Any) -> Type:
    return type_info(type_)


@lru_cache(maxsize=128)
def _members(struct: type[msgspec.Struct]) -> tuple[dict[str, Type], dict[str, str]]:
    info = type_info(struct)
    assert isinstance(info, StructType)
    known = {field.encode_name: field.type for field in info.fields}
    return known, {name.lower(): name for name in known}


def _fold(value: Any, info: Type) -> Any:
    if isinstance(value, dict):
        if (struct := _branch(info, StructType)) is not None:
            return _fold_members(value, struct.cls)
        if (mapping := _branch(info, DictType)) is not None:
            return {key: _fold(inner, mapping.value_type) for key, inner in value.items()}
    elif isinstance(value, list) and (listing := _branch(info, ListType)) is not None:
        return [_fold(item, listing.item_type) for item in value]
    return value


def _fold_members(value: dict[str, Any], struct: type[msgspec.Struct]) -> dict[str, Any]:
    known, folded = _members(struct)
    result = {}
    for key, inner in value.items():
        name = key if key in known else folded.get(key.lower(), key)
        if name is not key and name in value:
            continue
        result[name] = _fold(inner, known[name]) if name in known else inner
    return result


def _branch(info: Type, kind: type[T]) -> T | None:
    """Give the form of a type that a value of this kind takes."""
    if isinstance(info, kind):
        return info
    if isinstance(info, UnionType):
        return next((each for each in info.types if isinstance(each, kind)), None)
    return None


def type_error(error: msgspec.ValidationError, type_: type[msgspec.Struct]) -> str:
    """Say which member of a document has the wrong type."""
    match = _MISMATCH.match(str(error))
    if match is None:
        return str(error)
    wanted, got = (part.partition(" |")[0] for part in match.group(1, 2))
    kind, go_type = _KINDS.get(got, got), _GO_TYPES.get(wanted, wanted)
    steps = _INDEX.sub("", match[3] or "").split(".")
    if steps == [""]:
        return f"json: cannot unmarshal {kind} into Go value of type {_struct_name(type_)}"
    holder = _holder(type_, steps)
    return f"json: cannot unmarshal {kind} into Go struct field {holder}.{'.'.join(steps)} of type {go_type}"


def _holder(struct: type[msgspec.Struct], steps: list[str]) -> str:
    """Name the innermost object on the way to a member."""
    for step in steps[:-1]:
        info: Type | None = _members(struct)[0].get(step)
        while info is not None and (outer := _branch(info, DictType) or _branch(info, ListType)):
            info = outer.value_type if isinstance(outer, DictType) else outer.item_type
        inner = _branch(info, StructType) if info else None
        if inner is None:
            break
        struct = inner.cls
    return _struct_name(struct)


def _struct_name(struct: type[msgspec.Struct]) -> str:
    return _STRUCTS.get(struct.__name__, struct.__name__)


def syntax_error(raw: bytes) -> str:
    """Say where a text is no JSON."""
    text = raw.decode("utf-8", "replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return _describe(text, error)
    except RecursionError:
        return "exceeded max depth"
    return "invalid UTF-8 in string"


def _describe(text: str, error: json.JSONDecodeError) -> str:
    position = error.pos
    context = _CONTEXTS.get(error.msg, "")
    if error.msg == "Expecting ',' delimiter":
        context = "after object key:value pair" if _in_object(text[:position]) else "after array element"
    elif error.msg == "Expecting value":
        for literal in _LITERALS:
            good = next((n for n in range(5) if text[position : position + n + 1] != literal[: n + 1]), 0)
            if good:
                position += good
                context = f"in literal {literal} (expecting {_quoted(literal[good])})"
                break
    if not context or position >= len(text):
        return "unexpected EOF"
    return f"invalid character {_quoted(text[position])} {context}"


def _in_object(text: str) -> bool:
    """Tell whether the innermost open bracket is a brace."""
    open_brackets: list[str] = []
    for character in _STRING.sub("", text):
        if character in "{[":
            open_brackets.append(character)
        elif character in "}]" and open_brackets:
            open_brackets.pop()
    return open_brackets[-1:] == ["{"]


def _quoted(character: str) -> str:
    """Quote as Go does."""
    if character in ("'", "\\"):
        return f"'\\{character}'"
    if character == '"':
        return "'\"'"
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    if named is None:
        named = character if character.isprintable() else f"\\x{ord(character):02x}"
    return f"'{named}'"
