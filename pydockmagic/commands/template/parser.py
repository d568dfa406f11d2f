"""Tokens into a tree (Go's text/template/parse, parse.go); error texts are Go's."""

from __future__ import annotations

from collections.abc import Collection

from .errors import TemplateSyntaxError
from .lexer import Token, tokens
from .literals import number, quote, unquote
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

__all__ = ["Tree", "parse"]

Tree = dict[str, ListNode]
_DEEPEST = 100  # nobody writes more parentheses, and Python has a stack to lose


def parse(text: str, functions: Collection[str], name: str = "") -> Tree:
    """Read a template; returns its tree by name, its own under ``name``, those of ``{{define}}`` beside it.

    Raises ``TemplateSyntaxError``.
    """
    return _Parser(text, functions, name).run()


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, text: str, functions: Collection[str], name: str) -> None:
        self._name = name
        self._functions = functions
        self._tokens = tokens(text, name)
        self._back: list[Token] = []
        self._last = Token("text", 0, "", 1)
        self._variables: list[str] = ["$"]
        self._trees: Tree = {}
        self._loops = 0
        self._depth = 0

    # -- tokens

    def _next(self) -> Token:
        self._last = self._back.pop() if self._back else next(self._tokens)
        return self._last

    def _peek(self) -> Token:
        token = self._next()
        self._back.append(token)
        return token

    def _next_word(self) -> Token:
        token = self._next()
        while token.kind == "space":
            token = self._next()
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._back.append(token)
        return token

    def _fail(self, message: str, line: int | None = None) -> TemplateSyntaxError:
        return TemplateSyntaxError(f"template: {self._name}:{line or self._last.line}: {message}")

    def _unexpected(self, token: Token, where: str) -> TemplateSyntaxError:
        return self._fail(f"unexpected {_shown(token)} in {where}", token.line)

    def _expect(self, kind: str, where: str) -> Token:
        token = self._next_word()
        if token.kind != kind:
            raise self._unexpected(token, where)
        return token

    # -- lists

    def run(self) -> Tree:
        root = ListNode(0)
        while True:
            token = self._peek()
            if token.kind == "eof":
                break
            node = self._text_or_action(top=True)
            if isinstance(node, Token):
                raise self._fail(f"unexpected {{{{{node.text}}}}}", node.line)
            if node is not None:
                root.nodes.append(node)
        if self._name not in self._trees or not _is_empty(root):
            self._trees[self._name] = root
        return self._trees

    def _text_or_action(self, *, top: bool = False) -> Node | Token | None:
        """Return the next node; a token where it is ``end`` or ``else``; nothing for a definition."""
        token = self._next()
        if token.kind == "text":
            return Text(token.position, token.text)
        if token.kind != "left":
            raise self._unexpected(token, "input")
        word = self._next_word()
        if word.kind == "keyword":
            if top and word.text == "define":
                self._define()
                return None
            return self._control(word)
        self._back.append(word)
        pipe = self._pipeline("command", "right")
        return Action(word.position, pipe)

    def _control(self, word: Token) -> Node | Token:
        match word.text:
            case "end" | "else":
                if word.text == "end":
                    self._expect("right", "end")
                return word
            case "if" | "range" | "with":
                return self._branch(word)
            case "template":
                return self._template_call(word)
            case "block":
                return self._block(word)
            case "break" | "continue":
                closing = self._next_word()
                if closing.kind != "right":
                    raise self._unexpected(closing, f"{{{{{word.text}}}}}")
                if not self._loops:
                    raise self._fail(f"{{{{{word.text}}}}} outside {{{{range}}}}", word.line)
                return Jump(word.position, word.text)
        raise self._unexpected(word, "command")

    def _list(self) -> tuple[ListNode, Token]:
        body = ListNode(self._peek_word().position)
        while True:
            if self._peek().kind == "eof":
                raise self._fail("unexpected EOF", self._peek().line)
            node = self._text_or_action()
            if isinstance(node, Token):
                return body, node
            if node is not None:
                body.nodes.append(node)

    def _branch(self, word: Token) -> Branch:
        kept = len(self._variables)
        pipe = self._pipeline(word.text, "right")
        if word.text == "range":
            self._loops += 1
        body, closing = self._list()
        if word.text == "range":
            self._loops -= 1
        otherwise = self._else(word, closing) if closing.text == "else" else None
        del self._variables[kept:]
        return Branch(word.position, word.text, pipe, body, otherwise)

    def _else(self, word: Token, closing: Token) -> ListNode:
        following = self._peek_word()
        if following.kind == "keyword" and following.text == word.text and word.text in {"if", "with"}:
            self._next_word()
            inner = self._branch(following)
            return ListNode(closing.position, [inner])
        if following.kind == "keyword" and following.text in {"if", "with"}:
            raise self._unexpected(following, "else")
        self._expect("right", "else")
        otherwise, ending = self._list()
        if ending.text != "end":
            raise self._fail(f"expected end; found {{{{{ending.text}}}}}", ending.line)
        return otherwise

    def _string(self, where: str) -> str:
        token = self._next_word()
        if token.kind not in {"string", "raw"}:
            raise self._unexpected(token, where)
        try:
            return unquote(token.text)
        except ValueError as error:
            raise self._fail(str(error)) from None

    def _define(self) -> None:
        name = self._string("define clause")
        self._expect("right", "define clause")
        self._add(name, self._body_of("define clause"))

    def _body_of(self, where: str) -> ListNode:
        variables, self._variables = self._variables, ["$"]
        loops, self._loops = self._loops, 0
        body, closing = self._list()
        self._variables, self._loops = variables, loops
        if closing.text != "end":
            raise self._fail(f"unexpected {{{{{closing.text}}}}} in {where}", closing.line)
        return body

    def _add(self, name: str, body: ListNode) -> None:
        known = self._trees.get(name)
        if known is None or _is_empty(known):
            self._trees[name] = body
        elif not _is_empty(body):
            raise self._fail(f"template: multiple definition of template {quote(name)}")

    def _block(self, word: Token) -> TemplateCall:
        name = self._string("block clause")
        pipe = self._pipeline("block clause", "right")
        self._add(name, self._body_of("block clause"))
        return TemplateCall(word.position, name, pipe)

    def _template_call(self, word: Token) -> TemplateCall:
        token = self._peek_word()
        name = self._string("template clause")
        pipe = None
        if self._next_word().kind != "right":
            self._back.append(self._last)
            pipe = self._pipeline("template clause", "right")
        del word
        return TemplateCall(token.position, name, pipe)

    # -- pipelines

    def _pipeline(self, where: str, end: str) -> Pipe:
        pipe = Pipe(self._peek_word().position)
        self._declarations(pipe, where)
        while True:
            token = self._next_word()
            if token.kind == end:
                self._check_pipe(pipe, where)
                return pipe
            if token.kind in {
                "bool", "char", "dot", "field", "identifier", "number", "nil", "raw", "string", "variable", "(",
            }:  # fmt: skip
                self._back.append(token)
                pipe.commands.append(self._command())
                continue
            raise self._unexpected(token, where)

    def _declarations(self, pipe: Pipe, where: str) -> None:
        """Read ``$x :=``, ``$x =`` or ``$i, $x :=``, if it is there."""
        while True:
            variable = self._peek_word()
            if variable.kind != "variable":
                return
            self._next_word()
            after = self._peek()
            following = self._peek_word() if after.kind == "space" else after
            if following.kind in {":=", "="}:
                self._next_word()
                self._declare(pipe, variable, assigns=following.kind == "=")
                return
            if following.kind == ",":
                self._next_word()
                self._declare(pipe, variable, assigns=False)
                if where == "range" and len(pipe.variables) < 2:
                    ahead = self._peek_word()
                    if ahead.kind in {"variable", "right", ")"}:
                        continue
                    raise self._fail("range can only initialize variables")
                raise self._fail(f"too many declarations in {where}")
            if after.kind == "space":
                self._back.append(after)
            self._back.append(variable)
            return

    def _declare(self, pipe: Pipe, variable: Token, *, assigns: bool) -> None:
        pipe.assigns = assigns
        pipe.variables.append(variable.text)
        self._variables.append(variable.text)

    def _check_pipe(self, pipe: Pipe, where: str) -> None:
        if not pipe.commands:
            raise self._fail(f"missing value for {where}")
        for index, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.arguments[0], (Constant, Dot, Nil)):
                raise self._fail(f"non executable command in pipeline stage {index}")

    def _command(self) -> Command:
        command = Command(self._peek_word().position)
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                command.arguments.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in {"right", ")"}:
                self._back.append(token)
            elif token.kind != "|":
                raise self._unexpected(token, "operand")
            elif self._peek_word().kind == "right":
                raise self._fail("missing value for command")
            break
        if not command.arguments:
            raise self._fail("empty command")
        return command

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None:
            return None
        if self._peek().kind != "field":
            return node
        position = self._peek().position
        names: list[str] = []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        if isinstance(node, Field):
            return Field(position, (*node.names, *names))
        if isinstance(node, Variable):
            return Variable(position, node.name, (*node.names, *names))
        if isinstance(node, (Constant, Nil, Dot)):
            raise self._fail(f"unexpected . after term {quote(str(node))}")
        return Chain(position, node, tuple(names))

    def _term(self) -> Node | None:
        token = self._next_word()
        match token.kind:
            case "identifier":
                if token.text not in self._functions:
                    raise self._fail(f"function {quote(token.text)} not defined", token.line)
                return Identifier(token.position, token.text)
            case "dot":
                return Dot(token.position)
            case "nil":
                return Nil(token.position)
            case "variable":
                if token.text not in self._variables:
                    raise self._fail(f"undefined variable {quote(token.text)}", token.line)
                return Variable(token.position, token.text, ())
            case "field":
                return Field(token.position, (token.text[1:],))
            case "bool":
                return Constant(token.position, token.text, token.text == "true")
            case "char" | "number" | "string" | "raw":
                return self._constant(token)
            case "(":
                return self._parenthesized()
        self._back.append(token)
        return None

    def _parenthesized(self) -> Pipe:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fail("max expression depth exceeded")
        pipe = self._pipeline("parenthesized pipeline", ")")
        self._depth -= 1
        return pipe

    def _constant(self, token: Token) -> Constant:
        try:
            if token.kind == "number":
                return Constant(token.position, token.text, number(token.text))
            value = unquote(token.text)
        except ValueError:
            what = "bad number syntax: " + quote(token.text) if token.kind == "number" else "invalid syntax"
            raise self._fail(what, token.line) from None
        return Constant(token.position, token.text, ord(value) if token.kind == "char" else value)


def _is_empty(body: ListNode) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in body.nodes)


def _shown(token: Token) -> str:
    """Write a token as Go's error messages do."""
    if token.kind == "eof":
        return "EOF"
    if token.kind in {"keyword", "dot", "nil"}:
        return f"<{token.text}>"
    if len(token.text) > 10:
        return f"{quote(token.text[:10])}..."
    return quote(token.text)
