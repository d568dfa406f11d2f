"""Shell words and ``${...}`` against BuildKit's lexer.

Kept different on purpose: BuildKit forgets what stood directly before a ``${x:-word}`` when it splits a line into
words (its ``Result`` is right): ``a${x:-b}`` gives the word ``b`` there and ``ab`` here. Four vectors show it.
"""

from __future__ import annotations

import pytest
from support.vectors import conformance_root, vector

from pydockmagic.dockerfile import DockerfileError, LexOptions, expand_word, split_words
from pydockmagic.dockerfile.shell import pattern_expression, reverse_pattern

pytestmark = pytest.mark.conformance

ROOT = conformance_root() / "vectors" / "dockerfile" / "shell"
FUNCTIONS = vector("dockerfile-shell-lex.json")["functions"]
PARSER = vector("dockerfile-parser-funcs.json")["functions"]
PREFIX_LOST_UPSTREAM = {
    "something-${VERSION}.${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-${TARGETVARIANT}}.tar.gz",
    "${ABC:-.}${FOO%x}${ABC:-.}",
}


def options(receiver):
    return LexOptions(
        raw_quotes=receiver["RawQuotes"],
        raw_escapes=receiver["RawEscapes"],
        skip_unset=receiver["SkipUnsetEnv"],
        skip_quotes=receiver["SkipProcessQuotes"],
    )


def expanded(case):
    given = case["in"]
    return expand_word(given["word"], given.get("env") or {}, options(given["(recv)"]))


@pytest.mark.parametrize("name", ["Lex.ProcessWord", "Lex.ProcessWordWithMatches", "Lex.ProcessWords"])
def test_words_expand_as_in_buildkit(name):
    for case in FUNCTIONS[name] + PARSER.get(name, []):
        error = case["out"][-1]
        if error is not None:
            with pytest.raises(DockerfileError) as caught:
                expanded(case)
            assert str(caught.value) == error["error"]
            continue
        result = expanded(case)
        match name:
            case "Lex.ProcessWord":
                assert result.text == case["out"][0], case
                assert result.unmatched == set(case["out"][1] or ()), case
            case "Lex.ProcessWords":
                assert list(result.words) == case["out"][0], case
            case _:
                expected = case["out"][0]
                assert result.text == expected["Result"], case
                assert result.matched == set(expected["Matched"] or ()), case
                assert result.unmatched == set(expected["Unmatched"] or ()), case
                if case["in"]["word"] not in PREFIX_LOST_UPSTREAM:
                    assert list(result.words) == (expected["Words"] or []), case


def test_patterns_become_the_same_expressions():
    for case in FUNCTIONS["convertShellPatternToRegex"]:
        given = case["in"]
        expression, error = case["out"]
        if error is None:
            made = pattern_expression(given["pattern"], greedy=given["greedy"], anchored=given["anchored"])
            assert made == expression
        else:
            with pytest.raises(ValueError) as caught:
                pattern_expression(given["pattern"], greedy=given["greedy"], anchored=given["anchored"])
            assert str(caught.value) == error["error"]


def test_patterns_are_turned_round():
    for case in FUNCTIONS["reversePattern"]:
        assert reverse_pattern(case["in"]["pattern"]) == case["out"][0]


def test_the_lexer_vectors_are_all_used():
    assert set(FUNCTIONS) == {
        "convertShellPatternToRegex",
        "reversePattern",
        "Lex.ProcessWord",
        "Lex.ProcessWords",
        "Lex.ProcessWordWithMatches",
    }


def test_word_file():
    env = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}
    count = 0
    for line in (ROOT / "envVarTest").read_text().split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        platform, word, expected = (part.strip() for part in line.split("|"))
        if platform == "W":
            continue
        count += 1
        if expected == "error":
            with pytest.raises(DockerfileError):
                expand_word(word, env)
        else:
            assert expand_word(word, env).text == expected, line
    assert count > 200


@pytest.mark.parametrize("skip", [False, True])
def test_words_file(skip):
    env = {}
    for line in (ROOT / "wordsTest").read_text().split("\n"):
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("ENV "):
            name, _, value = line[4:].lstrip(" ").partition("=")
            env[name] = value
            continue
        word, _, expected = line.partition("|")
        word, expected = word.strip(), expected.lstrip()
        if expected == "error":
            with pytest.raises(DockerfileError):
                split_words(word, env)
        elif skip:
            split_words(word, env, LexOptions(raw_quotes=True, skip_unset=True))
        else:
            assert list(split_words(word, env)) == expected.split(","), line
