"""Words, quotes and substitutions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydockmagic.dockerfile import LexOptions, SubstitutionError, expand_word, split_words

ENV = {"a": "one", "empty": "", "path": "/usr/lib/x.tar.gz"}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("$a-$b", "one-"),
        ("${a}b", "oneb"),
        ("'$a'", "$a"),
        ('"$a \\$a \\n"', "one $a \\n"),
        ("\\$a", "$a"),
        ("${b:-x$a}", "xone"),
        ("${empty:-x}", "x"),
        ("${empty-x}", ""),
        ("${a:+y}", "y"),
        ("${empty:+y}", ""),
        ("${empty+y}", "y"),
        ("${path##*/}", "x.tar.gz"),
        ("${path#*/}", "usr/lib/x.tar.gz"),
        ("${path%.*}", "/usr/lib/x.tar"),
        ("${path%%.*}", "/usr/lib/x"),
        ("${path/lib/share}", "/usr/share/x.tar.gz"),
        ("${path//\\//:}", ":usr:lib:x.tar.gz"),
        ("${path//*/all}", "all"),
        ("$", "$"),
        ("a\\", "a"),
        ("$5cent", "cent"),
    ],
)
def test_substitution(word, text):
    assert expand_word(word, ENV).text == text


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("${b:?}", "b: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${b?no $a}", "b: no one"),
        ("${a", "unsupported modifier (\ufffd) in substitution"),
        ("${a:-", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${a#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
        ('"open', "unexpected end of statement while looking for matching double-quote"),
    ],
)
def test_what_cannot_be_expanded(word, reason):
    with pytest.raises(SubstitutionError) as caught:
        expand_word(word, ENV)
    assert caught.value.reason.endswith(": " + reason)


def test_another_escape_character():
    assert expand_word("`$a \\$a", ENV, LexOptions("`")).text == "$a \\one"


def test_unset_variables_may_stay():
    options = LexOptions(skip_unset=True)
    for word in ("$b", "${b}", "${b:-x}", "${b#x}", "${b//x/y}"):
        assert expand_word(word, ENV, options).text == word


def test_blanks_of_a_value_separate_words_unless_quoted():
    env = {"x": "1  2"}
    assert split_words('a$x "b$x"', env) == ("a1", "2", "b1  2")


def test_text_before_a_default_belongs_to_the_same_word():
    assert split_words("a${x:-b}c d", {}) == ("abc", "d")


def test_found_and_missing_names_are_told():
    result = expand_word("$a ${b:-$c}", ENV)
    assert result.matched == {"a"}
    assert result.unmatched == {"b", "c"}


PLAIN = st.text(st.characters(blacklist_characters="\\'\"$<", blacklist_categories=["Cs"]))


@given(PLAIN)
def test_plain_text_stays(text):
    assert expand_word(text, {}).text == text


@given(st.text(st.characters(blacklist_characters="'", blacklist_categories=["Cs"])))
def test_single_quotes_keep_everything(text):
    assert expand_word(f"'{text}'", {}).text == text


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_a_value_is_never_read_again(value):
    assert expand_word("${x}", {"x": value}).text == value
    assert expand_word('"$x"', {"x": value}).words == ((value,) if value else ())


@given(st.text(alphabet="ab*?\\/", max_size=6), st.text(alphabet="ab/", max_size=8))
def test_shortest_cut_is_never_longer_than_the_longest(pattern, value):
    for modifier in "#%":
        try:
            short = expand_word("${v" + modifier + "$p}", {"v": value, "p": pattern}).text
            long = expand_word("${v" + modifier * 2 + "$p}", {"v": value, "p": pattern}).text
        except SubstitutionError:
            continue
        assert len(long) <= len(short) <= len(value)


@given(st.text(alphabet="a$ {}:-+?#%/'\"\\<x", max_size=30))
def test_any_word_expands_or_is_refused(word):
    try:
        result = expand_word(word, {"a": "v w", "x": ""})
    except SubstitutionError as error:
        assert str(error).startswith("failed to process ")  # noqa: PT017 - either outcome is right
    else:
        assert all(result.words)
