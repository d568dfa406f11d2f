"""Filling a template in (Go's text/template, exec.go); error texts and their places are Go's."""

# ruff: noqa: RET503 - what ends in _fail does not return
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from .errors import TemplateExecutionError
from .functions import Function, FunctionError
from .literals import quote
from .nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Identifier,
    Jump,
    ListNode,
    Nil,
    Node,
    Pipe,
    TemplateCall,
    Text,
    Variable,
)
from .parser import Tree
from .values import Fields, Missing, Struct, is_true, printed, shown, type_name

__all__ = ["Executor"]

_DEEPEST = 100  # Go allows 100,000; nobody needs more in a list, and Python has a stack to lose
_ABSENT = object()


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Executor:
    """One run of a template over one piece of data."""

    def __init__(
        self, trees: Tree, source: str, functions: Mapping[str, Function], name: str = "", *, strict: bool = False
    ) -> None:
        self._trees = trees
        self._source = source
        self._functions = functions
        self._name = name
        self._strict = strict
        self._out: list[str] = []
        self._variables: list[tuple[str, Any]] = []
        self._depth = 0

    def run(self, data: Any) -> str:
        """Return the filled-in text.

        Raises ``TemplateExecutionError``.
        """
        self._variables = [("$", data)]
        tree = self._trees.get(self._name)
        if tree is None:
            raise TemplateExecutionError(
                f"template: {self._name}: {quote(self._name)} is an incomplete or empty template"
            )
        self._walk(data, tree)
        return "".join(self._out)

    def partial(self) -> str:
        """Return what was written before a failure."""
        return "".join(self._out)

    def _fail(self, node: Node, message: str) -> NoReturn:
        before = self._source[: node.position]
        line = 1 + before.count("\n")
        column = len(before.rpartition("\n")[2].encode())
        source = str(node)
        if len(source) > 20:
            source = f"{source[:20]}..."
        raise TemplateExecutionError(
            f"template: {self._name}:{line}:{column}: executing {quote(self._name)} at <{source}>: {message}"
        )

    # -- statements

    def _walk(self, dot: Any, node: Node) -> None:
        match node:
            case Text():
                self._out.append(node.text)
            case Action():
                value = self._pipeline(dot, node.pipe)
                if not node.pipe.variables:
                    self._out.append(printed(value))
            case ListNode():
                for each in node.nodes:
                    self._walk(dot, each)
            case Branch(kind="range"):
                self._range(dot, node)
            case Branch():
                self._if_or_with(dot, node)
            case Jump():
                raise _Break if node.kind == "break" else _Continue
            case TemplateCall():
                self._template(dot, node)
            case _:
                raise AssertionError(node)

    def _if_or_with(self, dot: Any, node: Branch) -> None:
        kept = len(self._variables)
        value = self._pipeline(dot, node.pipe)
        if is_true(value):
            self._walk(value if node.kind == "with" else dot, node.body)
        elif node.otherwise is not None:
            self._walk(dot, node.otherwise)
        del self._variables[kept:]

    def _range(self, dot: Any, node: Branch) -> None:
        kept = len(self._variables)
        value = self._pipeline(dot, node.pipe)
        inside = len(self._variables)
        pairs = self._pairs(node, value)
        for key, each in pairs:
            self._set_range_variables(node.pipe, key, each)
            try:
                self._walk(each, node.body)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self._variables[inside:]
        if not pairs and node.otherwise is not None:
            del self._variables[kept:]
            self._walk(dot, node.otherwise)
        del self._variables[kept:]

    def _pairs(self, node: Branch, value: Any) -> list[tuple[Any, Any]]:
        if value is None or value is Missing:
            return []
        if isinstance(value, list):
            return list(enumerate(value))
        if isinstance(value, dict) and not isinstance(value, Struct):
            return [(key, value[key]) for key in sorted(value)]
        if isinstance(value, int) and not isinstance(value, bool):
            return [(number, number) for number in range(value)]
        self._fail(node, f"range can't iterate over {shown(value) if not isinstance(value, str) else value}")

    def _set_range_variables(self, pipe: Pipe, key: Any, value: Any) -> None:
        names = pipe.variables
        if len(names) == 1:
            self._assign(names[0], value)
        elif len(names) == 2:
            if pipe.assigns:
                self._assign(names[0], key)
                self._assign(names[1], value)
            else:
                self._variables[-2] = (names[0], key)
                self._variables[-1] = (names[1], value)

    def _assign(self, name: str, value: Any) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return

    def _template(self, dot: Any, node: TemplateCall) -> None:
        tree = self._trees.get(node.name)
        if tree is None:
            self._fail(node, f"template {quote(node.name)} not defined")
        if self._depth == _DEEPEST:
            self._fail(node, f"exceeded maximum template depth ({_DEEPEST})")
        value = self._pipeline(dot, node.pipe) if node.pipe is not None else None
        kept, self._variables = self._variables, [("$", value)]
        self._depth += 1
        self._walk(value, tree)
        self._depth -= 1
        self._variables = kept

    # -- expressions

    def _pipeline(self, dot: Any, pipe: Pipe) -> Any:
        value: Any = _ABSENT
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for name in pipe.variables:
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, dot: Any, command: Command, final: Any) -> Any:
        first = command.arguments[0]
        rest = command.arguments[1:]
        match first:
            case Field():
                return self._chain_of(dot, first, _root(dot), first.names, rest, final)
            case Chain():
                value = _root(self._argument(dot, first.node))
                return self._chain_of(dot, first, value, first.names, rest, final)
            case Identifier():
                return self._function(dot, first, command, rest, final)
            case Variable():
                value = self._variable(first.name)
                if not first.names:
                    self._not_a_function(first, rest, final)
                    return value
                return self._chain_of(dot, first, value, first.names, rest, final)
        self._not_a_function(first, rest, final)
        match first:
            case Pipe():
                return self._pipeline(dot, first)
            case Constant():
                return first.value
            case Dot():
                return dot
            case Nil():
                self._fail(first, "nil is not a command")
        self._fail(first, f"can't evaluate command {quote(str(first))}")

    def _not_a_function(self, node: Node, rest: list[Node], final: Any) -> None:
        if rest or final is not _ABSENT:
            self._fail(node, f"can't give argument to non-function {node}")

    def _variable(self, name: str) -> Any:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise AssertionError(name)

    def _argument(self, dot: Any, node: Node) -> Any:
        match node:
            case Dot():
                return dot
            case Nil():
                return None
            case Constant():
                return node.value
            case Field():
                return self._chain_of(dot, node, _root(dot), node.names, [], _ABSENT)
            case Variable():
                value = self._variable(node.name)
                return self._chain_of(dot, node, value, node.names, [], _ABSENT) if node.names else value
            case Chain():
                return self._chain_of(dot, node, self._argument(dot, node.node), node.names, [], _ABSENT)
            case Pipe():
                return self._pipeline(dot, node)
            case Identifier():
                return self._function(dot, node, node, [], _ABSENT)
        self._fail(node, f"can't handle {quote(str(node))} for arg")

    def _chain_of(
        self, dot: Any, node: Node, receiver: Any, names: tuple[str, ...], rest: list[Node], final: Any
    ) -> Any:
        for name in names[:-1]:
            receiver = self._field(node, receiver, name, [])
        arguments = [self._argument(dot, each) for each in rest]
        if final is not _ABSENT:
            arguments.append(final)
        return self._field(node, receiver, names[-1], arguments)

    def _field(self, node: Node, receiver: Any, name: str, arguments: list[Any]) -> Any:
        if receiver is Missing:
            if self._strict:
                self._fail(node, f"nil data; no entry for key {quote(name)}")
            return Missing
        if receiver is None:
            self._fail(node, f"nil pointer evaluating interface {{}}.{name}")
        if isinstance(receiver, Fields):
            try:
                return receiver.template_field(name, arguments)
            except KeyError:
                self._fail(node, f"can't evaluate field {name} in type {receiver.go_type}")
            except TypeError as error:
                self._fail(node, str(error))
        if isinstance(receiver, dict):
            if arguments:
                self._fail(node, f"{name} is not a method but has arguments")
            if name in receiver:
                return receiver[name]
            if isinstance(receiver, Struct):
                known = receiver.spelled(name)
                if known is not None:
                    return receiver[known]
                if name in receiver.optional:
                    return None
                if not self._strict:
                    self._fail(node, f"can't evaluate field {name} in type {type_name(receiver)}")
            if self._strict:
                self._fail(node, f"map has no entry for key {quote(name)}")
            return Missing
        self._fail(node, f"can't evaluate field {name} in type {type_name(receiver)}")

    def _function(self, dot: Any, node: Identifier, command: Node, rest: list[Node], final: Any) -> Any:
        function = self._functions[node.name]
        count = len(rest) + (final is not _ABSENT)
        least = len(function.parameters)
        if function.variadic and count < least:
            self._fail(command, f"wrong number of args for {node.name}: want at least {least} got {count}")
        if not function.variadic and count != least:
            self._fail(command, f"wrong number of args for {node.name}: want {least} got {count}")
        if node.name in {"and", "or"}:
            return self._and_or(dot, node.name, rest, final)
        arguments = []
        for index, each in enumerate(rest):
            value = self._argument(dot, each)
            self._check_kind(each, function, index, value)
            arguments.append(value)
        if final is not _ABSENT:
            self._check_final(command, function, len(arguments), final)
            arguments.append(final)
        try:
            return function.call(*arguments)
        except FunctionError as error:
            self._fail(command, f"error calling {node.name}: {error}")

    def _and_or(self, dot: Any, name: str, rest: list[Node], final: Any) -> Any:
        """Evaluate arguments until the result is known."""
        value: Any = None
        for each in rest:
            value = self._argument(dot, each)
            if is_true(value) == (name == "or"):
                return value
        return value if final is _ABSENT else final

    def _check_kind(self, node: Node, function: Function, index: int, value: Any) -> None:
        wanted = function.parameters[index] if index < len(function.parameters) else "any"
        if _fits(wanted, value):
            return
        if isinstance(node, (Constant, Dot, Nil)):
            self._fail(node, f"expected {_WORDS[wanted]}; found {node}")
        self._fail(node, f"wrong type for value; expected {wanted}; got {type_name(value)}")

    def _check_final(self, node: Node, function: Function, index: int, value: Any) -> None:
        wanted = function.parameters[index] if index < len(function.parameters) else "any"
        if not _fits(wanted, value):
            self._fail(node, f"wrong type for value; expected {wanted}; got {type_name(value)}")


def _root(value: Any) -> Any:
    """Return what a field is asked of: nothing at all where the data itself is nil."""
    return Missing if value is None else value


_WORDS = {"string": "string", "int": "integer"}


def _fits(wanted: str, value: Any) -> bool:
    if wanted == "any":
        return True
    if wanted == "string":
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool)
