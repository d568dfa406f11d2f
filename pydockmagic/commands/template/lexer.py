"""A template's text into tokens (Go's text/template/parse, lex.go).

Outside ``{{`` and ``}}`` is text; ``{{-`` and ``-}}`` eat the blanks beside them; ``{{/* */}}`` is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .errors import TemplateSyntaxError

__all__ = ["Token", "tokens"]

_BLANK = " \t\r\n"
_KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"})
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)


class Token(NamedTuple):
    """A piece of a template: ``kind``, where it begins, its text, its line."""

    kind: str
    position: int
    text: str
    line: int


def tokens(text: str, name: str = "") -> Iterator[Token]:
    """Yield the tokens of a template, ``eof`` last.

    Raises ``TemplateSyntaxError``.
    """
    return _Lexer(text, name).run()


class _Lexer:
    """Walks over the text once."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0
        self._action_line = 1
        self._trim_next = False

    def _line(self, position: int | None = None) -> int:
        return 1 + self._text.count("\n", 0, self._at if position is None else position)

    def _fail(self, message: str) -> TemplateSyntaxError:
        return TemplateSyntaxError(f"template: {self._name}:{self._line()}: {message}")

    def _unclosed(self) -> TemplateSyntaxError:
        return self._fail("unclosed action" + self._started())

    def _started(self) -> str:
        if self._line() == self._action_line:
            return ""
        return f" started at {self._name}:{self._action_line}"

    def run(self) -> Iterator[Token]:
        text = self._text
        while True:
            start = self._at
            opening = text.find("{{", start)
            piece = text[start:] if opening < 0 else text[start:opening]
            if self._trim_next:
                stripped = piece.lstrip(_BLANK)
                start += len(piece) - len(stripped)
                piece = stripped
                self._trim_next = False
            trim = opening >= 0 and self._trims_left(opening)
            if trim:
                piece = piece.rstrip(_BLANK)
            if piece:
                yield Token("text", start, piece, self._line(start))
            if opening < 0:
                self._at = len(text)
                yield Token("eof", len(text), "", self._line())
                return
            self._at = opening
            self._action_line = self._line()
            yield from self._action(opening, trim=trim)

    def _trims_left(self, opening: int) -> bool:
        return self._text[opening + 2 : opening + 3] == "-" and self._text[opening + 3 : opening + 4] in set(_BLANK)

    def _closes(self) -> int:
        """Return the length of the right delimiter here, 0 where there is none; notes a trim marker."""
        text, at = self._text, self._at
        if text.startswith("}}", at):
            return 2
        if text[at : at + 1] in set(_BLANK) and text.startswith("-}}", at + 1):
            self._trim_next = True
            return 4
        return 0

    def _action(self, opening: int, *, trim: bool) -> Iterator[Token]:
        text = self._text
        after = opening + (3 if trim else 2)
        comment = after + (1 if trim else 0)
        if text.startswith("/*", comment):
            self._comment(comment)
            return
        yield Token("left", opening, text[opening:after], self._line())
        self._at = after
        depth = 0
        while True:
            if depth == 0 or not text.startswith("}}", self._at):
                closing = self._closes()
                if closing:
                    if depth:
                        raise self._fail("unclosed left paren")
                    yield Token("right", self._at, text[self._at : self._at + closing], self._line())
                    self._at += closing
                    return
            elif depth:
                raise self._fail("unclosed left paren")
            token = self._inside()
            if token.kind == "(":
                depth += 1
            elif token.kind == ")":
                depth -= 1
                if depth < 0:
                    raise self._fail("unexpected right paren")
            yield token

    def _comment(self, start: int) -> None:
        end = self._text.find("*/", start)
        if end < 0:
            raise self._fail("unclosed comment")
        self._at = end + 2
        closing = self._closes()
        if not closing:
            raise self._fail("comment ends before closing delimiter")
        self._at += closing

    def _take(self, kind: str, end: int) -> Token:
        token = Token(kind, self._at, self._text[self._at : end], self._line())
        self._at = end
        return token

    def _inside(self) -> Token:
        text, at = self._text, self._at
        if at >= len(text):
            raise self._unclosed()
        char = text[at]
        if char in _BLANK:
            end = at
            while end < len(text) and text[end] in _BLANK:
                if end > at and text.startswith("-}}", end + 1):
                    break
                end += 1
            return self._take("space", end)
        if text.startswith(":=", at):
            return self._take(":=", at + 2)
        if char == ":":
            raise self._fail("expected :=")
        if char in "=|(),":
            return self._take(char, at + 1)
        if char == '"':
            return self._quoted('"', "unterminated quoted string", "string")
        if char == "'":
            return self._quoted("'", "unterminated character constant", "char")
        if char == "`":
            return self._raw()
        return self._word_like(char)

    def _word_like(self, char: str) -> Token:
        text, at = self._text, self._at
        following = text[at + 1 : at + 2]
        if char == "$" or (char == "." and not following.isdigit()):
            match = _WORD.match(text, at + 1)
            end = match.end() if match else at + 1
            if match is None and char == ".":
                return self._take("dot", end)
            return self._checked(self._take("variable" if char == "$" else "field", end))
        if char.isdigit() or char in "+-" or char == ".":
            return self._number()
        match = _WORD.match(text, at)
        if match is None:
            shown = char if char.isprintable() else ""
            raise self._fail(f"unrecognized character in action: U+{ord(char):04X}" + (f" {shown!r}" if shown else ""))
        token = self._take("identifier", match.end())
        if token.text in _KEYWORDS:
            token = token._replace(kind="nil" if token.text == "nil" else "keyword")
        elif token.text in {"true", "false"}:
            token = token._replace(kind="bool")
        return self._checked(token)

    def _checked(self, token: Token) -> Token:
        """Refuse a word that goes on in a strange character."""
        following = self._text[self._at : self._at + 1]
        if following and following not in _BLANK + ".,|:)(=" and not self._text.startswith("}}", self._at):
            raise self._fail(f"bad character U+{ord(following):04X} {following!r}")
        return token

    def _number(self) -> Token:
        match = _NUMBER.match(self._text, self._at)
        assert match is not None
        end = match.end()
        if self._text[end : end + 1].isalnum() or self._text[end : end + 1] == "_":
            raise self._fail(f'bad number syntax: "{self._text[self._at : end + 1]}"')
        token = self._take("number", end)
        sign = self._text[end : end + 1]
        if sign in {"+", "-"}:  # 1+2i
            second = _NUMBER.match(self._text, end)
            if second is None or not second[0].endswith("i"):
                raise self._fail(f'bad number syntax: "{token.text}{sign}"')
            token = Token("number", token.position, token.text + second[0], token.line)
            self._at = second.end()
        return token

    def _quoted(self, quote: str, complaint: str, kind: str) -> Token:
        end = self._at + 1
        while True:
            char = self._text[end : end + 1]
            if char == "\\" and self._text[end + 1 : end + 2] not in {"", "\n"}:
                end += 2
                continue
            if char in {"", "\n", "\\"}:
                raise self._fail(complaint)
            end += 1
            if char == quote:
                return self._take(kind, end)

    def _raw(self) -> Token:
        end = self._text.find("`", self._at + 1)
        if end < 0:
            raise self._fail("unterminated raw quoted string")
        return self._take("raw", end + 1)
