"""Input that no client should send: wrong types in every place of a typed body, and raw bytes on the socket."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.inspect import DictType, ListType, StructType, Type, UnionType, type_info

WRONG: tuple[Any, ...] = (
    "x", "", " ", "a\0b", "é" * 300, "../..", -1, 1.5, 1 << 70, True, None,
    [], {}, [1], ["x"], [None], [[]], [{}], {"a": 1}, {"a": None}, {"a": [1]},
)  # fmt: skip
"""Each of them is wrong almost everywhere."""

_KEYS = {"PortBindings": "80/tcp"}
Place = tuple[str | int, ...]


def places(struct: type[msgspec.Struct], before: Place = ()) -> Iterator[Place]:
    """Give the path of every member of a typed body, also within lists and maps."""
    info = type_info(struct)
    assert isinstance(info, StructType)
    for field in info.fields:
        here = (*before, field.encode_name)
        yield here
        yield from _within(field.type, here)


def _within(info: Type, here: Place) -> Iterator[Place]:
    if isinstance(info, UnionType):
        for each in info.types:
            yield from _within(each, here)
    elif isinstance(info, StructType):
        yield from places(info.cls, here)
    elif isinstance(info, ListType):
        yield from _within(info.item_type, (*here, 0))
    elif isinstance(info, DictType):
        yield from _within(info.value_type, (*here, _KEYS.get(str(here[-1]), "key")))


def body_with(base: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """Give a copy of a body with a value at a place; what is missing on the way is made."""
    body: Any = json.loads(json.dumps(base))
    at = body
    for step, following in itertools.pairwise(place):
        missing: Any = [] if following == 0 else {}
        if isinstance(at, list):
            at.append(missing)
            at = at[0]
        else:
            at = at.setdefault(step, missing)
    if isinstance(at, list):
        at.append(value)
    else:
        at[place[-1]] = value
    return body


def talk(address: str, data: bytes, *, ends: bool = True, timeout: float = 10) -> bytes:
    """Send bytes on a connection of its own and give what comes back until the server closes it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(address.removeprefix("unix://"))
        found = b""
        try:
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                found += chunk
        except (BrokenPipeError, ConnectionResetError):
            return found
        return found
