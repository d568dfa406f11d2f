r"""Shell words as a Dockerfile knows them: quotes, escapes and ``${variable}`` with its modifiers.

Dockerfile reference, "Environment replacement" (BuildKit's shell lexer): ``$x ${x} ${x-w} ${x:-w} ${x+w} ${x:+w}
${x?w} ${x:?w} ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}``. In patterns ``*`` and ``?`` are wild and a
backslash makes them plain. There are no positional parameters: ``$0``, ``$*`` and their like are empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import SubstitutionError, quote

__all__ = ["Expansion", "LexOptions", "expand_word", "split_words"]

_END = ""
_SPECIAL = frozenset("@*#?-$!0")
_NO_RUNE = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class LexOptions:
    """How to read words. ``escape`` is the escape character that the Dockerfile's directive chose.

    ``raw_quotes`` and ``raw_escapes`` keep quotes and escape characters in the result, ``skip_unset`` leaves
    variables that are not set as they are written, ``skip_quotes`` treats quotes as plain characters.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    skip_unset: bool = False
    skip_quotes: bool = False


@dataclass(frozen=True)
class Expansion:
    """A word after expansion: as one string, as the words it falls into, and which variables were found or missing."""

    text: str
    words: tuple[str, ...]
    matched: frozenset[str] = frozenset()
    unmatched: frozenset[str] = frozenset()


_DEFAULT = LexOptions()


def expand_word(word: str, env: Mapping[str, str], options: LexOptions = _DEFAULT) -> Expansion:
    """Expand one word. Raises SubstitutionError with BuildKit's sentence."""
    lexer = _Lexer(word, env, options)
    try:
        text, words = lexer.read(_END)
    except SubstitutionError as error:
        error.reason = f"failed to process {quote(word)}: {error.reason}"
        raise
    return Expansion(text, tuple(words), frozenset(lexer.matched), frozenset(lexer.unmatched))


def split_words(line: str, env: Mapping[str, str], options: LexOptions = _DEFAULT) -> tuple[str, ...]:
    """Expand a line and split it at blanks that are neither quoted nor escaped."""
    return expand_word(line, env, options).words


@dataclass
class _Words:
    """Collects words. Unquoted blanks end a word; what was quoted or escaped never does."""

    done: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)

    def add(self, text: str, *, raw: bool) -> None:
        for char in text:
            if raw or not char.isspace():
                self.current.append(char)
            elif self.current:
                self.finish()

    def finish(self) -> None:
        if self.current:
            self.done.append("".join(self.current))
            self.current = []


class _Lexer:
    """One pass over one word, recursive where a substitution holds words of its own."""

    def __init__(self, text: str, env: Mapping[str, str], options: LexOptions) -> None:
        self.text = text
        self.pos = 0
        self.env = env
        self.options = options
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def peek(self) -> str:
        return self.text[self.pos] if self.pos < len(self.text) else _END

    def next(self) -> str:
        char = self.peek()
        self.pos += 1 if char else 0
        return char

    def value(self, name: str) -> str | None:
        found = self.env.get(name)
        (self.unmatched if found is None else self.matched).add(name)
        return found

    def read(self, stop: str, *, raw_escapes: bool = False) -> tuple[str, list[str]]:
        """Read up to ``stop`` (consumed) or, when it is empty, to the end."""
        outer = self.options
        if raw_escapes:
            self.options = LexOptions(outer.escape, outer.raw_quotes, True, outer.skip_unset, outer.skip_quotes)
        try:
            return self._read(stop)
        finally:
            self.options = outer

    def _read(self, stop: str) -> tuple[str, list[str]]:
        out: list[str] = []
        words = _Words()
        while char := self.peek():
            if char == stop:
                self.next()
                words.finish()
                return "".join(out), words.done
            piece, raw = self._piece(char)
            out.append(piece)
            words.add(piece, raw=raw)
        if stop:
            raise SubstitutionError(f"unexpected end of statement while looking for matching {stop}")
        words.finish()
        return "".join(out), words.done

    def _piece(self, char: str) -> tuple[str, bool]:
        """Read the next piece; the second value says that blanks in it do not separate words."""
        if char in "'\"" and not self.options.skip_quotes:
            return (self._single() if char == "'" else self._double()), True
        if char == "$":
            return self._dollar(), False
        if char == "<":
            return self._angle(), True
        self.next()
        if char != self.options.escape:
            return char, False
        escaped = self.next()  # an escape character at the very end stands for nothing
        return (char if self.options.raw_escapes else "") + escaped, True

    def _angle(self) -> str:
        """``<< WORD`` of a heredoc is one word, blanks and all."""
        start = self.pos
        self.next()
        if self.peek() == "<":
            self.next()
            while self.peek().isspace():
                self.next()
        return self.text[start : self.pos]

    def _single(self) -> str:
        end = self.text.find("'", self.pos + 1)
        if end < 0:
            self.pos = len(self.text)
            raise SubstitutionError("unexpected end of statement while looking for matching single-quote")
        body = self.text[self.pos : end + 1]
        self.pos = end + 1
        return body if self.options.raw_quotes else body[1:-1]

    def _double(self) -> str:
        out: list[str] = [self.next()]
        while char := self.peek():
            if char == '"':
                out.append(self.next())
                return "".join(out if self.options.raw_quotes else out[1:-1])
            if char == "$":
                out.append(self._dollar())
                continue
            self.next()
            if char == self.options.escape:
                following = self.peek()
                if not following:
                    break
                if following in ('"', "$", self.options.escape):
                    char = (char if self.options.raw_escapes else "") + self.next()
            out.append(char)
        raise SubstitutionError("unexpected end of statement while looking for matching double-quote")

    def _name(self) -> str:
        start = self.pos
        if self.peek().isdigit():
            while self.peek().isdigit():
                self.next()
        elif self.peek() and self.peek() in _SPECIAL:
            self.next()
        else:
            while self.peek() and (self.peek() == "_" or self.peek().isalpha() or self.peek().isdigit()):
                self.next()
        return self.text[start : self.pos]

    def _dollar(self) -> str:
        self.next()
        if self.peek() != "{":
            name = self._name()
            if not name:
                return "$"
            found = self.value(name)
            return ("$" + name if self.options.skip_unset else "") if found is None else found
        self.next()
        if not self.peek():
            raise SubstitutionError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise SubstitutionError("syntax error: bad substitution")
        return self._braces(self._name())

    def _braces(self, name: str) -> str:
        modifier = self.next()
        if modifier == "}":
            found = self.value(name)
            return (f"${{{name}}}" if self.options.skip_unset else "") if found is None else found
        if modifier == "/":
            return self._replace(name)
        if modifier == ":":
            modifier = self.next()
            if modifier in ("+", "-", "?"):
                return self._default(name, modifier, null_is_unset=True)
            raise SubstitutionError(f"unsupported modifier (:{modifier or _NO_RUNE}) in substitution")
        if modifier in ("+", "-", "?"):
            return self._default(name, modifier, null_is_unset=False)
        if modifier in ("#", "%"):
            return self._trim(name, modifier)
        raise SubstitutionError(f"unsupported modifier ({modifier or _NO_RUNE}) in substitution")

    def _inner(self, stop: str, complaint: str, *, raw_escapes: bool) -> str:
        try:
            return self.read(stop, raw_escapes=raw_escapes)[0]
        except SubstitutionError:
            if not self.peek():
                raise SubstitutionError(complaint) from None
            raise

    def _default(self, name: str, modifier: str, *, null_is_unset: bool) -> str:
        word = self._inner("}", "syntax error: missing '}'", raw_escapes=False)
        value = self.value(name)
        if value is None and self.options.skip_unset:
            return f"${{{name}{':' if null_is_unset else ''}{modifier}{word}}}"
        missing = value is None or (null_is_unset and not value)
        if modifier == "+":
            return "" if missing else word
        if not missing:
            return value or ""
        if modifier == "-":
            return word
        default = "is not allowed to be unset" if value is None else "is not allowed to be empty"
        raise SubstitutionError(f"{name}: {word or default}")

    def _trim(self, name: str, modifier: str) -> str:
        pattern = self._inner("}", "syntax error: missing '}'", raw_escapes=True)
        value = self.value(name)
        if value is None:
            return f"${{{name}{modifier}{pattern}}}" if self.options.skip_unset else ""
        greedy = pattern.startswith(modifier)
        if greedy:
            pattern = pattern[1:]
        if modifier == "#":
            return _trim_prefix(pattern, value, greedy=greedy)
        # The shortest suffix is the shortest prefix of both turned round: expressions match from the left only.
        return _trim_prefix(reverse_pattern(pattern), value[::-1], greedy=greedy)[::-1]

    def _replace(self, name: str) -> str:
        everywhere = self.peek() == "/"
        if everywhere:
            self.next()
        pattern = self._inner("/", "syntax error: missing '/' in ${}", raw_escapes=True)
        replacement = self._inner("}", "syntax error: missing '}'", raw_escapes=True)
        value = self.value(name)
        if value is None:
            slash = "//" if everywhere else "/"
            return f"${{{name}{slash}{pattern}/{replacement}}}" if self.options.skip_unset else ""
        expression = _compiled(pattern, greedy=True, anchored=False)
        return _substitute(expression, replacement, value, everywhere=everywhere)


def _substitute(expression: re.Pattern[str], replacement: str, value: str, *, everywhere: bool) -> str:
    """Replace literally. An empty match right after another match does not count (Go's rule, not Python's)."""
    out: list[str] = []
    done = 0
    last_end = -1
    for match in expression.finditer(value):
        if match.end() == match.start() == last_end:
            continue
        out += [value[done : match.start()], replacement]
        done = last_end = match.end()
        if not everywhere:
            break
    return "".join([*out, value[done:]])


def _trim_prefix(pattern: str, value: str, *, greedy: bool) -> str:
    match = _compiled(pattern, greedy=greedy, anchored=True).match(value)
    return value[match.end() :] if match else value


def _compiled(pattern: str, *, greedy: bool, anchored: bool) -> re.Pattern[str]:
    try:
        return re.compile(pattern_expression(pattern, greedy=greedy, anchored=anchored))
    except ValueError as error:
        raise SubstitutionError(f"invalid pattern ({pattern}) in substitution: {error}") from None


def pattern_expression(pattern: str, *, greedy: bool, anchored: bool) -> str:
    r"""Turn a shell pattern into a regular expression. Raises ValueError for an escape of anything but ``* ? \``."""
    out = ["^"] if anchored else []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            out.append(".*" if greedy else ".*?")
        elif char == "?":
            out.append(".")
        elif char == "\\":
            escaped = next(chars, _NO_RUNE)
            if escaped in "}/":  # escaped for the sake of ``${...}``, not for the pattern's
                out.append(_literal(escaped))
            elif escaped in "*?\\":
                out.append("\\" + escaped)
            else:
                raise ValueError(f"invalid escape '\\{escaped}'")
        else:
            out.append(_literal(char))
    return "".join(out)


def _literal(char: str) -> str:
    return "\\" + char if char in "\\.+*?()|[]{}^$" else char


def reverse_pattern(pattern: str) -> str:
    """Turn a pattern round, each escaped character staying behind its escape."""
    return "".join(reversed(re.findall(r"\\.|.", pattern, re.DOTALL)))
