"""Text to nodes: one node for each instruction of a Dockerfile, with its source lines.

Dockerfile reference, "Format"; what each instruction's arguments may be is known here only as far as it shapes
them (JSON or shell form, words, name=value); ``instructions.py`` knows the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from .directives import BYTE_ORDER_MARK, Directive, DirectiveReader
from .errors import DockerfileError, ParseError, quote
from .heredoc import Heredoc, find_heredocs
from .words import split_flags, split_quoted

__all__ = ["Node", "Tree", "parse"]

_BLANKS = re.compile(r"[\t\v\f\r ]+")


@dataclass(frozen=True, kw_only=True)
class Node:
    """One instruction as it is written. ``value`` is its name in the writer's own case.

    ``args`` of ENV and LABEL come in threes (name, value, ``=`` or empty for the old form with a blank).
    ``json`` says that the arguments were a JSON array. ONBUILD holds its instruction in ``sub``.
    ``original`` is the line with continuations joined; ``comments`` are those right above.
    """

    value: str
    args: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    sub: Node | None = None
    original: str = ""
    comments: tuple[str, ...] = ()
    first_line: int = 0
    last_line: int = 0


@dataclass(frozen=True)
class Tree:
    """A parsed Dockerfile. ``warnings`` are ``(sentence, line)``."""

    nodes: tuple[Node, ...]
    escape: str = "\\"
    directives: tuple[Directive, ...] = ()
    warnings: tuple[tuple[str, int], ...] = ()


def parse(text: str) -> Tree:
    """Cut a Dockerfile into its instructions. Raises ParseError or SubstitutionError, with the lines."""
    return _Parser(text).run()


class _Parser:
    def __init__(self, text: str) -> None:
        self.lines = text.removeprefix(BYTE_ORDER_MARK).split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        self.at = 0
        """How many lines are read: the number of the line in hand."""
        self.escape = "\\"
        self.directives: list[Directive] = []
        self.reader = DirectiveReader()
        self.warnings: list[tuple[str, int]] = []

    def run(self) -> Tree:
        nodes: list[Node] = []
        comments: list[str] = []
        while self.at < len(self.lines):
            raw = self._next()
            first = self.at
            if self._is_directive(raw):
                continue
            if _is_comment(raw):
                comment = raw.lstrip()[1:].strip()
                comments = [*comments, comment] if comment else []  # a bare # parts a text from what follows
                continue
            line, ended = self._trim_continuation(raw.lstrip())
            if ended and not line:
                continue
            line = line if ended else self._continued(line, first)
            nodes.append(self._node(line, comments, first))
            comments = []
        if not nodes:
            raise ParseError("file with no instructions", max(self.at, 1))
        return Tree(tuple(nodes), self.escape, tuple(self.directives), tuple(self.warnings))

    def _next(self) -> str:
        line = self.lines[self.at]
        self.at += 1
        return line.rstrip("\r")

    def _is_directive(self, line: str) -> bool:
        directive = self.reader.feed(line.lstrip())
        if directive is None:
            return False
        if directive.name == "escape":
            if directive.value not in ("\\", "`"):
                raise ParseError(f"invalid escape token '{directive.value}' does not match ` or \\", self.at)
            self.escape = directive.value
        self.directives.append(directive)
        return True

    def _trim_continuation(self, line: str) -> tuple[str, bool]:
        """Cut off a continuation character; the second value says that the instruction ends here."""
        bare = line.rstrip(" \t")
        if bare.endswith(self.escape) and not bare.endswith(self.escape * 2):
            return bare[:-1], False
        return line, True

    def _continued(self, line: str, first: int) -> str:
        pieces = [line]
        empty = False
        ended = False
        while not ended and self.at < len(self.lines):
            raw = self._next()
            if _is_comment(raw):
                continue
            if not raw.strip():
                empty = True
                continue
            piece, ended = self._trim_continuation(raw)
            pieces.append(piece)
        line = "".join(pieces)
        if empty:
            self.warnings.append((f"Empty continuation line found in: {line}", first))
        return line

    def _node(self, line: str, comments: list[str], first: int) -> Node:
        try:
            node = _node_from_line(line, self.escape)
            heredocs = self._heredocs(line) if "<<" in line and _may_hold_heredocs(node) else ()
        except DockerfileError as error:
            raise error.at(first, self.at) from None
        return replace(node, heredocs=heredocs, comments=tuple(comments), first_line=first, last_line=self.at)

    def _heredocs(self, line: str) -> tuple[Heredoc, ...]:
        return tuple(self._filled(heredoc) for heredoc in find_heredocs(line, self.escape))

    def _filled(self, heredoc: Heredoc) -> Heredoc:
        content: list[str] = []
        for line in self._rest():
            if (line.lstrip("\t") if heredoc.chomp else line).rstrip("\r") == heredoc.name:
                return replace(heredoc, content="".join(content))
            content.append(line + "\n")
        raise ParseError("unterminated heredoc")

    def _rest(self) -> Iterator[str]:
        while self.at < len(self.lines):
            self.at += 1
            yield self.lines[self.at - 1]


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _may_hold_heredocs(node: Node) -> bool:
    if node.value.lower() == "onbuild" and node.sub is not None:
        node = node.sub
    return node.value.lower() in ("add", "copy", "run") and not node.json


def _node_from_line(line: str, escape: str) -> Node:
    parts = _BLANKS.split(line.strip(), maxsplit=1)
    rest, flags = split_flags(parts[1]) if len(parts) == 2 else ("", ())
    node = Node(value=parts[0], flags=flags, original=line)
    shape = _SHAPES.get(parts[0].lower())
    # An unknown instruction keeps its place, with one empty argument: whoever reads the node refuses it.
    return replace(node, args=("",)) if shape is None else shape(node, rest.strip(), escape)


def _words(node: Node, rest: str, _escape: str) -> Node:
    return replace(node, args=tuple(_BLANKS.split(rest)) if rest else ())


def _text(node: Node, rest: str, _escape: str) -> Node:
    return replace(node, args=(rest,) if rest else ())


def _pairs(node: Node, rest: str, escape: str) -> Node:
    words = split_quoted(rest, escape)
    if not words:
        return node
    if "=" not in words[0]:  # the old form: one name, a blank, and the rest of the line
        parts = _BLANKS.split(rest, maxsplit=1)
        if len(parts) < 2:
            raise ParseError(f"{node.value.upper()} must have two arguments")
        return replace(node, args=(parts[0], parts[1], ""))
    args: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ParseError(f"Syntax error - can't find = in {quote(word)}. Must be of the form: name=value")
        args += [name, value, "="]
    return replace(node, args=tuple(args))


def _names(node: Node, rest: str, escape: str) -> Node:
    return replace(node, args=tuple(split_quoted(rest, escape)))


def _json_array(rest: str) -> tuple[str, ...] | None:
    """Read a JSON array of strings; None when it is something else. Raises ParseError for an array of other things."""
    if not rest.startswith("["):
        return None
    try:
        items = json.loads(rest, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in items):
        raise ParseError("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(items)


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's


def _json_or_text(node: Node, rest: str, escape: str) -> Node:
    items = _json_array(rest)
    return _text(node, rest, escape) if items is None else replace(node, args=items, json=True)


def _json_or_words(node: Node, rest: str, escape: str) -> Node:
    items = _json_array(rest)
    return _words(node, rest, escape) if items is None else replace(node, args=items, json=True)


def _health(node: Node, rest: str, escape: str) -> Node:
    if not rest:
        return node
    kind = rest.split(maxsplit=1)[0]
    command = _json_or_text(node, rest[len(kind) :].strip(), escape)
    return replace(command, args=(kind, *command.args))


def _onbuild(node: Node, rest: str, escape: str) -> Node:
    return replace(node, sub=_node_from_line(rest, escape)) if rest else node


_SHAPES: dict[str, Callable[[Node, str, str], Node]] = {
    "add": _json_or_words,
    "arg": _names,
    "cmd": _json_or_text,
    "copy": _json_or_words,
    "entrypoint": _json_or_text,
    "env": _pairs,
    "expose": _words,
    "from": _words,
    "healthcheck": _health,
    "label": _pairs,
    "maintainer": _text,
    "onbuild": _onbuild,
    "run": _json_or_text,
    "shell": _json_or_text,
    "stopsignal": _text,
    "user": _text,
    "volume": _json_or_words,
    "workdir": _text,
}
