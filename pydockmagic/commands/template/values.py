"""Values as a template sees them: Go's names for types, truth, printing.

JSON gives ``dict`` (a Go map), ``list``, ``str``, ``int``, ``float``, ``bool``, ``None``. A ``Struct`` is a dict with
the manners of a Go struct: an unknown field is an error, and it prints as ``{a b}``. An object with ``template_field``
is asked for its fields (a table's row).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from .literals import quote

__all__ = ["Fields", "GoMap", "Missing", "NilList", "Struct", "go_format", "is_true", "type_name"]


class Struct(dict[str, Any]):
    """A JSON object that is a struct in Go; ``optional`` fields are nil where they are absent."""

    __slots__ = ("go_type", "optional")

    def __init__(self, data: dict[str, Any], go_type: str = "", optional: frozenset[str] = frozenset()) -> None:
        super().__init__(data)
        self.go_type = go_type
        self.optional = optional

    def spelled(self, name: str) -> str | None:
        """Return the key that a Go field name stands for: ``ID`` for ``Id``, ``APIVersion`` for ``ApiVersion``."""
        if name in self:
            return name
        folded = name.lower()
        return next((key for key in self if key.lower() == folded), None) if name[:1].isupper() else None


class GoMap(dict[str, Any]):
    """A JSON object that is a map in Go, whose ``index`` gives ``zero`` for a key that it does not have."""

    __slots__ = ("nil", "zero")

    def __init__(self, data: dict[str, Any], zero: Any = None, *, nil: bool = False) -> None:
        super().__init__(data)
        self.zero = zero
        self.nil = nil


class NilList(list[Any]):
    """A list that is nil in Go: prints as ``[]``, is ``null`` in JSON."""

    __slots__ = ()


@runtime_checkable
class Fields(Protocol):
    """An object that hands out fields by name."""

    @property
    def go_type(self) -> str:
        """The type's name in error messages."""
        ...

    def template_field(self, name: str, arguments: list[Any]) -> Any:
        """Return a field; raises ``KeyError`` where there is none, ``TypeError`` with Go's words for bad arguments."""
        ...


class _MissingType:
    """What a map gives for a key that it does not have: prints as ``<no value>``."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


Missing = _MissingType()


def type_name(value: Any) -> str:
    """Return the name that Go's error messages use for a value's type."""
    if value is None or value is Missing:
        return "nil"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, complex):
        return "complex128"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "[]interface {}"
    if isinstance(value, Struct) and value.go_type:
        return value.go_type
    if isinstance(value, dict):
        return "map[string]interface {}"
    return str(value.go_type) if isinstance(value, Fields) else type(value).__name__


def is_true(value: Any) -> bool:
    """Whether a value counts as true: not false, zero, nil or empty; a struct always does."""
    if isinstance(value, Struct) or isinstance(value, Fields):  # noqa: SIM101 - a Protocol in a tuple is slow
        return True
    return bool(value)


def go_format(value: Any) -> str:
    """Print a value as Go's ``%v`` does."""
    return _text(value, "")


def _text(value: Any, key: str) -> str:
    if value is Missing:
        return "<no value>"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, complex):
        return f"({go_float(value.real)}{'' if value.imag < 0 else '+'}{go_float(value.imag)}i)"
    if isinstance(value, Struct):
        return "{" + " ".join(_text(each, name) for name, each in value.items()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{_text(value[name], name)}" for name in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_text(each, key) for each in value) + "]"
    return str(value)


def go_float(value: float) -> str:
    """Write a float as Go's ``%v`` does: the shortest form, an exponent from 1e21 on and below 1e-4."""
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    import math  # noqa: PLC0415

    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 21:
        text = format(value, "f") if "e" in repr(value) else repr(value)
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, _, power = repr(value).partition("e")
    if not power:
        mantissa, _, power = f"{value:e}".partition("e")
        mantissa = mantissa.rstrip("0")
    mantissa = mantissa.removesuffix(".0").rstrip(".")
    number = int(power)
    return f"{mantissa}e{'-' if number < 0 else '+'}{abs(number):02d}"


def printed(value: Any) -> str:
    """Print a value as an action does: strings as they are."""
    return value if isinstance(value, str) else go_format(value)


def sprint(values: list[Any]) -> str:
    """Join values as Go's ``fmt.Sprint`` does: a blank between two that are not strings."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(printed(value))
    return "".join(parts)


def shown(value: Any) -> str:
    """Write a value as error messages do."""
    return quote(value) if isinstance(value, str) else go_format(value)
